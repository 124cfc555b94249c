"""How far the program goes by itself: further passes, other experts, and no more than that."""

import math
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch

from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration import blurred, work
from lorair_cli.restoration import passes as module
from lorair_cli.restoration.blending import holes_filled
from lorair_cli.restoration.blurred import fine_detail
from lorair_cli.restoration.checks import MOST_BY_ITSELF
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.restoration.work import Work

CAT = np.ascontiguousarray(skimage.data.chelsea()[:150, :201])


@pytest.fixture(autouse=True)
def no_further_copies(monkeypatch):
    """What is kept is what was tried, so that it can be compared with a pass by hand. It was neither dark nor wet."""
    monkeypatch.setattr(work, "further_copies", lambda *_: ())
    monkeypatch.setattr(module, "may_be_dark", lambda *_: False)
    monkeypatch.setattr(module, "are_streaks", lambda *_: False)
    monkeypatch.setattr(module, "LEAST_SIDE", 0)


@pytest.fixture(scope="module")
def restorer(checkpoint):
    return Restorer(checkpoint, device="cpu", precision="float32", tile=0)


@pytest.fixture(scope="module")
def checking(checkpoint_of):
    """One that knows all ten degradations, and so can check its work."""
    return Restorer(checkpoint_of("10task"), device="cpu", precision="float32", tile=0)


def rms(one, other):
    return np.sqrt(np.mean((one / 255 - other / 255) ** 2))


def test_passes_go_on_by_themselves_while_the_router_finds_more(checking, monkeypatch):
    asked = []

    def until(wanted):
        asked.clear()
        monkeypatch.setattr(
            module, "finds_more", lambda diagnosis, passes, nothing: asked.append(len(passes)) or len(passes) < wanted
        )
        return checking.restore(Photo(CAT), choices=Choices(passes=None))

    monkeypatch.setattr(module, "least_sharpening_instead", lambda _: math.inf)
    monkeypatch.setattr(module, "second_choice", lambda *_: None)
    monkeypatch.setattr(module, "was_imagined", lambda before, after, changed: False)
    for number in (1, 2, 3):
        result, told = until(number), checking.restore(Photo(CAT), choices=Choices(passes=number))
        assert np.array_equal(result.photo.rgb, told.photo.rgb) and result.passes == told.passes
    assert len(until(8).passes) == MOST_BY_ITSELF and asked == [1, 2]
    least = checking.diagnose(Photo(CAT)).confidence + 0.001
    alone = checking.restore(Photo(CAT), choices=Choices(passes=None, only_if=least))
    assert alone.untouched and np.array_equal(alone.photo.rgb, CAT)


def test_a_very_small_photo_gets_one_pass(checking, monkeypatch):
    monkeypatch.setattr(module, "finds_more", lambda *_: True)
    for least, passes in ((150, MOST_BY_ITSELF), (151, 1)):
        monkeypatch.setattr(module, "LEAST_SIDE", least)
        assert len(checking.restore(Photo(CAT), choices=Choices(passes=None)).passes) == passes


def test_another_expert_takes_the_place_of_one_that_repaired_nothing(checking, monkeypatch):
    seen = []

    def checked(second, repaired, imagined):
        monkeypatch.setattr(module, "finds_more", lambda *_: False)
        monkeypatch.setattr(module, "may_be_scratched", lambda _: False)
        monkeypatch.setattr(module, "least_sharpening_instead", lambda _: math.inf)
        monkeypatch.setattr(module, "second_choice", lambda *args: seen.append(args) or second)
        monkeypatch.setattr(module, "takes_over", lambda *args: seen.append(args) or repaired)
        monkeypatch.setattr(module, "was_imagined", lambda before, after, changed: imagined)
        return checking.restore(Photo(CAT), choices=Choices(passes=None))

    once = checking.restore(Photo(CAT))
    by_hand = {name: checking.restore(Photo(CAT), choices=Choices(experts={name: 1.0})) for name in ("noise", "jpeg")}
    for how, expected in (
        ((None, True, False), once),
        (("noise", True, True), by_hand["noise"]),
        (("noise", False, False), once),
        (("noise", False, True), by_hand["jpeg"]),
        ((None, True, True), by_hand["jpeg"]),
    ):
        result = checked(*how)
        assert np.array_equal(result.photo.rgb, expected.photo.rgb) and result.passes == expected.passes
        assert result.diagnosis == once.diagnosis, "of the photo as it came, whoever repairs it"
    seen.clear()
    assert checked("noise", True, False).tiles == 2
    after = [checking.diagnose(result.photo) for result in (once, by_hand["noise"])]
    assert seen == [(once.diagnosis, after[0], "jpeg"), ("noise", once.diagnosis, *after, math.inf)]


