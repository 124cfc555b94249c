import math

import cv2
import numpy as np
import pytest

from lorair_cli.restoration.checks import (
    BEYOND_DOUBT,
    BRIGHTENED,
    HAS_TO_BE_LIKELIER,
    LEAST_BLUR,
    LEAST_LIKELY,
    LEVEL,
    LIKELIER_THAN_NOTHING,
    LIKELY_BLUR,
    LIKELY_DARK,
    MISTY,
    MOST_LEFT,
    PERHAPS_DARK,
    PLAIN_TO_SEE,
    PLAINLY,
    PLAINLY_INSTEAD,
    PLAINLY_SHARPENED,
    REPAIRED,
    REVEALED,
    SECOND,
    SHAKEN,
    SHARPENED,
    SHARPENED_INSTEAD,
    SOFT,
    UNCLEAR,
    UNREPAIRED,
    can_check,
    change,
    finds_more,
    fine_detail,
    least_sharpening,
    least_sharpening_instead,
    may_be_dark,
    may_be_scratched,
    plainness,
    second_choice,
    takes_over,
    was_blurred,
    was_dark,
    was_imagined,
)
from lorair_cli.restoration.result import Diagnosis, Expert
from lorair_cli.settings import SETTINGS, TEN_DEGRADATIONS


def sees(**probabilities):
    """A diagnosis with these probabilities, and an even share of the rest for all other degradations."""
    told = {name.replace("_", "-"): p for name, p in probabilities.items()}
    rest = (1 - sum(told.values())) / (len(TEN_DEGRADATIONS) - len(told))
    likeliest = max(told, key=told.__getitem__)
    return Diagnosis({n: told.get(n, rest) for n in TEN_DEGRADATIONS}, (Expert(likeliest, 1.0),))


def test_only_a_router_that_knows_all_ten_can_check_and_only_experts_can_be_changed():
    assert can_check(TEN_DEGRADATIONS, 10, "jpeg") and not can_check(TEN_DEGRADATIONS, 0, "jpeg")
    assert not can_check(TEN_DEGRADATIONS, 10, ""), "it was never shown a photo with nothing wrong"
    assert [can_check(s.degradations, len(s.degradations), "jpeg") for s in SETTINGS.values()].count(True) == 1


@pytest.mark.parametrize(
    ("found", "more"),
    [
        ({"low_light": 0.99}, True),
        ({"low_light": BEYOND_DOUBT}, True),
        ({"low_light": BEYOND_DOUBT - 0.01}, False),
        ({"blur": BEYOND_DOUBT - 0.01}, False),
        *(({found.replace("-", "_"): least}, True) for found, least in PLAIN_TO_SEE.items() if found != "noise"),
        *(({found.replace("-", "_"): least - 0.01}, False) for found, least in PLAIN_TO_SEE.items()),
        ({"noise": 0.99}, False),
        ({"shadow": 0.99}, False),
        ({"jpeg": 0.99}, False),
    ],
    ids=[
        *("new", "just sure", "unsure", "soft"),
        *(f"plain {found}" for found in PLAIN_TO_SEE if found != "noise"),
        *(f"not so plain {found}" for found in PLAIN_TO_SEE),
        "done already",
        "what a restored photo looks like",
        "and the other",
    ],
)
def test_one_more_pass_is_for_something_new_that_is_surely_there(found, more):
    assert finds_more(sees(**found), [sees(noise=1.0)], "jpeg") is more


@pytest.mark.parametrize(("behind", "least"), [("rain", MISTY), ("snow", MISTY), ("noise", PLAIN_TO_SEE["haze"])])
def test_haze_is_plainer_behind_rain_and_snow(behind, least):
    passes = [sees(**{behind: 1.0})]
    assert finds_more(sees(haze=least), passes, "jpeg") and not finds_more(sees(haze=least - 0.01), passes, "jpeg")
    assert finds_more(sees(haze=least), [*passes, sees(low_light=1.0)], "jpeg"), "whatever came between"


