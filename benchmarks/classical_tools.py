"""What people use today on a bad photo, without any learning: the classical tools that ``classical.py`` measures.

Most are OpenCV's and scikit-image's own functions; the dark channel prior and the guided filter are written here from
their papers. Like the restorer, a tool sees nothing but the photo: noise levels are estimated, kernels of blur guessed,
and the hole of an inpainting photo is whatever is pure white. Strengths were chosen on photos of no test set.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from skimage.filters import unsharp_mask
from skimage.restoration import denoise_tv_chambolle, richardson_lucy, wiener

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.floating[Any]]

KERNEL = 1.0
"""Standard deviation in pixels of the Gaussian that deconvolution takes for the unknown kernel."""


class ToolMissingError(Exception):
    """A tool's package is not installed; the message says what to install."""


@dataclass(frozen=True)
class Tool:
    """One classical tool."""

    name: str
    degradations: tuple[str, ...]
    """What people use it against, in the package's names."""
    call: Callable[[Bytes], Values]
    """Photo (h, w, 3), 8-bit RGB, to result (h, w, 3) in [0, 1]. Raises ``ToolMissingError``."""


def noise_level(image: Bytes) -> float:
    """Standard deviation of white noise in ``image`` (h, w, 3), 0 to 255, by a mask that cancels edges and planes.

    The mask is Immerkaer's (Fast Noise Variance Estimation, CVIU 1996); a median in place of the mean forgives texture.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
    response = cv2.filter2D(image.astype(np.float64), -1, mask)[1:-1, 1:-1]
    return float(np.median(np.abs(response)) / (0.6745 * 6.0))  # 6: the mask's norm; 0.6745: median to deviation


def non_local_means(image: Bytes) -> Values:
    """OpenCV's colour non-local means, its strength 0.8 times the noise that is found."""
    sigma = 0.8 * max(noise_level(image), 1.0)
    return cv2.fastNlMeansDenoisingColored(image, None, sigma, sigma, 7, 21) / 255.0


def bm3d(image: Bytes) -> Values:
    """BM3D for colour (Dabov et al., ICIP 2007), by its authors' package, with the noise level that is found."""
    try:
        package = importlib.import_module("bm3d")
    except ImportError:
        raise ToolMissingError("`pip install bm3d` first (free for non-commercial use only)") from None
    sigma = max(noise_level(image), 1.0) / 255.0
    return np.clip(package.bm3d_rgb(image / 255.0, sigma), 0.0, 1.0)


def bilateral(image: Bytes) -> Values:
    """OpenCV's bilateral filter, weak enough to leave edges: a common smoother of JPEG blocks."""
    return cv2.bilateralFilter(image, 7, 20.0, 3.0) / 255.0


def total_variation(image: Bytes) -> Values:
    """scikit-image's total variation (Chambolle, JMIV 2004), weakly."""
    return denoise_tv_chambolle(image / 255.0, weight=0.03, channel_axis=2)


def unsharp(image: Bytes) -> Values:
    """scikit-image's unsharp mask: the photo plus its difference from a blurred copy."""
    return np.clip(unsharp_mask(image / 255.0, radius=2.0, amount=1.0, channel_axis=2), 0.0, 1.0)


def wiener_filter(image: Bytes) -> Values:
    """scikit-image's Wiener deconvolution for a Gaussian kernel, as the true kernel is unknown."""
    return _deconvolved(image, lambda x, kernel: wiener(x, kernel, balance=0.01))


def lucy(image: Bytes) -> Values:
    """scikit-image's Richardson-Lucy deconvolution for the same kernel, ten rounds."""
    return _deconvolved(image, lambda x, kernel: richardson_lucy(x, kernel, num_iter=10))


def _deconvolved(image: Bytes, change: Callable[[Values, Values], Values]) -> Values:
    """Each colour through ``change``, mirrored beyond the border, where it would see black or the far side."""
    margin = 16
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    taps = cv2.getGaussianKernel(9, KERNEL)
    return _by_channel(padded, lambda x: change(x, taps @ taps.T))[margin:-margin, margin:-margin]


