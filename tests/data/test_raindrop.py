import dataclasses

import cv2
import numpy as np

from lorair_cli.data.synthesis.raindrop import RaindropParameters, apply, draw

CLEAR = RaindropParameters(
    coverage=0.05,
    radius=40,
    radius_spread=0.1,
    irregularity=0.05,
    stretch=1.1,
    closest=0.9,
    defocus=0.05,
    reach=0.5,
    opacity=1.0,
    glow=0.0,
    rim=0.0,
    highlight=0.0,
)


def sky_over_ground(height=160, width=200):
    scene = np.zeros((height, width, 3), np.float32)
    scene[: height // 2] = (0.5, 0.7, 1.0)
    return scene


def test_between_the_drops_the_photo_is_untouched():
    clean = np.random.default_rng(0).random((160, 200, 3), dtype=np.float32)
    wet = apply(clean, CLEAR, np.random.default_rng(1))
    touched = np.any(wet != clean, axis=2)
    assert 0.01 < touched.mean() < 0.15


def test_a_drop_shows_the_scene_upside_down():
    clean = sky_over_ground()
    ground_brightened = sky_darkened = 0.0
    for seed in range(10):
        change = (apply(clean, dataclasses.replace(CLEAR, coverage=0.3), np.random.default_rng(seed)) - clean)[..., 0]
        sky_darkened -= change[:80].sum()
        ground_brightened += change[80:].sum()
        # In the ground half, light shows at the bottom of drops, far from the horizon too.
        assert change[80:].min() >= 0
    assert sky_darkened > 0
    assert ground_brightened > 0


def test_a_plain_wall_hides_drops_without_rim_glow_and_highlight():
    wall = np.full((100, 100, 3), 0.4, np.float32)
    np.testing.assert_allclose(apply(wall, CLEAR, np.random.default_rng(0)), wall, atol=1e-5)
    darker = apply(wall, dataclasses.replace(CLEAR, rim=0.4), np.random.default_rng(0))
    brighter = apply(wall, dataclasses.replace(CLEAR, highlight=0.4), np.random.default_rng(0))
    assert darker.min() < 0.35 and darker.max() <= 0.4 + 1e-5
    assert brighter.max() > 0.5 and brighter.min() >= 0.4 - 1e-5


def test_fine_detail_does_not_survive_in_a_drop():
    noise = np.random.default_rng(0).random((160, 160, 3), dtype=np.float32)
    window = apply(noise, dataclasses.replace(CLEAR, coverage=4.0), np.random.default_rng(0))
    covered = np.all(window != noise, axis=2).astype(np.uint8)
    inside = cv2.erode(covered, np.ones((7, 7), np.uint8)) > 0
    assert inside.mean() > 0.2
    assert window[inside].std() < 0.4 * noise.std()


def test_drops_scale_with_the_photo():
    parameters = dataclasses.replace(draw(np.random.default_rng(0), 0.5), defocus=0.1, highlight=0.5, coverage=0.2)
    shares = []
    for side in (120, 360):
        wall = np.full((side, side, 3), 0.4, np.float32)
        shares.append(np.mean(apply(wall, parameters, np.random.default_rng(2)) > 0.45))
    assert shares[0] > 0.005
    assert abs(shares[0] - shares[1]) < 0.35 * shares[1]


def test_drops_run_into_each_other_only_where_they_may():
    wall = np.full((160, 200, 3), 0.4, np.float32)
    wet = dataclasses.replace(CLEAR, radius=30, radius_spread=0.0, irregularity=0.0, coverage=0.5, highlight=0.5)

    def largest_blot(closest: float) -> int:
        window = apply(wall, dataclasses.replace(wet, stretch=1.0, closest=closest), np.random.default_rng(0))
        _, _, stats, _ = cv2.connectedComponentsWithStats((window[..., 0] > 0.401).astype(np.uint8))
        return int(stats[1:, cv2.CC_STAT_AREA].max())

    assert largest_blot(0.4) > 1.5 * largest_blot(1.3)


def test_what_a_drop_shows_is_as_far_out_of_focus_as_its_edge():
    wall = np.full((160, 160, 3), 0.4, np.float32)
    lit = dataclasses.replace(CLEAR, radius_spread=0.0, coverage=0.3, highlight=0.5)

    def spot(defocus: float) -> float:
        return float(apply(wall, dataclasses.replace(lit, defocus=defocus), np.random.default_rng(3)).max()) - 0.4

    # The blur of the edge alone leaves the middle of a drop, and the spot near it, all but as bright as it is in focus.
    assert spot(0.02) > 0.4
    assert spot(0.4) < 0.6 * spot(0.02)
