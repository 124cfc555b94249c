import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from lorair_cli.errors import ImageError, UsageError
from lorair_cli.evaluation.alignment import align, aligned_psnr, aligned_ssim
from lorair_cli.evaluation.metrics import eight_bits, luma, ssim_gaussian
from lorair_cli.evaluation.protocols import PROTOCOLS, get_protocol
from lorair_cli.imaging.decode import read_photo

FIXTURES = Path(__file__).parents[1] / "fixtures" / "metrics"
GOLDEN = json.loads((FIXTURES / "golden.json").read_text())["noisy25"]


@pytest.fixture(scope="module")
def pairs():
    names = sorted(p.name for p in (FIXTURES / "target").iterdir())
    assert len(names) == 4
    return [[read_photo(FIXTURES / folder / name).rgb for folder in ("noisy25", "target")] for name in names]


@pytest.mark.parametrize(
    "protocol, key",
    [
        ("histoformer-y", "histoformer_bgr_y"),
        ("diffuir-y", "diffuir_y"),
        ("matlab-y", "matlab_y"),
        ("diffuir-sots-y", "matlab_y"),
        ("promptir-rgb", "promptir_rgb"),
        ("daclip-rgb", "daclip_rgb_crop4"),
        ("ldr-rgb", "basicsr_rgb_gauss"),
        ("mixed", "basicsr_rgb_gauss"),
        ("rgb", "basicsr_rgb_gauss"),
    ],
)
def test_golden_values(pairs, protocol, key):
    p = get_protocol(protocol)
    scores = np.mean([p.score(noisy / 255, truth) for noisy, truth in pairs], axis=0)
    assert scores == pytest.approx(GOLDEN[key], abs=0.0002)
    assert abs(scores[0] - GOLDEN[key][0]) < 0.0005


def test_golden_ssim_of_true_luma(pairs):
    values = [ssim_gaussian(luma(noisy), luma(truth), 255.0) for noisy, truth in pairs]
    assert np.mean(values) == pytest.approx(GOLDEN["weatherdiff_y"][1], abs=0.0002)


def test_histoformer_swaps_red_and_blue(pairs):
    """On true luma the golden value is another one, and swapping the channels of both pictures leads there."""
    p = get_protocol("histoformer-y")
    swapped = np.mean([p.score(noisy[..., ::-1] / 255, truth[..., ::-1]) for noisy, truth in pairs], axis=0)
    assert swapped == pytest.approx(GOLDEN["histoformer_true_y"], abs=0.0002)


def test_daclip_ignores_exactly_four_pixels_at_the_border(pairs):
    noisy, truth = pairs[0]
    p, spoilt = get_protocol("daclip-rgb"), noisy.copy()
    spoilt[:4], spoilt[-4:], spoilt[:, :4], spoilt[:, -4:] = 0, 255, 0, 255
    assert p.score(spoilt / 255, truth) == p.score(noisy / 255, truth)
    spoilt[4, 20] = 255 - truth[4, 20]
    assert p.score(spoilt / 255, truth) != p.score(noisy / 255, truth)


def test_promptir_crops_around_the_middle_and_does_not_round(pairs):
    noisy, truth = pairs[0]  # 150 x 171 -> 144 x 160, from row 3, column 5
    p, spoilt = get_protocol("promptir-rgb"), noisy.copy()
    spoilt[:3], spoilt[147:], spoilt[:, :5], spoilt[:, 165:] = 0, 0, 0, 0
    assert p.prepared(noisy).shape == (144, 160, 3)
    assert p.score(spoilt / 255, truth) == p.score(p.prepared(noisy) / 255, p.prepared(truth))
    dim = truth // 2
    almost = (dim + 0.4) / 255  # rounded to 8 bits it would be the truth itself
    assert p.score(almost, dim).psnr == pytest.approx(20 * np.log10(255 / 0.4), abs=0.01)
    assert get_protocol("rgb").score(almost, dim).psnr == 100


