from dataclasses import replace

import cv2
import numpy as np
import pytest

from lorair_cli.data.synthesis.inpainting import InpaintingParameters, apply, draw

SHAPES = {"thin": 15.0, "wide": 40.0, "scratch": 5.0, "line": 4.0, "box": 0.0, "letters": 30.0, "half": 0.0}
GREY = np.full((160, 200, 3), 0.5, np.float32)


def hole_share(shape, area, seed, clean=GREY):
    return float(
        np.mean(apply(clean, InpaintingParameters(shape, area, SHAPES[shape]), np.random.default_rng(seed)) == 1)
    )


@pytest.mark.parametrize("seed", range(8))
def test_holes_have_exactly_one_tone_and_the_rest_is_exactly_the_photo(seed):
    rng = np.random.default_rng(seed)
    clean = 0.6 * rng.random((64, 80, 3), dtype=np.float32)
    parameters = replace(draw(rng, 0.5), softness=0.0, opacity=1.0)
    holed = apply(clean, parameters, rng)
    hole = np.any(holed != clean, axis=2)
    assert hole.any() and not hole.all()
    assert np.all(holed[hole] == np.float32(parameters.tone))


def test_holes_are_white_but_for_some_scratches():
    drawn = [draw(np.random.default_rng(k), 0.5) for k in range(400)]
    tones = {shape: [p.tone for p in drawn if p.shape == shape] for shape in SHAPES}
    for shape, seen in tones.items():
        if shape in ("scratch", "line"):
            assert 0.1 < np.mean(np.array(seen) < 1) < 0.5 and min(seen) >= 0.7
        else:
            assert set(seen) == {1.0}


@pytest.mark.parametrize("shape", ["scratch", "line"])
def test_soft_scratches_are_those_of_hard_edges_with_a_seam(shape):
    hard = InpaintingParameters(shape, 0.03, 5.0, tone=0.9)
    one, other = (apply(GREY, p, np.random.default_rng(3))[..., 0] for p in (hard, replace(hard, softness=0.6)))
    assert other.max() == pytest.approx(0.9, abs=1e-6) and other.min() == 0.5, "between photo and tone"
    hole, touched = one > 0.5, other > 0.5 + 1e-3
    assert touched[hole].all() and touched.mean() > 1.1 * hole.mean()
    seam = touched & (other < 0.89)
    assert seam.any() and np.abs(other[hole].mean() - 0.9) < 0.1


def test_the_photo_shines_through_sheer_scratches():
    clean = np.random.default_rng(1).random((64, 80, 3), dtype=np.float32)
    opaque = InpaintingParameters("line", 0.05, 3.0, tone=0.9)
    one, other = (apply(clean, p, np.random.default_rng(3)) for p in (opaque, replace(opaque, opacity=0.75)))
    assert np.any(one != clean)
    assert other == pytest.approx(clean + 0.75 * (one - clean), abs=1e-6)


def test_some_scratches_let_the_photo_shine_through_and_no_other_holes_do():
    drawn = [draw(np.random.default_rng(k), 0.5) for k in range(400)]
    sheer = [p for p in drawn if p.opacity < 1]
    assert {p.shape for p in sheer} == {"scratch", "line"} and min(p.opacity for p in sheer) >= 0.7


def test_long_scratches_run_along_the_sides_and_some_all_across():
    longest = []
    for seed in range(40):
        hole = apply(GREY, InpaintingParameters("line", 0.02, 2.0), np.random.default_rng(seed))[..., 0] == 1
        longest.append((hole.mean(axis=0).max(), hole.mean(axis=1).max()))  # of a column, of a row
    assert max(column for column, _ in longest) > 0.8 and max(row for _, row in longest) > 0.8
    assert np.mean([max(pair) > 0.25 for pair in longest]) > 0.8


def test_some_long_scratches_are_bent_a_little():
    grey, bends = np.full((300, 400, 3), 0.5, np.float32), []
    for seed in range(120):
        hole = apply(grey, InpaintingParameters("line", 0.002, 1.0), np.random.default_rng(seed))[..., 0] == 1
        pieces, labels = cv2.connectedComponents(hole.astype(np.uint8))
        for piece in range(1, pieces):
            places = np.argwhere(labels == piece).astype(float)
            if len(places) > 60:
                places -= places.mean(axis=0)
                along, aside = (places @ np.linalg.svd(places, full_matrices=False)[2].T).T
                bends.append(np.ptp(aside) / np.ptp(along))
    # A straight one of 60 pixels and more is up to 0.04 wide; a few are two scratches that cross.
    assert 0.12 < np.mean(np.array(bends) > 0.05) < 0.5
    assert np.quantile(bends, 0.9) < 0.3


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
    drawn = [[draw(np.random.default_rng(k), s) for k in range(80)] for s in (0.0, 0.5, 1.0)]
    areas = [np.mean([p.area for p in some if p.shape != "line"]) for some in drawn]
    lines = [np.mean([p.area for p in some if p.shape == "line"]) for some in drawn]
    assert lines[0] < 0.005 < lines[1] < 0.05 < lines[2] < 0.12
    assert areas[0] < 0.03
    assert 0.12 < areas[1] < 0.18
    assert 0.3 < areas[2] <= 0.4


def test_every_shape_is_drawn():
    assert {draw(np.random.default_rng(k), 0.5).shape for k in range(200)} == set(SHAPES)
