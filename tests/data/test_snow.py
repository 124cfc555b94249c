import dataclasses

import numpy as np
import pytest

from lorair_cli.data.synthesis.snow import FlakeLayer, SnowParameters, apply, draw

BLACK = np.zeros((120, 160, 3), np.float32)


def snow(radius, coverage=0.05, **changes):
    layer = FlakeLayer(coverage=coverage, radius=radius, defocus=0.2, motion=1.0, angle=0.0, opacity=0.8)
    layer = dataclasses.replace(layer, **changes)
    return SnowParameters((layer,), radius_spread=0.1, irregularity=0.1, white=0.95, veil=0.0)


@pytest.mark.parametrize("seed", range(6))
def test_every_pixel_moves_towards_white_or_stays(seed):
    rng = np.random.default_rng(seed)
    clean = rng.random((64, 80, 3), dtype=np.float32)
    parameters = draw(rng, 0.9)
    snowy = apply(clean, parameters, rng)
    darker = clean < parameters.white
    assert np.all(snowy[darker] >= clean[darker] - 1e-6)
    assert np.all(snowy[~darker] <= clean[~darker] + 1e-6)


@pytest.mark.parametrize("radius", [3, 40])
def test_flakes_cover_about_what_was_asked_and_are_no_more_opaque(radius):
    covered = [np.mean(apply(BLACK, snow(radius, 0.1), np.random.default_rng(k)) > 0.1) for k in range(12)]
    assert 0.04 < np.mean(covered) < 0.25
    assert apply(BLACK, snow(radius, 0.1), np.random.default_rng(0)).max() <= 0.8 * 0.95 + 1e-5


def test_big_flakes_are_fewer_and_wider_than_small_ones():
    small, big = (apply(BLACK, snow(radius, 0.1), np.random.default_rng(0))[..., 0] for radius in (3, 40))

    # Edge length per lit area falls with the size.
    def raggedness(mask):
        return np.abs(np.diff(mask.astype(int), axis=1)).sum() / mask.sum()

    assert raggedness(small > 0.1) > 2 * raggedness(big > 0.1)


@pytest.mark.parametrize("radius", [4, 30])
def test_motion_stretches_flakes_along_their_fall(radius):
    flakes = apply(BLACK, snow(radius, motion=3.0, angle=90.0), np.random.default_rng(0))[..., 0]
    # 90 degrees from vertical: they fly sideways, so brightness changes less along x than along y.
    assert np.abs(np.diff(flakes, axis=1)).mean() < 0.7 * np.abs(np.diff(flakes, axis=0)).mean()
