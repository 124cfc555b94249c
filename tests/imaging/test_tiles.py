import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorair_cli.errors import UsageError
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.imaging.tiles import Tile, TileBlender, plan_tiles

# Shared machines stall: time says nothing about these tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def plans(draw):
    """Height, width, tile, overlap, multiple: all a plan exists for, overlaps beyond one half too."""
    multiple = draw(st.sampled_from([1, 2, 8, 16]))
    overlap = draw(st.integers(0, 40))
    tile = overlap + multiple + draw(st.integers(4, 40))
    return draw(st.integers(1, 120)), draw(st.integers(1, 120)), tile, overlap, multiple


@PATIENT
@given(plans())
def test_windows_are_aligned_inside_and_cover_everything(plan):
    height, width, tile, overlap, multiple = plan
    covered = np.zeros((height, width), int)
    tiles = plan_tiles(height, width, tile, overlap, multiple)
    for t in tiles:
        assert t.y0 % multiple == 0 and t.x0 % multiple == 0
        assert 0 <= t.y0 < t.y1 <= height and 0 <= t.x0 < t.x1 <= width
        assert t.shape[0] <= tile and t.shape[1] <= tile
        covered[t.window] += 1
    assert covered.min() >= 1
    assert tiles == sorted(tiles, key=lambda t: (t.y0, t.x0))
    assert len(set(tiles)) == len(tiles)
    for lengths in ([t.shape[0] for t in tiles], [t.shape[1] for t in tiles]):
        assert max(lengths) - min(lengths) < multiple, "of one length, but for the last"


@PATIENT
@given(plans())
def test_neighbours_share_the_overlap(plan):
    height, width, tile, overlap, multiple = plan
    tiles = plan_tiles(height, width, tile, overlap, multiple)
    for starts in (sorted({(t.y0, t.y1) for t in tiles}), sorted({(t.x0, t.x1) for t in tiles})):
        assert all(left[1] - right[0] >= overlap for left, right in itertools.pairwise(starts))


@PATIENT
@given(plans(), st.sampled_from([np.uint8, np.uint16]), st.integers(0, 2**32 - 1))
def test_a_network_that_changes_nothing_gives_the_photo_back(plan, dtype, seed):
    height, width, *sizes = plan
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)
    tiles = plan_tiles(height, width, *sizes)
    blender = TileBlender(tiles)
    assert blender.rows_kept <= sizes[0]
    output = np.zeros_like(photo)
    done = 0
    for t in tiles:
        for band in blender.add(t, to_float(photo[t.window])):
            assert band.y0 == done
            assert len(band.pixels) <= sizes[0]
            output[band.rows] = from_float(band.pixels, dtype)
            done = band.rows.stop
    assert done == height
    assert np.array_equal(output, photo)


@PATIENT
@given(plans())
def test_weights_add_up_to_one_exactly(plan):
    height, width, *sizes = plan
    tiles = plan_tiles(height, width, *sizes)
    blender = TileBlender(tiles, channels=1)
    for t in tiles:
        for band in blender.add(t, np.ones((*t.shape, 1), np.float32)):
            assert (band.pixels == 1).all()


def test_a_small_photo_is_one_tile():
    assert plan_tiles(30, 64, 64, 16, 16) == [Tile(0, 30, 0, 64)]


def test_the_last_window_moves_inside_and_windows_are_even():
    tiles = plan_tiles(16, 160, 64, 16, 16)
    assert [(t.x0, t.x1) for t in tiles] == [(0, 64), (48, 112), (96, 160)]
    tiles = plan_tiles(16, 130, 64, 16, 16)
    assert [(t.x0, t.x1) for t in tiles] == [(0, 64), (32, 96), (80, 130)]


@pytest.mark.parametrize(("height", "width", "most"), [(1080, 1620, 2.0), (1080, 1920, 2.3), (3000, 4000, 13.9)])
def test_hardly_more_is_computed_than_neighbours_have_to_share(height, width, most):
    """Windows of the full 1024 pixels are 4.2, 4.2 and 20.9 megapixels of these photos."""
    assert sum(t.shape[0] * t.shape[1] for t in plan_tiles(height, width, 1024, 64, 16)) / 1e6 <= most


def test_blending_fades_from_one_tile_to_the_next():
    tiles = plan_tiles(8, 48, 32, 16, 16)
    blender = TileBlender(tiles, channels=1)
    first, second = (np.full((8, 32, 1), value, np.float32) for value in (0, 1))
    assert list(blender.add(tiles[0], first)) == []
    (band,) = blender.add(tiles[1], second)
    row = band.pixels[3, :, 0]
    assert (row[:16] == 0).all() and (row[32:] == 1).all()
    assert (np.diff(row[16:32]) > 0).all()
    assert np.abs(np.diff(row)).max() < 0.11  # no seam: the steepest step of a cosine over 16 pixels is 0.098
    assert row[16:32] == pytest.approx(1 - row[16:32][::-1], abs=1 / 4096)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5000), (5000, 3)])
def test_extreme_shapes(height, width):
    tiles = plan_tiles(height, width, 256, 32, 16)
    blender = TileBlender(tiles)
    rows = [len(b.pixels) for t in tiles for b in blender.add(t, np.zeros((*t.shape, 3), np.float32))]
    assert sum(rows) == height


def test_memory_does_not_grow_with_the_height():
    small, large = (TileBlender(plan_tiles(height, 500, 128, 32, 16)) for height in (500, 50_000))
    assert small.rows_kept == large.rows_kept == 128


def test_tiles_that_cannot_step_are_the_users_error():
    with pytest.raises(UsageError, match="too small"):
        plan_tiles(500, 500, 64, 60, 16)
    with pytest.raises(ValueError, match="at least one pixel"):
        plan_tiles(0, 5, 64, 16, 16)


def test_results_out_of_order_or_out_of_shape_are_refused():
    tiles = plan_tiles(100, 100, 64, 16, 16)
    blender = TileBlender(tiles)
    with pytest.raises(ValueError, match="not the next"):
        blender.add(tiles[1], np.zeros((*tiles[1].shape, 3), np.float32))
    with pytest.raises(ValueError, match="does not fit"):
        blender.add(tiles[0], np.zeros((5, 5, 3), np.float32))
    for t in tiles:
        list(blender.add(t, np.zeros((*t.shape, 3), np.float32)))
    with pytest.raises(ValueError, match="not the next"):
        blender.add(tiles[-1], np.zeros((*tiles[-1].shape, 3), np.float32))
