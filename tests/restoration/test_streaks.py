import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.data.synthesis import degrade
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.restoration.streaks import LEAST, are_streaks, one_way, skewness, taken_away

COFFEE = skimage.data.coffee()  # 400 x 600
DRIZZLE = {"drizzling": 1.0}


def rainy(photo=COFFEE, strength=0.5, seed=3):
    return from_float(degrade(to_float(photo), "rain", np.random.default_rng(seed), strength, DRIZZLE), np.uint8)


def veiled(photo, share=0.5, tone=200):
    return np.clip(np.round((1 - share) * photo + share * tone), 0, 255).astype(np.uint8)


def speckled():
    noise = np.random.default_rng(0).normal(0, 12, COFFEE.shape)
    return np.clip(COFFEE + noise, 0, 255).astype(np.uint8)


def flakes():
    marked = COFFEE.copy()
    for x, y in np.random.default_rng(0).integers(0, (600, 400), (900, 2)).tolist():
        cv2.circle(marked, (x, y), 2, (235, 235, 240), -1, cv2.LINE_AA)
    return marked


def shaken():
    return cv2.blur(COFFEE, (1, 9))


@pytest.mark.parametrize("seed", range(4))
def test_what_runs_one_way_everywhere_is_rain(seed):
    assert are_streaks(rainy(seed=seed), COFFEE)


def test_a_veil_that_went_with_it_does_not_matter():
    assert are_streaks(rainy(veiled(COFFEE)), COFFEE)


@pytest.mark.parametrize("before", [COFFEE, veiled(COFFEE), speckled(), flakes(), shaken()])
def test_nothing_and_what_runs_any_way_is_none(before):
    assert not are_streaks(before, COFFEE)


def test_dark_streaks_are_no_rain():
    assert not are_streaks(255 - rainy(255 - COFFEE), COFFEE)


def test_a_few_streaks_are_none_and_nor_are_faint_ones():
    rain = rainy()
    few = np.where(np.arange(600)[:, None] < 200, rain, COFFEE)
    assert not are_streaks(few, COFFEE), "a third of the photo"
    faint = np.round(COFFEE + (rain.astype(float) - COFFEE) * 0.5 * LEAST / taken_away(rain, COFFEE).std())
    assert one_way(taken_away(faint.astype(np.uint8), COFFEE)) > 0.6
    assert not are_streaks(faint.astype(np.uint8), COFFEE)


@settings(max_examples=15, deadline=None)
@given(turns=st.integers(0, 3), mirrored=st.booleans(), deep=st.booleans(), grey=st.booleans())
def test_neither_attitude_nor_depth_nor_colour_matters(turns, mirrored, deep, grey):
    def seen(photo):
        photo = np.rot90(photo[:, ::-1] if mirrored else photo, turns)
        photo = photo.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8) if grey else photo
        return np.ascontiguousarray(photo.astype(np.uint16) * 257 if deep else photo)

    assert are_streaks(seen(rainy()), seen(COFFEE))
    assert not are_streaks(seen(speckled()), seen(COFFEE))


def test_a_large_photo_is_judged_by_its_small_copy():
    def enlarged(photo):
        return cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)

    assert taken_away(enlarged(rainy()), enlarged(COFFEE)).shape == (512, 768)
    assert are_streaks(enlarged(rainy()), enlarged(COFFEE))


def test_what_reaches_far_to_the_light_is_skewed():
    values = np.random.default_rng(0).normal(0, 1, 100_000).astype(np.float32)
    assert skewness(values) == pytest.approx(0, abs=0.03)
    assert skewness(np.exp(values / 2)) == pytest.approx(1.75, rel=0.1)  # of a lognormal distribution
    assert skewness(-np.exp(values / 2)) == pytest.approx(-1.75, rel=0.1)
    assert skewness(np.full(9, 0.3, np.float32)) == 0


@pytest.mark.parametrize("angle", [0, 30, 45, 120])
def test_stripes_run_one_way_whichever_that_is(angle):
    y, x = np.mgrid[:320, :320].astype(np.float32)
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    assert one_way(np.sin(along / 2).astype(np.float32)) > 0.98
    rings = np.sin(np.hypot(x - 16.5, y - 16.5)[:32, :32])
    assert one_way(rings.astype(np.float32)) < 0.05 and one_way(np.zeros((64, 64), np.float32)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (33, 31)])
def test_photos_of_any_shape_are_looked_at(shape):
    photo = np.full((*shape, 3), 90, np.uint8)
    assert not are_streaks(photo, photo)