def test_volumetric_ssim_against_a_direct_sum():
    """A small picture, the formula of Wang et al. written as plain loops over an 11 x 11 x 11 window."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2, 20, 21, 3)).astype(np.uint8)
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.einsum("i,j,k", *(3 * [taps / taps.sum()]))
    a, b = (np.pad(p.astype(float), 5, mode="edge") for p in (x, y))
    c1, c2, total = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for index in np.ndindex(x.shape):
        u, v = (p[tuple(slice(i, i + 11) for i in index)] for p in (a, b))
        mu, mv = (window * u).sum(), (window * v).sum()
        uu, vv, uv = (window * u * u).sum() - mu**2, (window * v * v).sum() - mv**2, (window * u * v).sum() - mu * mv
        total.append((2 * mu * mv + c1) * (2 * uv + c2) / ((mu**2 + mv**2 + c1) * (uu + vv + c2)))
    for name in ("matlab-rgb", "diffuir-udc"):
        assert get_protocol(name).score(x / 255, y).ssim == pytest.approx(np.mean(total), abs=1e-4)


def test_realblur_forgives_shift_and_brightness():
    truth = skimage.data.chelsea()[40:240, 60:300]
    shift = np.float32([[1, 0, 2.0], [0, 1, -1.0]])
    moved = cv2.warpAffine(truth, shift, truth.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    moved = moved / 255 * 0.9
    aligned, plain = get_protocol("realblur-aligned").score(moved, truth), get_protocol("rgb").score(moved, truth)
    assert plain.psnr < 27 and aligned.psnr > 36 and aligned.ssim > 0.97 > plain.ssim


def test_realblur_counts_only_what_lies_inside():
    """Three columns of the truth are not in the shifted result, and three of the result are not in the truth."""
    truth = skimage.data.chelsea()[40:240, 60:300].copy()
    rng = np.random.default_rng(0)
    moved = np.empty_like(truth)
    moved[:, 3:] = truth[:, :-3]
    moved[:, :3], truth[:, -3:] = rng.integers(0, 256, (2, 200, 3, 3))
    scores = get_protocol("realblur-aligned").score(moved / 255, truth)
    assert scores.psnr > 36 and scores.ssim > 0.99
    aligned, inside = align(moved / np.float32(255), truth / np.float32(255))
    assert not inside[:, -3:].any() and inside[5:-5, :-4].all()
    assert aligned_psnr(aligned, truth / np.float32(255), np.ones_like(inside)) < 30, "there is garbage to leave out"


def test_ssim_of_a_part_is_untouched_by_the_rest():
    truth = skimage.data.chelsea()[40:140, 60:180] / np.float32(255)
    rng = np.random.default_rng(0)
    result = np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32)
    inside = np.zeros(truth.shape[:2], bool)
    inside[:, :60] = True
    part = aligned_ssim(result, truth, inside)
    for rest in (truth, rng.random(truth.shape, np.float32)):
        assert aligned_ssim(np.where(inside[..., None], result, rest), truth, inside) == part
    assert part == pytest.approx(aligned_ssim(result[:, :60], truth[:, :60], inside[:, :60]), abs=0.05)


def test_realblur_refuses_what_cannot_be_aligned():
    with pytest.raises(ImageError, match="aligned"):
        get_protocol("realblur-aligned").score(np.zeros((40, 40, 3)), np.full((40, 40, 3), 9, np.uint8))


def test_truth_of_another_size():
    truth = skimage.data.astronaut()[:64, :64]
    half = cv2.resize(truth, (32, 32), interpolation=cv2.INTER_LINEAR) / 255
    assert get_protocol("histoformer-y").score(half, truth).psnr > 45
    assert get_protocol("diffuir-sots-y").score(half, truth).psnr > 20
    with pytest.raises(ImageError, match=r"32x32.*64x64"):
        get_protocol("diffuir-y").score(half, truth)


@pytest.mark.parametrize("name", [n for n, p in PROTOCOLS.items() if p.measure is not None])
def test_equal_pictures_and_tiny_pictures(name):
    photo = skimage.data.coffee()[100:164, 100:180]
    scores = get_protocol(name).score(photo / 255, photo)
    assert scores.ssim == pytest.approx(1, abs=1e-4) and scores.psnr > 60
    with pytest.raises(ImageError, match="too few"):
        get_protocol(name).score(photo[:12, :12] / 255, photo[:12, :12])


def test_rounding_is_half_to_even_after_clipping():
    assert eight_bits(np.array([-1, 0.5 / 255, 1.5 / 255, 2.5 / 255, 2.0])).tolist() == [0, 0, 2, 2, 255]


def test_unknown_protocol_and_no_ground_truth():
    with pytest.raises(UsageError, match="psnr-y"):
        get_protocol("psnr-y")
    with pytest.raises(UsageError, match="no ground truth"):
        get_protocol("no-reference").score(np.zeros((32, 32, 3)), np.zeros((32, 32, 3), np.uint8))