def test_all_passes_before_count():
    assert not finds_more(sees(noise=0.9), [sees(noise=1.0), sees(low_light=0.9)], "jpeg")
    both = Diagnosis(sees(rain=0.6).probabilities, (Expert("rain", 0.6), Expert("haze", 0.4)))
    assert not finds_more(sees(haze=0.9), [both], "jpeg")


@pytest.mark.parametrize(
    ("before", "after", "second"),
    [
        ({"shadow": 0.5, "raindrop": 0.4}, {"shadow": 0.5}, "raindrop"),
        ({"shadow": 0.5, "raindrop": 0.3}, {"shadow": 0.5 * UNREPAIRED - 0.01}, None),
        ({"shadow": 0.5, "raindrop": 0.5 * LEVEL}, {"shadow": 0.1}, "raindrop"),
        ({"shadow": BEYOND_DOUBT, "raindrop": 0.08}, {"shadow": 0.9}, None),
        ({"shadow": 0.7, "raindrop": SECOND - 0.01}, {"shadow": 0.7}, None),
        ({"jpeg": 0.4, "shadow": 0.3}, {"jpeg": 0.5}, "shadow"),
        ({"blur": 0.4, "jpeg": 0.35}, {"blur": 0.4}, None),
        ({"blur": 0.35, "jpeg": 0.3, "raindrop": 0.25}, {"blur": 0.4}, "raindrop"),
    ],
    ids=[
        "seen as before",
        "repaired",
        "as probable",
        "plain",
        "nothing near",
        "nothing, perhaps",
        "perhaps nothing",
        "the next",
    ],
)
def test_the_second_choice_is_tried_where_the_first_repaired_nothing_or_is_no_likelier(before, after, second):
    assert second_choice(sees(**before), sees(**after), "jpeg") == second


def test_what_was_imagined_is_not_found_again():
    imagined = Diagnosis(sees(snow=0.84).probabilities, (Expert("jpeg", 1.0),))
    assert not finds_more(sees(snow=0.95), [imagined], "jpeg") and finds_more(sees(rain=0.95), [imagined], "jpeg")
    instead = Diagnosis(sees(snow=0.84).probabilities, (Expert("rain", 1.0),))
    assert finds_more(sees(snow=0.95), [instead], "jpeg"), "what hid it has gone"
    assert not finds_more(sees(haze=MISTY), [imagined], "jpeg"), "no snow, so that nothing hid the haze"


def test_haze_is_no_second_choice():
    assert second_choice(sees(jpeg=0.3, haze=0.29), sees(jpeg=0.3), "jpeg") is None
    assert second_choice(sees(jpeg=0.3, haze=0.29, shadow=0.2), sees(jpeg=0.3), "jpeg") == "shadow"
    assert second_choice(sees(blur=0.3, haze=0.29), sees(blur=0.3), "jpeg") is None
    assert second_choice(sees(haze=0.3, shadow=0.29), sees(haze=0.3), "haze") == "shadow"


def test_what_stands_for_nothing_is_what_the_router_was_taught():
    likely = sees(shadow=0.5, snow=0.4)
    assert second_choice(likely, likely, "jpeg") == "snow" and second_choice(likely, likely, "snow") is None
    assert finds_more(sees(rain=0.99), [], "jpeg") and not finds_more(sees(rain=0.99), [], "rain")


def test_of_two_second_choices_the_first_label_counts_in_every_run():
    assert second_choice(sees(blur=0.4, snow=0.25, rain=0.25), sees(blur=0.4), "jpeg") == "rain"


@pytest.mark.parametrize("name", sorted(HAS_TO_BE_LIKELIER))
def test_these_are_second_choices_where_they_are_likelier_than_nothing(name):
    for nothing, second in ((0.19, name), (0.21, "shadow")):
        before = sees(**{"blur": 0.3, name: 0.2 * LIKELIER_THAN_NOTHING}, jpeg=nothing, shadow=0.18)
        assert second_choice(before, sees(blur=0.3), "jpeg") == second


