import pytest
from diagnoses import sees

from lorair_cli.restoration.checks import (
    BEYOND_DOUBT,
    HAS_TO_BE_LIKELIER,
    HINTED,
    IN_NOISE,
    LEVEL,
    LIKELIER_THAN_NOTHING,
    MISTY,
    PERHAPS_RAINY,
    PLAIN_TO_SEE,
    PLAINLY_INSTEAD,
    REPAIRED,
    SECOND,
    UNREPAIRED,
    can_check,
    finds_more,
    may_be_rainy,
    may_be_scratched,
    may_hide_rain,
    second_choice,
    takes_over,
)
from lorair_cli.restoration.result import Diagnosis, Expert
from lorair_cli.settings import SETTINGS, TEN_DEGRADATIONS


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
        *(({found.replace("-", "_"): least}, True) for found, least in PLAIN_TO_SEE.items()),
        *(({found.replace("-", "_"): least - 0.01}, False) for found, least in PLAIN_TO_SEE.items()),
        ({"raindrop": 0.99, "blur": 0.001}, True),
        ({"blur": 0.99}, False),
        ({"shadow": 0.99}, False),
        ({"jpeg": 0.99}, False),
    ],
    ids=[
        *("new", "just sure", "unsure", "soft"),
        *(f"plain {found}" for found in PLAIN_TO_SEE),
        *(f"not so plain {found}" for found in PLAIN_TO_SEE),
        "something else",
        "done already",
        "what a restored photo looks like",
        "and the other",
    ],
)
def test_one_more_pass_is_for_something_new_that_is_surely_there(found, more):
    assert finds_more(sees(**found), [sees(blur=1.0)], "jpeg") is more


def test_the_dark_behind_noise_was_seen_a_little_before():
    dark = sees(low_light=IN_NOISE)
    for before, more in ((HINTED, True), (HINTED - 0.0001, False)):
        assert finds_more(dark, [sees(noise=0.9, low_light=before)], "jpeg") is more
        assert finds_more(sees(low_light=0.99), [sees(noise=0.9, low_light=before)], "jpeg") is more
        assert not finds_more(sees(low_light=IN_NOISE - 0.01), [sees(noise=0.9, low_light=before)], "jpeg")
    assert not finds_more(dark, [sees(rain=0.9, low_light=0.05)], "jpeg"), "nothing else fills the dark"


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
    ("before", "worth_it"),
    [
        ({"jpeg": 0.4, "rain": PERHAPS_RAINY}, True),
        ({"shadow": BEYOND_DOUBT - 0.15, "rain": 0.15}, True),
        ({"shadow": BEYOND_DOUBT, "rain": PERHAPS_RAINY}, False),
        ({"jpeg": 0.4, "rain": PERHAPS_RAINY - 0.001}, False),
        ({"rain": 0.4}, False),
        ({"haze": 0.4, "rain": 0.3}, False),
        ({"blur": 0.4, "rain": 0.3}, False),
    ],
    ids=["perhaps", "unsure", "plain", "hardly", "found anyway", "in haze", "shaken"],
)
def test_rain_is_looked_for_where_the_router_is_unsure(before, worth_it):
    assert may_be_rainy(sees(**before)) is worth_it


def test_haze_and_the_dark_hide_rain():
    for name in ("haze", "low_light"):
        assert may_hide_rain([sees(**{name: 0.95})]) and may_hide_rain([sees(noise=0.95), sees(**{name: 0.95})])
        for done in ("rain", "blur"):
            assert not may_hide_rain([sees(**{name: 0.95}), sees(**{done: 0.9})])
    assert not may_hide_rain([]) and not may_hide_rain([sees(noise=0.95), sees(snow=0.9)])


def test_an_expert_with_a_trace_of_the_mixture_has_repaired_nothing():
    mixed = Diagnosis(sees(snow=0.9).probabilities, (Expert("snow", 0.979), Expert("haze", 0.021)))
    assert mixed.treated == {"snow"}
    assert finds_more(sees(haze=0.99), [mixed], "jpeg")
