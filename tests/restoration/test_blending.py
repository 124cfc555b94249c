import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lorair_cli.restoration.blending import LEAST_CHANGE, blended, holes_filled

DTYPES = st.sampled_from([np.uint8, np.uint16])


@given(data=st.data(), dtype=DTYPES, height=st.sampled_from([1, 255, 257]))
def test_a_pixel_is_left_alone_or_filled_or_lies_between(data, dtype, height):
    before, after = (data.draw(arrays(dtype, (height, 2, 3))) for _ in range(2))
    filled, most = holes_filled(before, after), np.iinfo(dtype).max
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


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_goes_in_straight_lines(strength):
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 256, (300, 3, 3)).astype(np.uint8) for _ in range(2))
    wanted = (1 - strength) * before + strength * after
    assert np.abs(blended(before, after, strength) - wanted).max() <= 0.5 + 1e-4