def test_a_second_choice_has_to_prove_itself():
    before, as_before = sees(shadow=0.5, raindrop=0.4), sees(shadow=0.5)
    gone = sees(shadow=0.9, raindrop=0.4 * REPAIRED - 0.001)
    assert takes_over("raindrop", before, as_before, gone, 0.01)
    assert not takes_over("raindrop", before, as_before, sees(shadow=0.1, raindrop=0.4 * REPAIRED + 0.001), 0.01)
    assert not takes_over("raindrop", before, sees(shadow=0.1), gone, 0.01), "the first is more thoroughly gone"


def test_a_shadow_that_was_hardly_lightened_takes_nobodys_place():
    before, after, gone = sees(jpeg=0.4, shadow=0.3), sees(jpeg=0.5), sees(jpeg=0.8, shadow=0.02)
    assert takes_over("shadow", before, after, gone, PLAINLY_INSTEAD)
    assert not takes_over("shadow", before, after, gone, PLAINLY_INSTEAD - 0.001)


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
    assert was_imagined(sees(**{name: 0.99}), sees(**{name: 0.99}), little), "however plain it seemed"
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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_change_is_the_rms_difference_of_floats(dtype):
    rng, white = np.random.default_rng(0), np.iinfo(dtype).max
    before, after = (rng.integers(0, white, (5, 7, 3), dtype=dtype, endpoint=True) for _ in range(2))
    assert change(before, before) == 0
    assert change(before, after) == pytest.approx(np.sqrt(np.mean((before / white - after / white) ** 2)), rel=1e-5)


@pytest.mark.parametrize(
    ("seen", "least"),
    [
        ({"shadow": 0.8, "blur": LEAST_BLUR}, SHARPENED),
        ({"shadow": 0.8, "blur": LEAST_BLUR - 0.01}, PLAINLY_SHARPENED),
        ({"shadow": BEYOND_DOUBT, "blur": LEAST_BLUR}, PLAINLY_SHARPENED),
        ({"shadow": 0.3, "haze": UNCLEAR - 0.01, "blur": LIKELY_BLUR}, SHARPENED_INSTEAD),
        ({"shadow": 0.3, "raindrop": UNCLEAR - 0.01, "blur": LIKELY_BLUR - 0.01}, math.inf),
        ({"jpeg": UNCLEAR, "blur": 0.2}, math.inf),
        ({"jpeg": 0.2, "blur": UNCLEAR - 0.1}, math.inf),
    ],
)
def test_what_is_taken_for_something_else_was_blurred_if_sharpening_changes_it_enough(seen, least):
    assert least_sharpening_instead(sees(**seen)) == least


@pytest.mark.parametrize(
    ("seen", "dark"),
    [
        ({"shadow": UNCLEAR - 0.01, "low-light": PERHAPS_DARK}, True),
        ({"shadow": UNCLEAR - 0.01, "low-light": PERHAPS_DARK - 0.01}, False),
        ({"shadow": UNCLEAR, "low-light": 0.2}, False),
        ({"jpeg": 0.4, "low-light": 0.3}, False),
        ({"jpeg": 0.3, "low-light": 0.4}, False),
    ],
)
def test_what_is_unclear_and_not_untouched_may_be_dark(seen, dark):
    assert may_be_dark(sees(**seen), "jpeg") == dark


NOTHING_WRONG = 0.15