@torch.inference_mode()
def test_how_plainly_a_shadow_is_taken_away_hangs_on_what_becomes_of_the_copies(checking, monkeypatch, rules):
    rules(finds_more=False, second_choice="shadow", may_be_scratched=False, was_imagined=False)
    rules(least_sharpening_instead=math.inf)
    seen = []
    monkeypatch.setattr(module, "takes_over", lambda *args: seen.append(args) or True)
    lit = checking.restore(Photo(CAT), choices=Choices(passes=None))
    told = checking.told(checking.route(Photo(CAT)), {"shadow": 1.0})
    one, mirrored = (
        Work(checking).tried(Photo(np.ascontiguousarray(rgb)), told).photo.rgb for rgb in (CAT, CAT[:, ::-1])
    )
    copies = [one / 255, mirrored[:, ::-1] / 255]
    changed = rms(lit.photo.rgb, CAT)
    _, before, _, after, light = seen[0]
    left = after.probabilities["shadow"] / before.probabilities["shadow"]
    apart = np.sqrt(np.mean(np.var(copies, axis=0)))
    agreed = np.sqrt(np.mean((np.mean(copies, axis=0) - CAT / 255) ** 2)) / apart
    assert np.isfinite(light) and light == pytest.approx(changed * agreed / left, rel=1e-3)


@pytest.mark.parametrize("marked", [True, False])
def test_scratches_that_the_router_does_not_see_are_filled(checking, monkeypatch, marked, rules):
    rules(finds_more=False, second_choice=None, least_sharpening_instead=math.inf)
    monkeypatch.setattr(module, "was_imagined", lambda *_: False)
    once = checking.restore(Photo(CAT))
    filled = checking.restore(Photo(CAT), choices=Choices(experts={"inpainting": 1.0}, passes=None))
    seen = []
    monkeypatch.setattr(module, "may_be_scratched", lambda before: before == once.diagnosis)
    monkeypatch.setattr(module, "are_scratches", lambda *photos: seen.append(photos) or marked)
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (filled if marked else once).photo.rgb) and result.tiles == 2
    assert result.passes == (filled if marked else once).passes
    ((before, after),) = seen
    assert np.array_equal(before, CAT) and np.array_equal(after, filled.photo.rgb)


def test_no_expert_is_tried_twice(checking, monkeypatch, rules):
    rules(finds_more=False, was_imagined=False, may_be_scratched=True)
    monkeypatch.setattr(module, "are_scratches", lambda *_: False)
    monkeypatch.setattr(module, "least_sharpening_instead", lambda _: math.inf)
    monkeypatch.setattr(module, "second_choice", lambda *_: "inpainting")
    assert checking.restore(Photo(CAT), choices=Choices(passes=None)).tiles == 2


@torch.inference_mode()
@pytest.mark.parametrize("wet", [True, False])
def test_a_photo_that_may_be_rainy_is_judged_by_what_was_taken_away(checking, monkeypatch, wet, rules):
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_scratched=False, may_hide_rain=False)
    rules(least_sharpening=math.inf, least_sharpening_instead=math.inf, may_be_rainy=True)
    noisy = checking.told(checking.route(Photo(CAT)), {"noise": 1.0})
    rainy = checking.told(noisy, {"rain": 1.0})
    clear, dry = (Work(checking).tried(Photo(CAT), routing).photo.rgb for routing in (noisy, rainy))
    seen = []
    monkeypatch.setattr(module, "are_streaks", lambda *photos: seen.append(photos) or wet)
    monkeypatch.setattr(checking, "route", lambda photo: noisy)
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, dry if wet else clear) and result.tiles == 2
    assert result.passes == (checking.diagnosis(rainy if wet else noisy),)
    ((before, after),) = seen
    assert np.array_equal(before, CAT) and np.array_equal(after, dry)


