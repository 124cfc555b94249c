"""Measuring after alignment, for pairs whose two cameras never agreed to the pixel (RealBlur, Rim et al., ECCV 2020).

The result is scaled in brightness, laid onto the truth by a homography (ECC, Evangelidis and Psarakis, TPAMI 2008), and
only what lies inside counts.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from lorair_cli.errors import ImageError
from lorair_cli.evaluation.metrics import GAUSSIAN_REACH, IDENTICAL, Values

ITERATIONS = 100
SMOOTHING = 5
"""Side in pixels of the blur that ECC lays over both pictures."""


def align(image: Values, truth: Values) -> tuple[Values, npt.NDArray[np.bool_]]:
    """``image`` (h, w, 3) in [0, 1] laid onto ``truth``, and where (h, w) it is valid.

    Raises ``ImageError`` if the two have nothing in common that could be aligned.
    """
    x, z = truth.astype(np.float32), image.astype(np.float32)
    energy = float(np.sum(z * z, dtype=np.float64))
    z = z * np.float32(float(np.sum(x * z, dtype=np.float64)) / energy if energy else 1.0)
    goal, grey = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (x, z))
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ITERATIONS, 0.0)
    start, everywhere = np.eye(3, dtype=np.float32), np.ones(goal.shape, np.uint8)
    try:
        _, warp = cv2.findTransformECC(goal, grey, start, cv2.MOTION_HOMOGRAPHY, stop, everywhere, SMOOTHING)
    except cv2.error:
        raise ImageError("the result cannot be aligned with its ground truth", "choose another --protocol") from None
    size = (x.shape[1], x.shape[0])
    inverse = cv2.WARP_INVERSE_MAP
    aligned = cv2.warpPerspective(z, warp, size, flags=cv2.INTER_CUBIC | inverse, borderMode=cv2.BORDER_REFLECT)
    inside = cv2.warpPerspective(np.ones_like(grey), warp, size, flags=cv2.INTER_NEAREST | inverse)
    return np.asarray(aligned), np.asarray(inside) > 0


def aligned_psnr(aligned: Values, truth: Values, inside: npt.NDArray[np.bool_]) -> float:
    """PSNR in dB over the pixels ``inside``; pictures in [0, 1]."""
    error = float(np.mean((aligned[inside] - truth[inside]) ** 2, dtype=np.float64))
    return IDENTICAL if error == 0 else min(float(-10 * np.log10(error)), IDENTICAL)


def aligned_ssim(aligned: Values, truth: Values, inside: npt.NDArray[np.bool_]) -> float:
    """Gaussian SSIM over the pixels ``inside`` where the window fits; mean over channels."""
    mask = inside[..., None]
    _, full = structural_similarity(
        (truth * mask).astype(np.float32),
        (aligned * mask).astype(np.float32),
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )
    valid = (slice(GAUSSIAN_REACH, -GAUSSIAN_REACH),) * 2
    return float(np.mean(full[valid][inside[valid]], dtype=np.float64))
