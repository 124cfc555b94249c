"""What the weights in the package do with photos that neither training nor any test set of theirs has seen."""

import cv2
import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio

from lorair_cli.data.synthesis import degrade, jpeg
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.blending import greatest_change
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.restoration.scratches import are_scratches
from lorair_cli.restoration.streaks import are_streaks

ASTRONAUT = np.ascontiguousarray(skimage.data.astronaut()[:384, :384])


@pytest.fixture(scope="module")
def shipped():
    return Restorer.from_pretrained(device="cpu", precision="float32")


def eight_bits(values):
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)


def test_a_photo_that_is_dark_and_noisy_is_made_clean_and_bright(shipped):
    dark = (ASTRONAUT / 255) * 0.3
    lq = Photo(eight_bits(dark + np.random.default_rng(5).normal(0, 0.05, dark.shape)))
    once, on = (shipped.restore(lq, choices=Choices(passes=passes)) for passes in (1, None))
    assert sorted(name for d in on.passes for name in d.treated) == ["low-light", "noise"]
    before, one, more = (peak_signal_noise_ratio(ASTRONAUT, p.rgb) for p in (lq, once.photo, on.photo))
    assert more > one + 3 and more > before + 6


@pytest.mark.parametrize("quality", [95, 85])
def test_a_dark_photo_is_brightened_though_it_was_saved_as_a_jpeg(shipped, quality):
    dark = (ASTRONAUT / 255) * 0.25
    noisy = eight_bits(dark + np.random.default_rng(5).normal(0, 0.02, dark.shape))
    lq = jpeg.saved(noisy, jpeg.JpegParameters(quality))
    restored = shipped.restore(Photo(lq), choices=Choices(passes=None)).photo.rgb
    before, after = (peak_signal_noise_ratio(ASTRONAUT, rgb) for rgb in (lq, restored))
    assert after > before + 8


def test_one_pass_is_enough_where_one_thing_is_wrong_or_nothing(shipped):
    noisy = eight_bits(ASTRONAUT / 255 + np.random.default_rng(5).normal(0, 0.1, ASTRONAUT.shape))
    for pixels in (noisy, ASTRONAUT):
        assert len(shipped.restore(Photo(pixels), choices=Choices(passes=None)).passes) == 1


@pytest.mark.parametrize("degradation", ["blur", "noise"])
def test_the_last_rows_and_columns_of_an_odd_size_are_restored_as_well_as_the_first(shipped, degradation):
    gt = np.ascontiguousarray(skimage.data.coffee()[:353, :481])
    lq = from_float(degrade(to_float(gt), degradation, np.random.default_rng(4), 0.5), np.uint8)
    restored = shipped.restore(Photo(lq), choices=Choices(experts={degradation: 1.0})).photo.rgb
    errors = [((p.astype(float) - gt) ** 2).mean(2) for p in (lq, restored)]
    before, after = (np.concatenate([e[-8:].ravel(), e[:, -8:].ravel()]).mean() for e in errors)
    assert after < before


def test_a_scratched_print_that_the_router_takes_for_something_else_is_filled(shipped):
    gt = skimage.data.chelsea()
    scratched = gt.copy()
    ends = [((30, 0), (60, 350)), ((200, 359), (230, 10)), ((20, 120), (470, 100))]
    ends += [((400, 0), (390, 300)), ((120, 40), (125, 340)), ((80, 280), (420, 290))]
    for start, end in ends:
        cv2.line(scratched, start, end, (225, 225, 225), 1, cv2.LINE_AA)
    once, checked = (shipped.restore(Photo(scratched), choices=Choices(passes=passes)) for passes in (1, None))
    assert once.diagnosis.likeliest != "inpainting"
    before, one, filled = (peak_signal_noise_ratio(gt, p) for p in (scratched, once.photo.rgb, checked.photo.rgb))
    assert one < before + 1 and filled > before + 2


@pytest.mark.parametrize(("photo", "weather"), [("coffee", "snow"), ("chelsea", "rain")])
def test_haze_is_cleared_once_the_weather_before_it_is_gone(shipped, photo, weather):
    gt, seed = np.ascontiguousarray(getattr(skimage.data, photo)()[:360, :480]), 0
    hazy = degrade(to_float(gt), "haze", np.random.default_rng(seed), 0.6)
    lq = Photo(from_float(degrade(hazy, weather, np.random.default_rng(seed + 1), 0.4), np.uint8))
    once, on = (shipped.restore(lq, choices=Choices(passes=passes)) for passes in (1, None))
    assert [d.likeliest for d in on.passes] == [weather, "haze"]
    one, more = (peak_signal_noise_ratio(gt, p.photo.rgb) for p in (once, on))
    assert more > one + 1


@pytest.mark.parametrize(("photo", "hazy"), [("coffee", False), ("astronaut", True)])
def test_a_drizzle_that_the_router_does_not_see_is_taken_away(shipped, photo, hazy):
    gt = np.ascontiguousarray(getattr(skimage.data, photo)()[:400, :480])
    scene = degrade(to_float(gt), "haze", np.random.default_rng(0), 0.5) if hazy else to_float(gt)
    strength = 0.35 if hazy else 0.3
    wet = degrade(scene, "rain", np.random.default_rng(1), strength, {"drizzling": 1.0})
    lq = Photo(from_float(wet, np.uint8))
    once, on = (shipped.restore(lq, choices=Choices(passes=passes)) for passes in (1, None))
    assert once.diagnosis.likeliest != "rain" and on.passes[-1].treated == {"rain"}
    one, more = (peak_signal_noise_ratio(gt, p.photo.rgb) for p in (once, on))
    assert more > one + 0.5


@pytest.mark.parametrize("pattern", ["brick", "page"])
def test_stripes_of_a_pattern_are_no_rain(shipped, pattern):
    lines = np.stack([getattr(skimage.data, pattern)()] * 3, axis=2)
    dried = shipped.restore(Photo(lines), choices=Choices(experts={"rain": 1.0})).photo.rgb
    assert greatest_change(lines, dried).any() and not are_streaks(lines, dried)


@pytest.mark.parametrize("pattern", ["brick", "page"])
def test_white_lines_of_a_pattern_are_no_scratches(shipped, pattern):
    lines = np.stack([getattr(skimage.data, pattern)()] * 3, axis=2)
    filled = shipped.restore(Photo(lines), choices=Choices(experts={"inpainting": 1.0})).photo.rgb
    assert greatest_change(lines, filled).any() and not are_scratches(lines, filled)