@torch.inference_mode()
@pytest.mark.parametrize("wet", [True, False])
def test_rain_is_looked_for_behind_what_hid_it(checking, monkeypatch, wet, rules):
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_scratched=False, may_be_rainy=False)
    rules(least_sharpening=math.inf, least_sharpening_instead=math.inf)
    hazy = checking.told(checking.route(Photo(CAT)), {"haze": 1.0})
    clear = Work(checking, by_itself=True).tried(Photo(CAT), hazy).photo
    rainy = checking.told(hazy, {"rain": 1.0})
    dry = Work(checking).tried(clear, rainy).photo
    monkeypatch.setattr(module, "may_hide_rain", lambda passes: passes == [checking.diagnosis(hazy)])
    monkeypatch.setattr(module, "are_streaks", lambda *_: wet)
    monkeypatch.setattr(checking, "route", lambda photo: hazy)
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (dry if wet else clear).rgb)
    assert result.passes == tuple(map(checking.diagnosis, (hazy, rainy)[: 1 + wet]))


@torch.inference_mode()
@pytest.mark.parametrize("shaken", [True, False])
def test_what_sharpening_changes_much_is_sharpened_before_rain_is_looked_for(checking, monkeypatch, shaken, rules):
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_scratched=False, may_be_rainy=False)
    rules(least_sharpening_instead=math.inf, least_sharpening=1.0, was_blurred=shaken, are_streaks=True)
    dark = checking.told(checking.route(Photo(CAT)), {"low-light": 1.0})
    monkeypatch.setattr(checking, "route", lambda photo: dark)
    monkeypatch.setattr(module, "MOST_BY_ITSELF", 2)
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert [done.treated for done in result.passes] == [{"low-light"}, {"blur"} if shaken else {"rain"}]


@torch.inference_mode()
def test_rain_that_is_less_likely_than_the_user_wants_is_left(checking, monkeypatch, rules):
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_scratched=False, may_be_rainy=False)
    rules(least_sharpening=math.inf, least_sharpening_instead=math.inf, may_hide_rain=True, are_streaks=True)
    logits = torch.zeros(10)
    logits[checking.info.degradations.index("haze")] = 1.0
    hazy = replace(checking.told(checking.route(Photo(CAT)), {"haze": 1.0}), logits=logits)
    rain = checking.diagnosis(hazy).probabilities["rain"]
    monkeypatch.setattr(checking, "route", lambda photo: hazy)
    for only_if, passes in ((rain - 0.001, 3), (rain + 0.001, 1)):
        assert len(checking.restore(Photo(CAT), choices=Choices(passes=None, only_if=only_if)).passes) == passes


@torch.inference_mode()
@pytest.mark.parametrize("marked", [True, False])
def test_what_the_router_has_filled_already_tells_whether_it_was_scratches(checking, monkeypatch, marked, rules):
    rules(finds_more=False, second_choice=None, may_be_scratched=True, was_imagined=True)
    rules(least_sharpening_instead=math.inf)
    monkeypatch.setattr(module, "are_scratches", lambda *_: marked)
    holes = checking.told(checking.route(Photo(CAT)), {"inpainting": 1.0})
    by_expert = [
        Work(checking, by_itself=True).tried(Photo(CAT), checking.told(holes, {name: 1.0})).photo.rgb
        for name in ("inpainting", "jpeg")
    ]
    monkeypatch.setattr(checking, "route", lambda photo: holes)
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, by_expert[0 if marked else 1])
    assert result.tiles == (1 if marked else 2), "holes are filled once"


