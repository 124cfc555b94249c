"""PSNR, SSIM and LOE as plain functions of two pictures; :mod:`lorair_cli.evaluation.protocols` says which, and how.

The SSIM variants of the field differ in window, border and the way colour is treated. All of them are scikit-image's
``structural_similarity`` on suitably padded pictures, so the formula itself (Wang et al., TIP 2004) is written nowhere.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

Values: TypeAlias = npt.NDArray[np.floating[Any]]
Bytes: TypeAlias = npt.NDArray[np.uint8]

IDENTICAL = 100.0
"""PSNR in dB of two equal pictures, which is infinite: a number, so that means and JSON stay finite. None is larger."""
GAUSSIAN_REACH = 5
"""Pixels that the Gaussian window of SSIM (11 wide, sigma 1.5) reaches to each side."""
LOE_GRID = 50
"""Samples of LOE along a picture's short side."""
LOE_AT_ONCE = 2**24
"""Pairs of samples that LOE compares at a time: 50 MB."""


def eight_bits(rgb: Values) -> Bytes:
    """Values in [0, 1] as a saved 8-bit file holds them: clipped, times 255, halves rounded to even."""
    return np.rint(np.clip(rgb, 0.0, 1.0) * 255).astype(np.uint8)


def luma(rgb: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Y of ITU-R BT.601 in [16, 235], not rounded, of ``rgb`` (h, w, 3) in [0, 255], as (h, w)."""
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return np.asarray(rgb.astype(np.float64) @ weights + 16)


def psnr(image: Values, truth: Values, white: float) -> float:
    """Peak signal-to-noise ratio in dB over all values; ``white`` is the largest value a picture can have."""
    if np.array_equal(image, truth):
        return IDENTICAL
    return min(float(peak_signal_noise_ratio(truth, image, data_range=white)), IDENTICAL)


def ssim_uniform(image: Values, truth: Values, window: int, white: float) -> float:
    """SSIM with a flat window and sample covariance, where the window fits; colour is the mean of the channels."""
    axis = 2 if image.ndim == 3 else None
    return float(structural_similarity(truth, image, win_size=window, data_range=white, channel_axis=axis))


def ssim_gaussian(image: Values, truth: Values, white: float) -> float:
    """SSIM with the Gaussian window of Wang et al., where it fits ("valid"); colour is the mean of the channels."""
    return _gaussian(image, truth, white, 2 if image.ndim == 3 else None)


def ssim_gaussian_full(image: Values, truth: Values, white: float) -> float:
    """The same over the whole picture, whose border pixels are repeated outwards. Grey (h, w) only."""
    # Averaging where the window fits into the padded picture is averaging over every pixel of the picture itself.
    return _gaussian(_repeated(image), _repeated(truth), white, None)


def ssim_volume(image: Values, truth: Values, white: float) -> float:
    """SSIM with a Gaussian ball over (h, w, 3) as one volume, borders repeated, as MATLAB's ``ssim`` does."""
    padded = (_repeated(image.astype(np.float32)), _repeated(truth.astype(np.float32)))
    return _gaussian(*padded, white, None)


def _repeated(image: Values) -> Values:
    return np.pad(image, GAUSSIAN_REACH, mode="edge")


def _gaussian(image: Values, truth: Values, white: float, axis: int | None) -> float:
    return float(
        structural_similarity(
            truth,
            image,
            data_range=white,
            channel_axis=axis,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def loe(lq: npt.NDArray[Any], restored: npt.NDArray[Any]) -> float:
    """Lightness order error: how many pixels, on average over pixels, changed places in the order of lightness.

    Wang et al., "Naturalness Preserved Enhancement Algorithm for Non-Uniform Illumination Images", TIP 2013, section V:
    lightness is the largest of the three colours, compared on a grid of about ``LOE_GRID`` samples along the short
    side. 0 is best; the largest value is the number of samples, so numbers of unlike shapes differ slightly.

    Args:
        lq: what was restored, (h, w, 3).
        restored: the result, of the same shape.
    """
    step = max(min(lq.shape[:2]) // LOE_GRID, 1)
    before, after = (p.max(axis=2)[step // 2 :: step, step // 2 :: step].ravel() for p in (lq, restored))
    # Every sample is compared with every other: of a panorama there are too many to do so at once.
    rows, changed = max(LOE_AT_ONCE // len(before), 1), 0
    for top in range(0, len(before), rows):
        some = slice(top, top + rows)
        differ = (before[some, None] >= before[None, :]) ^ (after[some, None] >= after[None, :])
        changed += int(np.count_nonzero(differ))
    return float(changed / len(before))