@pytest.mark.parametrize(
    ("low", "left", "blur", "dark"),
    [
        (LIKELY_DARK, BRIGHTENED - 0.01, 0.2, True),
        (NOTHING_WRONG * LIKELIER_THAN_NOTHING + 0.001, BRIGHTENED - 0.01, 0.2, True),
        (NOTHING_WRONG * LIKELIER_THAN_NOTHING - 0.001, BRIGHTENED - 0.01, 0.2, False),
        (LIKELY_DARK, BRIGHTENED + 0.01, 0.2, False),
        (LIKELY_DARK - 0.01, BRIGHTENED - 0.01, 0.2, False),
        (LIKELY_DARK - 0.01, REPAIRED - 0.01, REVEALED, True),
        (LIKELY_DARK - 0.01, REPAIRED + 0.01, REVEALED, False),
        (LIKELY_DARK - 0.01, REPAIRED - 0.01, REVEALED - 0.01, False),
    ],
)
def test_what_no_longer_looks_dark_or_at_last_looks_blurred_was_dark(low, left, blur, dark):
    # As likely as that nothing is wrong, or nearly, it is not enough that it goes away.
    before = sees(shadow=0.5, jpeg=0.05 if low <= LIKELY_DARK else NOTHING_WRONG, **{"low-light": low})
    assert was_dark(before, sees(blur=blur, **{"low-light": low * left}), "jpeg") == dark


@pytest.mark.parametrize("height", [1, 255, 256, 257, 600])
def test_fine_detail_is_what_the_means_around_lack(height):
    photo = np.random.default_rng(3).integers(0, 256, (height, 40, 3), np.uint8)
    means = cv2.blur(photo.astype(np.float32), (3, 3), borderType=cv2.BORDER_REPLICATE)
    assert fine_detail(photo) == pytest.approx(np.sqrt(np.mean((photo - means) ** 2)) / 255, rel=1e-4)
    assert fine_detail(np.full((height, 40, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("before", "worth_it"),
    [
        ({"jpeg": 0.3}, True),
        ({"shadow": BEYOND_DOUBT - 0.01}, True),
        ({"shadow": BEYOND_DOUBT}, False),
        ({"inpainting": 0.4}, True),
    ],
    ids=["nothing wrong", "unsure", "plain", "unsure of them"],
)
def test_scratches_are_looked_for_where_the_router_is_unsure(before, worth_it):
    assert may_be_scratched(sees(**before)) is worth_it


@pytest.mark.parametrize(
    ("passes", "now", "least", "large"),
    [
        ([], {"blur": 0.95}, math.inf, math.inf),
        ([sees(low_light=0.4)], {"jpeg": 0.9}, SHAKEN, math.inf),
        ([sees(noise=0.9), sees(low_light=0.9)], {"jpeg": 0.9}, SHAKEN, math.inf),
        ([sees(low_light=0.9), sees(noise=0.9)], {"jpeg": 0.9}, math.inf, math.inf),
        ([sees(blur=0.9), sees(low_light=0.9)], {"blur": 0.95}, math.inf, math.inf),
        ([sees(jpeg=0.9)], {"blur": SOFT}, PLAINLY_SHARPENED, math.inf),
        ([sees(jpeg=0.9)], {"blur": SOFT - 0.01}, math.inf, math.inf),
        ([sees(jpeg=0.9)], {"blur": BEYOND_DOUBT}, PLAINLY_SHARPENED, 0.0),
        ([sees(jpeg=0.9)], {"blur": 0.4, "noise": 0.5}, math.inf, math.inf),
    ],
)
def test_blur_behind_something_else_has_to_show_by_how_much_sharpening_changes(passes, now, least, large):
    assert least_sharpening(sees(**now), passes, large=False) == least
    assert least_sharpening(sees(**now), passes, large=True) == large


def test_blurred_is_what_sharpening_changes_by_twice_its_finest_detail():
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    detail = fine_detail(photo)
    assert was_blurred(photo, 3.01 * detail, 3) and not was_blurred(photo, 2.99 * detail, 3)


def test_an_expert_with_a_trace_of_the_mixture_has_repaired_nothing():
    mixed = Diagnosis(sees(snow=0.9).probabilities, (Expert("snow", 0.979), Expert("haze", 0.021)))
    assert mixed.treated == {"snow"}
    assert finds_more(sees(haze=0.99), [mixed], "jpeg")
