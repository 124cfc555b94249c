import numpy as np
import pytest

from lorair_cli.restoration.background import white_background


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_background_is_what_is_white_and_reaches_the_edges(dtype):
    most = np.iinfo(dtype).max
    photo = np.full((40, 60, 3), most, dtype)
    photo[10:30, 20:40] = most // 3
    photo[15:18, 25:30] = most  # enclosed
    photo[0, :30] = most // 255 * 251  # compressed
    found = white_background(photo)
    expected = np.ones((40, 60), bool)
    expected[10:30, 20:40] = False
    assert found.dtype == bool and np.array_equal(found, expected)


@pytest.mark.parametrize(("tone", "there"), [(255, True), (250, True), (249, False), (0, False)])
def test_it_is_white(tone, there):
    photo = np.full((32, 32, 3), tone, np.uint8)
    photo[8:24, 8:24] = 90
    assert white_background(photo).any() == there


@pytest.mark.parametrize(("missing", "there"), [(16, False), (30, True)])
def test_a_hole_at_one_side_is_no_background(missing, there):
    """Half a photo that is missing makes half of the edges white, or a little more."""
    photo = np.full((32, 32, 3), 90, np.uint8)
    photo[:, :missing] = 255
    assert white_background(photo).any() == there
