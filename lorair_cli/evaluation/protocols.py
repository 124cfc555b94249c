"""The protocols by which papers measure: what is cropped, which channel, which window. Every number names its own.

Differences between protocols (4.7 dB between luma and RGB on white noise) dwarf those between methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lorair_cli.errors import ImageError, UsageError
from lorair_cli.evaluation.alignment import align, aligned_psnr, aligned_ssim
from lorair_cli.evaluation.metrics import (
    Bytes,
    Values,
    eight_bits,
    luma,
    psnr,
    ssim_gaussian,
    ssim_gaussian_full,
    ssim_uniform,
    ssim_volume,
)

Picture = TypeVar("Picture", bound=npt.NDArray[Any])
BORDER = 4
"""Pixels that ``daclip-rgb`` cuts off every side, a left-over of its super-resolution code."""
SMALLEST = 11
"""Shortest side, in pixels, on which every protocol's SSIM window fits."""


class Scores(NamedTuple):
    """One picture against its ground truth."""

    psnr: float
    """dB."""
    ssim: float
    """At most 1."""


@dataclass(frozen=True)
class Protocol:
    """How to measure a restored picture."""

    name: str
    summary: str
    """What it does, for tables and ``--list``."""
    source: str
    """Code or paper that defines it."""
    measure: Callable[[Values, Values], Scores] | None
    """``(restored in [0, 1], truth in 0 to 255) -> Scores``; both ``(h, w, 3)`` RGB. None without ground truth."""
    certain: bool = False
    """LoRA-IR's own code measures so. Of the other protocols that is inferred from the works it compares with."""
    multiple: int = 1
    """Input and truth are cut, around the middle, to multiples of this many pixels before anything else."""
    split: int = 0
    """The input is restored in two halves, cut at this column; 0 is whole."""
    lpips: str = "lpips-alex"
    """Which LPIPS the cited work prints."""
    resize: Literal["no", "bilinear", "bicubic"] = "no"
    """How a truth of another size is brought to the result's; ``no`` refuses it."""

    def prepared(self, image: Picture) -> Picture:
        """``image`` (h, w, 3) cut as the protocol wants it: input, result and truth alike; twice is as once."""
        height, width = (side - side % self.multiple for side in image.shape[:2])
        y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        return cast(Picture, image[y : y + height, x : x + width])

    def score(self, restored: Values, truth: Bytes) -> Scores:
        """PSNR and SSIM of a restored picture.

        Args:
            restored: (h, w, 3) in [0, 1], not rounded; whole or prepared already.
            truth: (h, w, 3), 0 to 255; whole or prepared already.

        Raises:
            ImageError: the two have different sizes, or are too small for SSIM's window.
            UsageError: the protocol has no ground truth.
        """
        if self.measure is None:
            raise UsageError(f"protocol {self.name} has no ground truth to measure PSNR and SSIM against")
        if restored.shape != truth.shape and self.resize == "no":
            sizes = [f"{p.shape[1]}x{p.shape[0]}" for p in (restored, truth)]
            raise ImageError(f"the result has {sizes[0]} pixels and its ground truth {sizes[1]}")
        values = _resized(truth, restored.shape, self.resize)
        restored, values = self.prepared(restored), self.prepared(values)
        if min(restored.shape[:2]) < SMALLEST + 2 * BORDER:
            raise ImageError(f"{restored.shape[1]}x{restored.shape[0]} pixels are too few to measure SSIM")
        return self.measure(np.clip(restored, 0, 1), values)


def _resized(truth: Bytes, shape: tuple[int, ...], how: str) -> Values:
    values: Values = truth.astype(np.float32)
    if truth.shape == shape:
        return values
    size = (shape[1], shape[0])
    if how == "bicubic":  # Pillow's filter is MATLAB's: a = -0.5, widened when it shrinks
        return np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.BICUBIC), np.float32)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _histoformer(restored: Values, truth: Values) -> Scores:
    # Its script reads BGR files into the formula for RGB. The numbers of table 1 were made so; keep the swap.
    x, y = ((luma(p[..., ::-1]) / 255).astype(np.float32) for p in (eight_bits(restored), truth))
    return Scores(psnr(x, y, 1.0), ssim_uniform(x, y, 11, 1.0))


def _rgb(restored: Values, truth: Values) -> Scores:
    x, y = eight_bits(restored).astype(np.float64), truth.astype(np.float64)
    return Scores(psnr(x, y, 255.0), ssim_gaussian(x, y, 255.0))


