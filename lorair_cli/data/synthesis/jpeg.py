"""JPEG compression, by a real encoder: blocks, ringing and smeared colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis.light import Photo
from lorair_cli.data.synthesis.ranges import JPEG


@dataclass(frozen=True)
class JpegParameters:
    """The encoder's options. ``JpegParameters(10)`` is the benchmarks' quality 10."""

    quality: int
    """1 to 100, on libjpeg's scale."""
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    """Colour at half resolution (most encoders' default) or at full resolution."""


_SAMPLING_FACTORS = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


def draw(rng: np.random.Generator, strength: float) -> JpegParameters:
    """Compression of a strength in [0, 1]."""
    quality = round(JPEG.quality.draw(rng, strength))
    return JpegParameters(quality, "4:4:4" if rng.uniform() < JPEG.full_colour_chance else "4:2:0")


def draw_saved(rng: np.random.Generator) -> JpegParameters:
    """Compression that a photo has gone through as a matter of course, milder than any that ``draw`` gives."""
    low, high = JPEG.saved_quality
    quality = int(rng.integers(low, high + 1))
    return JpegParameters(quality, "4:4:4" if rng.uniform() < JPEG.saved_full_colour_chance else "4:2:0")


def apply(clean: Photo, parameters: JpegParameters, rng: np.random.Generator) -> Photo:
    """``clean`` (h, w, 3) in [0, 1], rounded to 8 bits, compressed and decompressed; ``rng`` is not used."""
    pixels = np.rint(np.clip(clean, 0, 1) * np.float32(255)).astype(np.uint8)
    decoded: Photo = saved(pixels, parameters).astype(np.float32)
    decoded /= np.float32(255)
    return decoded


def saved(photo: npt.NDArray[np.uint8], parameters: JpegParameters) -> npt.NDArray[np.uint8]:
    """What a JPEG keeps of ``photo`` (h, w, 3) of 8 bits."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        parameters.quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        _SAMPLING_FACTORS[parameters.subsampling],
    ]
    # The file stands in for a file on disk, so red and blue change places on the way in and on the way out.
    _, file = cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), options)
    return np.asarray(cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)