@pytest.mark.parametrize("dark", [True, False])
def test_a_photo_that_may_be_dark_is_brightened_before_anything_else_is_asked(checking, monkeypatch, dark, rules):
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_scratched=False)
    rules(least_sharpening=math.inf, least_sharpening_instead=math.inf)
    once = checking.restore(Photo(CAT))
    bright = checking.restore(Photo(CAT), choices=Choices(experts={"low-light": 1.0}))
    seen = []
    monkeypatch.setattr(module, "may_be_dark", lambda *asked: asked == (once.diagnosis, checking.info.untouched_as))
    monkeypatch.setattr(module, "was_dark", lambda *asked: seen.append(asked) or dark)
    if dark:
        monkeypatch.setattr(module, "least_sharpening_instead", lambda before: pytest.fail("asked"))
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (bright if dark else once).photo.rgb)
    assert seen == [(once.diagnosis, checking.diagnose(bright.photo), checking.info.untouched_as)]


@pytest.mark.parametrize("enough", [True, False])
def test_a_photo_that_sharpening_changes_was_blurred_and_not_in_the_shade(checking, monkeypatch, enough, rules):
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_scratched=False)
    once = checking.restore(Photo(CAT))
    sharpened = checking.restore(Photo(CAT), choices=Choices(experts={"blur": 1.0}))
    changed = rms(sharpened.photo.rgb, CAT)
    least = changed / fine_detail(CAT) * (0.99 if enough else 1.01)
    monkeypatch.setattr(
        module, "least_sharpening_instead", lambda before: least if before == once.diagnosis else pytest.fail("who?")
    )
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (sharpened if enough else once).photo.rgb)
    assert result.passes == (sharpened if enough else once).passes


@torch.inference_mode()
@pytest.mark.parametrize("enough", [True, False])
def test_a_photo_taken_for_blurred_that_sharpening_changes_much_has_no_second_choice(checking, monkeypatch, enough):
    monkeypatch.setattr(module, "finds_more", lambda *_: False)
    monkeypatch.setattr(module, "may_be_scratched", lambda _: False)
    monkeypatch.setattr(module, "second_choice", lambda *_: "shadow")
    monkeypatch.setattr(module, "takes_over", lambda *_: True)
    logits = torch.zeros(10)
    logits[checking.info.degradations.index("blur")] = 2.0
    blurred = replace(checking.told(checking.route(Photo(CAT)), {"blur": 1.0}), logits=logits)
    shadow = Work(checking, by_itself=True).tried(Photo(CAT), checking.told(blurred, {"shadow": 1.0})).photo
    sharp = Work(checking, by_itself=True).tried(Photo(CAT), blurred).photo
    changed = rms(sharp.rgb, CAT)
    monkeypatch.setattr(module, "PLAINLY_SHARPENED", changed / fine_detail(CAT) * (0.99 if enough else 1.01))
    monkeypatch.setattr(checking, "route", lambda photo: blurred)
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (sharp if enough else shadow).rgb)


@torch.inference_mode()
@pytest.mark.parametrize("enough", [True, False])
@pytest.mark.parametrize("sure", [True, False])
def test_a_photo_taken_for_blurred_that_sharpening_hardly_changes_was_sharp(checking, monkeypatch, sure, enough, rules):
    rules(finds_more=False, second_choice=None, may_be_scratched=False, was_imagined=False)
    logits = torch.zeros(10)
    logits[checking.info.degradations.index("blur")] = 9.0 if sure else 2.0
    blurred = replace(checking.told(checking.route(Photo(CAT)), {"blur": 1.0}), logits=logits)
    sharp = Work(checking, by_itself=True).tried(Photo(CAT), blurred).photo
    plain = Work(checking, by_itself=True).tried(Photo(CAT), checking.told(blurred, {"jpeg": 1.0})).photo
    changed = rms(sharp.rgb, CAT)
    monkeypatch.setattr(module, "SHARPENED", changed / fine_detail(CAT) * (0.99 if enough else 1.01))
    monkeypatch.setattr(module, "PLAINLY_SHARPENED", math.inf)
    monkeypatch.setattr(checking, "route", lambda photo: blurred)
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (sharp if sure or enough else plain).rgb)


