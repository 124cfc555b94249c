import numpy as np
import pytest
from diagnoses import sees

from lorair_cli.restoration.checks import BEYOND_DOUBT
from lorair_cli.restoration.imagined import LEAST_LIKELY, MOST_LEFT, PLAINLY, plainness, was_imagined


@pytest.mark.parametrize("name", PLAINLY)
def test_plain_is_what_copies_agree_in_and_the_router_no_longer_sees(name):
    before, after = sees(**{name: 0.6}), sees(**{name: 0.3, "blur": 0.5})
    assert plainness(name, before, after, 0.1, 4) == pytest.approx(0.8)  # half of the probability is left
    assert plainness(name, before, after, 0.1, np.inf) == np.inf
    assert plainness(name, before, after, 0.0, np.inf) == 0, "nothing was taken away"
    assert 0 < plainness(name, before, sees(**{name: 0.0, "blur": 0.5}), 0.1, 4) < np.inf


@pytest.mark.parametrize("name", PLAINLY)
def test_what_was_hardly_taken_away_was_not_there(name):
    before, little = sees(**{name: 0.6}), PLAINLY[name] - 0.001
    assert was_imagined(before, sees(**{name: 0.1}), little)
    assert not was_imagined(before, sees(**{name: 0.6}), PLAINLY[name])
    assert not was_imagined(sees(**{name: BEYOND_DOUBT}), sees(**{name: 0.99}), little), "that was never in question"
    assert not was_imagined(sees(blur=0.6), sees(blur=0.6), little), "a mild expert leaves much"
    assert not was_imagined(sees(rain=0.2), sees(rain=0.01), little), "streaks need not be likely"
    assert not was_imagined(sees(jpeg=0.4), sees(jpeg=0.4), little), "the answer for nothing already"


@pytest.mark.parametrize("name", LEAST_LIKELY)
def test_what_changes_all_of_a_photo_has_to_be_likely(name):
    seen = (sees(**{name: LEAST_LIKELY[name] + more, "shadow": 0.1}) for more in (-0.01, 0.01))
    gone = sees(**{name: 0.01, "jpeg": 0.5})
    assert [was_imagined(before, gone, 0.2) for before in seen] == [True, False]


@pytest.mark.parametrize("name", MOST_LEFT)
def test_a_hole_that_is_seen_as_before_is_none_and_neither_is_snow(name):
    for before, imagined in ((sees(**{name: 0.6}), True), (sees(**{name: BEYOND_DOUBT}), False)):
        share = before.probabilities[name] * MOST_LEFT[name]
        assert was_imagined(before, sees(**{name: share + 0.001}), 0.2) is imagined
        assert not was_imagined(before, sees(**{name: share - 0.001}), 0.2)
