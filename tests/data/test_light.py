import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorair_cli.data.synthesis.light import to_display, to_linear


def test_curve_is_that_of_the_standard():
    display = np.linspace(0, 1, 4001)
    linear = np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(to_linear(display.astype(np.float32)), linear, atol=1e-6)
    np.testing.assert_allclose(to_display(linear.astype(np.float32)), display, atol=2e-6)


@pytest.mark.parametrize(("display", "linear"), [(0, 0), (1, 1), (0.5, 0.21404114), (0.04045, 0.0031308)])
def test_known_values(display, linear):
    assert to_linear(np.float32([display]))[0] == pytest.approx(linear, abs=1e-6)
    assert to_display(np.float32([linear]))[0] == pytest.approx(display, abs=1e-5)


@given(st.floats(0, 1, width=32))
def test_there_and_back(value):
    there = to_linear(np.float32([value]))
    assert there.dtype == np.float32
    assert to_display(there)[0] == pytest.approx(value, abs=2e-6)


def test_input_is_not_touched():
    photo = np.full((2, 3, 3), 0.25, np.float32)
    to_linear(photo)
    to_display(photo)
    assert (photo == np.float32(0.25)).all()