@pytest.mark.parametrize("enough", [True, False])
def test_blur_is_a_second_choice_where_sharpening_changes_much(checking, monkeypatch, enough, rules):
    rules(finds_more=False, takes_over=True, may_be_scratched=False, was_imagined=False)
    rules(second_choice="blur", least_sharpening_instead=math.inf)
    once, sharpened = checking.restore(Photo(CAT)), checking.restore(Photo(CAT), choices=Choices(experts={"blur": 1.0}))
    assert once.diagnosis.likeliest != "blur"
    changed = rms(sharpened.photo.rgb, CAT)
    monkeypatch.setattr(module, "SHARPENED", changed / fine_detail(CAT) * (0.99 if enough else 1.01))
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (sharpened if enough else once).photo.rgb)


@pytest.mark.parametrize("enough", [True, False])
def test_a_photo_of_the_night_is_sharpened_where_that_changes_much(checking, monkeypatch, enough, rules):
    rules(finds_more=False, second_choice=None, was_imagined=False, may_be_scratched=False)
    monkeypatch.setattr(module, "least_sharpening_instead", lambda _: math.inf)
    night = checking.told(checking.route(Photo(CAT)), {"low-light": 1.0})
    looks = iter([night])
    look = checking.route
    monkeypatch.setattr(checking, "route", lambda photo: next(looks, None) or look(photo))
    bright = checking.restore(Photo(CAT), choices=Choices(experts={"low-light": 1.0})).photo
    sharp = checking.restore(bright, choices=Choices(experts={"blur": 1.0})).photo
    changed = rms(sharp.rgb, bright.rgb)
    monkeypatch.setattr(blurred, "SHAKEN", changed / fine_detail(bright.rgb) * (0.99 if enough else 1.01))
    looks = iter([night])
    result = checking.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(result.photo.rgb, (sharp if enough else bright).rgb)
    experts = [expert.degradation for made in result.passes for expert in made.experts]
    assert experts == ["low-light", "blur"][: 1 + enough]
    looks = iter([night])
    sure = checking.diagnose(bright).probabilities["blur"] + 0.001
    assert sure < checking.diagnosis(night).confidence
    looks = iter([night])
    only = checking.restore(Photo(CAT), choices=Choices(passes=None, only_if=sure))
    assert np.array_equal(only.photo.rgb, bright.rgb), "nobody is sure of the blur"


def test_who_names_experts_or_knows_few_degradations_has_no_second_thoughts(checking, restorer, monkeypatch):
    rules = "finds_more second_choice was_imagined least_sharpening_instead may_be_scratched may_be_rainy may_hide_rain"
    for rule in rules.split():
        monkeypatch.setattr(module, rule, lambda *seen: pytest.fail("asked"))
    by_hand = checking.restore(Photo(CAT), choices=Choices(experts={"noise": 1.0}, passes=None))
    assert len(by_hand.passes) == 1
    few = restorer.restore(Photo(CAT), choices=Choices(passes=None))
    assert np.array_equal(few.photo.rgb, restorer.restore(Photo(CAT)).photo.rgb)


def test_only_holes_are_filled_unless_the_papers_pass_is_asked_for(checking):
    raw, filled = (
        checking.restore(Photo(CAT), choices=Choices(experts={"inpainting": 1.0}, passes=passes)).photo.rgb
        for passes in (1, None)
    )
    assert np.array_equal(filled, holes_filled(CAT, raw)) and not np.array_equal(filled, raw)
    for experts in ({"noise": 1.0}, {"inpainting": 0.5, "noise": 0.5}):
        one, other = (
            checking.restore(Photo(CAT), choices=Choices(experts=experts, passes=passes)).photo.rgb
            for passes in (1, None)
        )
        assert np.array_equal(one, other)
