import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.data.synthesis import blur
from lorair_cli.data.synthesis.blur import BlurParameters, motion_kernel
from lorair_cli.data.synthesis.light import to_linear

PHOTO = skimage.data.astronaut()[:160, :160].astype(np.float32) / 255


def rng(seed=0):
    return np.random.default_rng(seed)


def spread(kernel):
    """Variance of the kernel across and along its main direction, in square pixels."""
    y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
    places = np.stack([x.ravel(), y.ravel()])
    return np.linalg.eigvalsh(places * kernel.astype(np.float64).ravel() @ places.T)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["shake", "arc", "linear"]),
    st.floats(1, 60),
    st.floats(0.05, 2),
    st.floats(0, 3),
    st.floats(-3, 3),
    st.integers(0, 2**32 - 1),
)
def test_kernel_keeps_light_and_place(kind, length, inertia, jerks, turn, seed):
    kernel = motion_kernel(BlurParameters(kind, length, inertia, jerks, turn if kind == "arc" else 0.0), rng(seed))
    side = kernel.shape[0]
    assert kernel.shape == (side, side)
    assert side % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    places = np.arange(side) - side // 2
    if kind == "arc":  # the GT is of mid-exposure: on the path
        assert kernel[side // 2, side // 2] > 0
    else:
        assert kernel.sum(axis=0) @ places == pytest.approx(0, abs=1e-3)
        assert kernel.sum(axis=1) @ places == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("kind", ["shake", "arc", "linear"])
@pytest.mark.parametrize("length", [3, 11, 35])
def test_kernel_has_the_asked_length(kind, length):
    """The greatest distance between two pixels that the path touches, give or take the splat."""
    for seed in range(5):
        kernel = motion_kernel(BlurParameters(kind, length, turn=1.0 if kind == "arc" else 0.0), rng(seed))
        points = np.argwhere(kernel > 1e-7)
        widest = np.max(np.linalg.norm(points[:, None] - points[None], axis=2))
        assert length - 1 <= widest <= 1.03 * length + 3


def test_linear_motion_is_straight_and_even():
    across, along = spread(motion_kernel(BlurParameters("linear", 20), rng(2)))
    assert across < 0.5  # the splat's width only
    assert along == pytest.approx(20**2 / 12, rel=0.1)  # the variance of an even line


@pytest.mark.parametrize("turn", [0.3, 1.0, -1.0, 1.8])
def test_an_arc_is_part_of_a_circle_seen_from_its_middle(turn):
    length, half = 20.0, abs(turn) / 2
    radius = length / (2 * np.sin(half))  # its length is that of the chord
    for seed in range(5):
        kernel = motion_kernel(BlurParameters("arc", length, turn=turn), rng(seed)).astype(np.float64)
        y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
        centroid = np.array([(kernel * x).sum(), (kernel * y).sum()])
        assert np.linalg.norm(centroid) == pytest.approx(radius * (1 - np.sin(half) / half), rel=0.02)
        centre = radius * centroid / np.linalg.norm(centroid)
        off = np.abs(np.hypot(x - centre[0], y - centre[1]) - radius)
        assert off[kernel > 1e-7].max() < 1.5


def test_lines_arcs_and_trembling_hands_are_all_drawn():
    kinds = [blur.draw(rng(seed), 0.5) for seed in range(400)]
    shares = {kind: np.mean([p.kind == kind for p in kinds]) for kind in ("linear", "arc", "shake")}
    assert shares == pytest.approx({"linear": 0.2, "arc": 0.4, "shake": 0.4}, abs=0.08)
    turns = [p.turn for p in kinds if p.kind == "arc"]
    assert min(turns) < -1.5 and max(turns) > 1.5 and all(p.turn == 0 for p in kinds if p.kind != "arc")


def test_shake_is_not_straight():
    across = [spread(motion_kernel(BlurParameters("shake", 20, 0.3, 1.0), rng(seed)))[0] for seed in range(20)]
    assert np.median(across) > 1


def test_light_is_averaged_in_linear_light():
    """A white point on black: the light that is spread adds up to the point's own, and stays centred on it."""
    clean = np.zeros((81, 81, 3), np.float32)
    clean[40, 40] = 1
    blurred = blur.apply(clean, BlurParameters("shake", 15), rng(4))
    assert to_linear(blurred).sum() == pytest.approx(3, rel=1e-2)
    weights = to_linear(blurred)[..., 0]
    assert (weights.sum(axis=0) @ np.arange(81)) / weights.sum() == pytest.approx(40, abs=0.1)
    assert (weights.sum(axis=1) @ np.arange(81)) / weights.sum() == pytest.approx(40, abs=0.1)


def test_an_even_photo_stays_even():
    even = np.full((40, 50, 3), 0.6, np.float32)
    np.testing.assert_allclose(blur.apply(even, BlurParameters("linear", 30), rng()), even, atol=1e-4)


def test_strength_sets_length():
    lengths = [np.mean([blur.draw(rng(seed), s).length for seed in range(200)]) for s in (0, 0.5, 1)]
    assert 3 < lengths[0] < 5
    assert 9 < lengths[1] < 15
    assert 30 < lengths[2] < 40


def test_stronger_is_further_from_the_photo():
    errors = [
        np.mean([np.mean((blur.apply(PHOTO, blur.draw(r, s), r) - PHOTO) ** 2) for r in map(rng, range(10))])
        for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert errors == sorted(errors)
    assert errors[-1] > 3 * errors[0]
