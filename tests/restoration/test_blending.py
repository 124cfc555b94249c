import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lorair_cli.restoration.blending import LEAST_CHANGE, Mean, agreement, blended, change, holes_filled

DTYPES = st.sampled_from([np.uint8, np.uint16])


@given(data=st.data(), dtype=DTYPES, height=st.sampled_from([1, 255, 257]))
def test_a_pixel_is_left_alone_or_filled_or_lies_between(data, dtype, height):
    before, after = (data.draw(arrays(dtype, (height, 2, 3))) for _ in range(2))
    most = np.iinfo(dtype).max
    before = np.minimum(before, most // 256 * 249)  # no hole that was cut out, and no white background
    filled = holes_filled(before, after)
    assert filled.dtype == dtype
    change = np.abs(before.astype(int) - after).max(axis=-1) / most
    clearly, hardly = change > LEAST_CHANGE * 1.01, change < LEAST_CHANGE * 0.49
    assert np.array_equal(filled[hardly], before[hardly])
    assert np.abs(filled[clearly].astype(int) - after[clearly]).max(initial=0) <= 1
    low, high = np.minimum(before, after).astype(int), np.maximum(before, after).astype(int)
    assert (filled >= low - 1).all() and (filled <= high + 1).all()


def test_there_is_no_step_between_a_pixel_left_alone_and_one_filled():
    before = np.zeros((1, 65536, 3), np.uint16)
    after = before.copy()
    after[0, :, 1] = np.arange(65536)  # every change there is, in one colour
    steps = np.diff(holes_filled(before, after)[0, :, 1].astype(int))
    assert steps.min() >= 0 and steps.max() <= 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_hole_that_was_cut_out_is_half_what_was_made_and_half_what_goes_on_from_its_edges(dtype):
    most = np.iinfo(dtype).max
    photo = np.full((40, 50, 3), 100 * most // 255, dtype)
    before, after = photo.copy(), photo.copy()
    before[10:14, 10:40], after[10:14, 10:40] = most, 60 * most // 255
    filled = holes_filled(before, after)
    assert filled.dtype == dtype and np.array_equal(
        np.delete(filled, np.s_[10:14], 0), np.delete(photo, np.s_[10:14], 0)
    )
    assert np.abs(filled[10:14, 10:40] / most * 255 - 80).max() <= 1


@pytest.mark.parametrize("tone", [254, 255])
def test_holes_that_are_not_white_or_have_soft_edges_are_filled_as_the_network_has_it(tone):
    before, after = (np.full((40, 50, 3), 100, np.uint8) for _ in range(2))
    before[10:13], after[9:14] = tone, 60
    if tone == 255:
        before[9], before[13] = 180, 180
    assert np.array_equal(holes_filled(before, after), after)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_who_fills_a_white_background_is_not_believed(dtype):
    most = np.iinfo(dtype).max
    before = np.full((40, 50, 3), most, dtype)
    before[10:30, 10:40] = most // 4
    before[18:20, 15:35] = most  # a hole in what stands before the background
    hole, all_of_it = before.copy(), before.copy()
    hole[18:20, 15:35] = most // 4
    all_of_it[(before == most)] = most // 4
    filled = holes_filled(before, hole).astype(int)
    assert np.abs(filled - hole).max() <= most // 255, "what is in front of it is filled"
    assert np.array_equal(holes_filled(before, all_of_it), before)


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_goes_in_straight_lines(strength):
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 256, (300, 3, 3)).astype(np.uint8) for _ in range(2))
    wanted = (1 - strength) * before + strength * after
    assert np.abs(blended(before, after, strength) - wanted).max() <= 0.5 + 1e-4


@given(st.data(), st.sampled_from([np.uint8, np.uint16]), st.integers(1, 4), st.integers(0, 5))
def test_a_mean_is_rounded_once(data, dtype, count, more):
    first, *others = (data.draw(arrays(dtype, (2, 3, 3))) for _ in range(1 + more))
    mean = Mean(first.copy(), count)
    for rgb in others:
        mean.add(rgb)
    exact = (count * first.astype(float) + sum(rgb.astype(float) for rgb in others)) / (count + more)
    assert mean.rgb().dtype == dtype and np.array_equal(mean.rgb(), np.floor(exact + 0.5))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_results_agree_as_much_as_they_change_more_than_they_differ(dtype):
    white = np.iinfo(dtype).max
    before = np.full((4, 6, 3), white // 5, dtype)
    more, less = (before + dtype(share * white) for share in (0.4, 0.2))
    assert agreement(before, [more, less]) == pytest.approx(3, rel=1e-2)  # 0.3 on average, 0.1 off it
    opposite = before - dtype(0.2 * white)
    assert agreement(before, [less, opposite]) == pytest.approx(0, abs=0.05)
    assert agreement(before, [more, more.copy()]) == np.inf


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_change_is_the_rms_difference_of_floats(dtype):
    rng, white = np.random.default_rng(0), np.iinfo(dtype).max
    before, after = (rng.integers(0, white, (5, 7, 3), dtype=dtype, endpoint=True) for _ in range(2))
    assert change(before, before) == 0
    assert change(before, after) == pytest.approx(np.sqrt(np.mean((before / white - after / white) ** 2)), rel=1e-5)