def dark_channel(image: Bytes) -> Values:
    """Haze removal by the dark channel prior (He, Sun, Tang, CVPR 2009) with the authors' constants.

    The transmission is refined by their guided filter (ECCV 2010) in place of soft matting, as they recommend since.
    """
    hazy = image.astype(np.float32) / np.float32(255)
    dark = _dark(hazy)
    haziest = np.argsort(dark, axis=None)[-max(dark.size // 1000, 1) :]
    colours = hazy.reshape(-1, 3)[haziest]
    air = np.maximum(colours[colours.sum(axis=1).argmax()], np.float32(1 / 255))
    rough = 1.0 - 0.95 * _dark(hazy / air)
    grey = cv2.cvtColor(hazy, cv2.COLOR_RGB2GRAY)
    transmission = np.maximum(guided_filter(grey, rough, 40, 1e-3), 0.1)[..., None]
    return np.clip((hazy - air) / transmission + air, 0.0, 1.0)


def _dark(image: Values) -> Values:
    """Smallest value of any colour in a window of 15 pixels, (h, w)."""
    return cv2.erode(image.min(axis=2), np.ones((15, 15), np.uint8))


def guided_filter(guide: Values, image: Values, radius: int, epsilon: float) -> Values:
    """``image`` smoothed along the edges of ``guide``, both (h, w) in [0, 1] (He, Sun, Tang, ECCV 2010, eq. 5 to 8)."""

    def mean(x: Values) -> Values:
        return cv2.blur(x, (2 * radius + 1, 2 * radius + 1))

    g, p = guide.astype(np.float32), image.astype(np.float32)
    slope = (mean(g * p) - mean(g) * mean(p)) / (mean(g * g) - mean(g) ** 2 + epsilon)
    return mean(slope) * g + mean(mean(p) - slope * mean(g))


def guided(image: Bytes) -> Values:
    """Every colour smoothed along its own edges: the guided filter as it is used against rain and snow."""
    return _by_channel(image, lambda x: guided_filter(x, x, 3, 0.01))


def median(image: Bytes) -> Values:
    """OpenCV's median of 5x5 pixels."""
    return cv2.medianBlur(image, 5) / 255.0


def clahe(image: Bytes) -> Values:
    """OpenCV's contrast-limited adaptive histogram equalisation of the lightness."""
    return _lightness(image, cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply)


def equalised(image: Bytes) -> Values:
    """OpenCV's histogram equalisation of the lightness."""
    return _lightness(image, cv2.equalizeHist)


def gamma(image: Bytes) -> Values:
    """The gamma that brings the mean to 0.45, an ordinary photo's."""
    light = image / 255.0
    mean = float(np.clip(light.mean(), 1e-3, 0.999))
    return light ** (np.log(0.45) / np.log(mean))


def fast_marching(image: Bytes) -> Values:
    """OpenCV's inpainting by Telea (2004) of everything that is pure white."""
    return _inpainted(image, cv2.INPAINT_TELEA)


def navier_stokes(image: Bytes) -> Values:
    """OpenCV's inpainting by Bertalmio et al. (2001) of everything that is pure white."""
    return _inpainted(image, cv2.INPAINT_NS)


def _inpainted(image: Bytes, method: int) -> Values:
    hole = (image == 255).all(axis=2).astype(np.uint8)
    return cv2.inpaint(image, hole, 3.0, method) / 255.0


def _lightness(image: Bytes, change: Callable[[Bytes], Bytes]) -> Values:
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = change(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) / 255.0


def _by_channel(image: Bytes, change: Callable[[Values], Values]) -> Values:
    channels = [change(np.ascontiguousarray(image[..., c], np.float64) / 255.0) for c in range(3)]
    return np.clip(np.stack(channels, axis=2), 0.0, 1.0)


TOOLS = (
    Tool("non-local means (OpenCV)", ("noise",), non_local_means),
    Tool("BM3D (bm3d)", ("noise",), bm3d),
    Tool("bilateral filter (OpenCV)", ("jpeg",), bilateral),
    Tool("total variation (scikit-image)", ("jpeg",), total_variation),
    Tool("unsharp mask (scikit-image)", ("blur",), unsharp),
    Tool("Wiener filter (scikit-image)", ("blur",), wiener_filter),
    Tool("Richardson-Lucy (scikit-image)", ("blur",), lucy),
    Tool("dark channel prior", ("haze",), dark_channel),
    Tool("CLAHE (OpenCV)", ("haze", "low-light", "shadow"), clahe),
    Tool("histogram equalisation (OpenCV)", ("low-light",), equalised),
    Tool("gamma to a mean of 0.45", ("low-light", "shadow"), gamma),
    Tool("median 5x5 (OpenCV)", ("rain", "snow", "raindrop"), median),
    Tool("guided filter", ("rain", "snow", "raindrop"), guided),
    Tool("Telea inpainting (OpenCV)", ("inpainting",), fast_marching),
    Tool("Navier-Stokes inpainting (OpenCV)", ("inpainting",), navier_stokes),
)
"""Every tool with what it is used against."""
