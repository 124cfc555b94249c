import numpy as np
import pytest

from lorair_cli.data.synthesis.inpainting import InpaintingParameters, apply, draw

SHAPES = {"thin": 15.0, "wide": 40.0, "scratch": 5.0, "box": 0.0, "letters": 30.0, "half": 0.0}
GREY = np.full((160, 200, 3), 0.5, np.float32)


def hole_share(shape, area, seed, clean=GREY):
    return float(
        np.mean(apply(clean, InpaintingParameters(shape, area, SHAPES[shape]), np.random.default_rng(seed)) == 1)
    )


@pytest.mark.parametrize("seed", range(8))
def test_holes_are_exactly_white_and_the_rest_is_exactly_the_photo(seed):
    rng = np.random.default_rng(seed)
    clean = 0.9 * rng.random((64, 80, 3), dtype=np.float32)
    holed = apply(clean, draw(rng, 0.5), rng)
    hole = np.any(holed != clean, axis=2)
    assert hole.any() and not hole.all()
    assert np.all(holed[hole] == 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("area", [0.03, 0.15, 0.4])
def test_the_wanted_area_is_reached_and_not_far_exceeded(shape, area):
    shares = [hole_share(shape, area, seed) for seed in range(8)]
    assert min(shares) >= area - 0.005
    assert np.mean(shares) < area + 0.08


@pytest.mark.parametrize("shape", SHAPES)
def test_the_photo_never_vanishes(shape):
    tiny = np.full((16, 16, 3), 0.5, np.float32)
    assert max(hole_share(shape, 0.4, seed, tiny) for seed in range(20)) < 0.95


def test_half_takes_every_side_of_the_photo():
    sides = set()
    for seed in range(24):
        hole = apply(GREY, InpaintingParameters("half", 0.4, 0.0), np.random.default_rng(seed))[..., 0] == 1
        sides.add((bool(hole[0].all()), bool(hole[-1].all()), bool(hole[:, 0].all()), bool(hole[:, -1].all())))
    assert sides == {tuple(index == side for index in range(4)) for side in range(4)}


def test_strength_sets_the_area():
    areas = [np.mean([draw(np.random.default_rng(k), s).area for k in range(40)]) for s in (0.0, 0.5, 1.0)]
    assert areas[0] < 0.03
    assert 0.12 < areas[1] < 0.18
    assert 0.3 < areas[2] <= 0.4


def test_every_shape_is_drawn():
    assert {draw(np.random.default_rng(k), 0.5).shape for k in range(200)} == set(SHAPES)