def _daclip(restored: Values, truth: Values) -> Scores:
    inner = (slice(BORDER, -BORDER),) * 2
    return _rgb(restored[inner], truth[inner])


def _promptir(restored: Values, truth: Values) -> Scores:
    x, y = restored.astype(np.float32), (truth / np.float32(255)).astype(np.float32)
    return Scores(psnr(x, y, 1.0), ssim_uniform(x, y, 7, 1.0))


def _diffuir(restored: Values, truth: Values) -> Scores:
    x, y = luma(eight_bits(restored)), luma(truth)
    return Scores(psnr(x, y, 255.0), ssim_gaussian_full(x, y, 255.0))


def _matlab_y(restored: Values, truth: Values) -> Scores:
    x, y = np.floor(luma(eight_bits(restored)) + 0.5), np.floor(luma(truth) + 0.5)
    return Scores(psnr(x, y, 255.0), ssim_gaussian(x, y, 255.0))


def _volume(restored: Values, truth: Values) -> Scores:
    x, y = eight_bits(restored).astype(np.float64), truth.astype(np.float64)
    return Scores(psnr(x, y, 255.0), ssim_volume(x, y, 255.0))


def _realblur(restored: Values, truth: Values) -> Scores:
    y = truth / np.float32(255)
    aligned, inside = align(eight_bits(restored) / np.float32(255), y)
    return Scores(aligned_psnr(aligned, y, inside), aligned_ssim(aligned, y, inside))


_LIST = (
    Protocol(
        "rgb",
        "8-bit RGB, Gaussian SSIM per channel, nothing cropped: for one's own folders",
        "BasicSR, calculate_psnr and calculate_ssim",
        _rgb,
    ),
    Protocol(
        "histoformer-y",
        "8-bit luma with red and blue swapped, flat 11x11 SSIM",
        "LoRA-IR, Setting1/compute_psnr_ssim.py (from Histoformer)",
        _histoformer,
        certain=True,
        resize="bilinear",
    ),
    Protocol(
        "ldr-rgb", "8-bit RGB, Gaussian SSIM; mean of frames, and mean of scenes beside it", "LDR, src/basicsr", _rgb
    ),
    Protocol(
        "promptir-rgb",
        "RGB cropped to multiples of 16, not rounded, flat 7x7 SSIM",
        "PromptIR and AirNet, utils/val_utils.py",
        _promptir,
        multiple=16,
    ),
    Protocol("diffuir-y", "8-bit luma, Gaussian SSIM with repeated borders", "DiffUIR, metrics/psnr_ssim.py", _diffuir),
    Protocol(
        "diffuir-sots-y",
        "8-bit rounded luma, Gaussian SSIM, truth resized to the result",
        "DiffUIR, eval/SOTS.m",
        _matlab_y,
        resize="bicubic",
    ),
    Protocol(
        "diffuir-udc",
        "8-bit RGB restored in halves of 1024 columns, volumetric SSIM",
        "DiffUIR, src/model_udc.py",
        _volume,
        split=1024,
        lpips="lpips-vgg-shifted",
    ),
    Protocol(
        "realblur-aligned",
        "8-bit RGB aligned to the truth by brightness and homography, masked Gaussian SSIM",
        "RealBlur, evaluation_RealBlur_ecc.py; Restormer, evaluate_realblur.py",
        _realblur,
    ),
    Protocol("matlab-rgb", "8-bit RGB, volumetric SSIM", "Restormer, Motion_Deblurring/evaluate_gopro_hide.m", _volume),
    Protocol("matlab-y", "8-bit rounded luma, Gaussian SSIM", "Restormer, Deraining/evaluate_PSNR_SSIM.m", _matlab_y),
    Protocol(
        "daclip-rgb",
        "8-bit RGB without 4 pixels on every side, Gaussian SSIM",
        "DA-CLIP, universal-image-restoration/utils/img_utils.py",
        _daclip,
    ),
    Protocol("mixed", "8-bit RGB, Gaussian SSIM (no code of table 9 is known)", "our choice", _rgb),
    Protocol("no-reference", "no ground truth: LOE against the input, NIQE", "our choice", None),
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _LIST}
"""All protocols by name."""


def get_protocol(name: str) -> Protocol:
    """The protocol called ``name``; ``UsageError`` with the list of names otherwise."""
    try:
        return PROTOCOLS[name.lower()]
    except KeyError:
        raise UsageError(f"there is no protocol {name!r}", f"choose from {', '.join(PROTOCOLS)}") from None
