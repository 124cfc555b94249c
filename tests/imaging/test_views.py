import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lorair_cli.imaging.views import REACH, native_views, resize_views

sizes = st.integers(1, 70)


@pytest.fixture(autouse=True)
def a_short_reach(monkeypatch):
    """Three windows of 16 pixels, so that small pictures are large ones."""
    monkeypatch.setattr("lorair_cli.imaging.views.REACH", 48)


def coordinates(h, w):
    """A photo whose red and green say where a pixel is."""
    y, x = np.mgrid[:h, :w]
    return np.stack([y, x, np.zeros_like(y)], -1).astype(np.uint8)


@given(h=sizes, w=sizes)
@settings(max_examples=40, deadline=None)
def test_any_size_gives_square_views(h, w):
    photo = coordinates(h, w)
    assert resize_views(photo, 16).shape == (5, 16, 16, 3)
    views = native_views(photo, 16)
    assert views.shape[1:] == (16, 16, 3) and views.dtype == np.uint8
    expected = min(3, max(1, -(-h // 16))) * min(3, max(1, -(-w // 16)))
    assert len(views) == 1 + expected


@given(h=st.integers(16, 90), w=st.integers(16, 90))
@settings(max_examples=40, deadline=None)
def test_native_windows_are_the_photos_own_pixels_and_reach_every_border(h, w):
    photo, views = coordinates(h, w), native_views(coordinates(h, w), 16)[1:]
    seen = np.zeros((h, w), bool)
    for window in views:
        top, left = window[0, 0, :2]
        assert np.array_equal(window, photo[top : top + 16, left : left + 16])
        seen[top : top + 16, left : left + 16] = True
    borders = (seen[0], seen[-1], seen[:, 0], seen[:, -1])
    # One window per direction lies in the middle; from two on, the first and the last touch the borders.
    for border, across in zip(borders, (h, h, w, w), strict=True):
        assert border.any() == (across > 16) or across == 16
    if h <= 48 and w <= 48:
        assert seen.all()


def test_native_windows_are_spread_evenly():
    corners = [tuple(v[0, 0, :2]) for v in native_views(coordinates(100, 60), 20)[1:]]
    assert corners == [(y, x) for y in (0, 40, 80) for x in (0, 20, 40)]


@pytest.mark.parametrize(("view", "side_by_side"), [(128, 6), (96, 8), (336, 3), (600, 3)])
def test_small_windows_are_more(monkeypatch, view, side_by_side):
    monkeypatch.setattr("lorair_cli.imaging.views.REACH", REACH)
    assert len(native_views(np.zeros((9 * view, 2 * view, 3), np.uint8), view)) == 1 + 2 * side_by_side


@pytest.mark.parametrize("h, w", [(1, 1), (3, 40), (40, 3), (15, 16)])
def test_small_photos_are_mirrored_at_their_own_scale(h, w):
    photo = np.random.default_rng(0).integers(0, 256, (h, w, 3), dtype=np.uint8)
    # Row 0, 1, 2 of a photo of three rows continues 2, 1, 0, 0, 1, 2, ...
    rows, columns = ([min(i % (2 * n), 2 * n - 1 - i % (2 * n)) for i in range(max(n, 16))] for n in (h, w))
    mirrored = photo[np.ix_(rows, columns)]
    first = native_views(photo, 16)[1]
    assert np.array_equal(first, mirrored[:16, :16])


def test_the_first_view_is_the_whole_photo():
    photo = skimage.data.astronaut()
    expected = np.asarray(Image.fromarray(photo).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(native_views(photo, 32)[0], expected)
    assert np.array_equal(resize_views(photo, 32)[0], expected)


def test_resize_views_are_the_quarters_of_the_photo_at_twice_the_side():
    photo = skimage.data.chelsea()
    views = resize_views(photo, 24)
    whole = np.asarray(Image.fromarray(photo).resize((48, 48), Image.Resampling.BICUBIC))
    joined = np.concatenate([np.concatenate(views[1:3], 1), np.concatenate(views[3:5], 1)], 0)
    assert np.array_equal(joined, whole)


def test_random_windows_lie_inside_and_follow_their_seed():
    photo = coordinates(50, 60)
    views = native_views(photo, 16, limit=7, rng=np.random.default_rng(3))
    assert len(views) == 8
    for window in views[1:]:
        top, left = window[0, 0, :2]
        assert np.array_equal(window, photo[top : top + 16, left : left + 16])
    assert len({tuple(v[0, 0]) for v in views[1:]}) > 1
    assert np.array_equal(views, native_views(photo, 16, limit=7, rng=np.random.default_rng(3)))
    assert not np.array_equal(views, native_views(photo, 16, limit=7, rng=np.random.default_rng(4)))


def test_random_windows_reach_the_last_pixel():
    rng = np.random.default_rng(0)
    corners = {tuple(native_views(coordinates(17, 17), 16, 1, rng)[1][0, 0, :2]) for _ in range(60)}
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_random_windows_need_a_generator():
    with pytest.raises(ValueError, match="random"):
        native_views(coordinates(20, 20), 16, limit=2)
