import dataclasses

import numpy as np
import pytest

from lorair_cli.data.synthesis.light import to_linear
from lorair_cli.data.synthesis.shadow import ShadowParameters, apply, draw

WALL = np.full((120, 160, 3), 0.8, np.float32)
SHAPES = ("blob", "edge", "object", "dapple")


def shadow(shape, **changes):
    parameters = ShadowParameters(
        shape=shape, area=0.4, remaining=(0.2, 0.25, 0.3), penumbra=2.0, scale=150, unevenness=0.0
    )
    return dataclasses.replace(parameters, **changes)


@pytest.mark.parametrize("seed", range(8))
def test_a_shadow_only_darkens(seed):
    rng = np.random.default_rng(seed)
    clean = rng.random((64, 80, 3), dtype=np.float32)
    shaded = apply(clean, draw(rng, 0.8), rng)
    assert np.all(shaded <= clean)
    assert np.mean(shaded < clean) > 0.05


@pytest.mark.parametrize("shape", SHAPES)
def test_full_shadow_keeps_the_light_that_was_asked_for_and_the_rest_is_lit(shape):
    shaded = apply(WALL, shadow(shape), np.random.default_rng(5))
    light = to_linear(shaded) / to_linear(WALL)
    np.testing.assert_allclose(light.min(axis=(0, 1)), (0.2, 0.25, 0.3), atol=0.01)
    np.testing.assert_array_equal(shaded.max(axis=(0, 1)), WALL[0, 0])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shadow_covers_about_its_area(shape):
    areas = [np.mean(apply(WALL, shadow(shape, area=0.4), np.random.default_rng(k))[..., 1] < 0.65) for k in range(10)]
    assert np.mean(areas) == pytest.approx(0.4, abs=0.12)


def test_a_wide_penumbra_has_a_gentler_edge():
    steepest = [
        np.abs(np.diff(apply(WALL, shadow("edge", penumbra=p), np.random.default_rng(0))[..., 0], axis=1)).max()
        for p in (1.0, 12.0)
    ]
    assert steepest[1] < 0.6 * steepest[0]


def test_unevenness_lets_light_in_but_keeps_the_lit_part():
    even, uneven = (apply(WALL, shadow("blob", unevenness=u), np.random.default_rng(0)) for u in (0.0, 0.5))
    assert np.all(uneven >= even - 1e-6)
    assert uneven.mean() > even.mean()
