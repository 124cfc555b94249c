"""Numbers and pixels: whole numbers in files, floats in [0, 1] in the network, and the exact way between them."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
"""``uint8`` or ``uint16`` samples; colour is always in RGB order, never OpenCV's BGR."""

Floats: TypeAlias = npt.NDArray[np.float32]
"""``float32`` samples, nominally in [0, 1]."""

AnyNumber = TypeVar("AnyNumber", bound=np.generic)


def max_value(dtype: npt.DTypeLike) -> int:
    """White as a whole number: 255 for ``uint8``, 65535 for ``uint16``; ``ValueError`` for any other type."""
    if np.dtype(dtype) not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise ValueError(f"pixels are uint8 or uint16, not {np.dtype(dtype)}")
    return int(np.iinfo(np.dtype(dtype)).max)


def to_float(pixels: Pixels) -> Floats:
    """Pixels of any shape as ``float32`` in [0, 1]: 0 is black, 1 is the white of their own type."""
    values: Floats = pixels.astype(np.float32)
    values /= np.float32(max_value(pixels.dtype))
    return values


@overload
def from_float(values: npt.NDArray[np.floating[Any]], dtype: type[np.uint8]) -> npt.NDArray[np.uint8]: ...
@overload
def from_float(values: npt.NDArray[np.floating[Any]], dtype: npt.DTypeLike) -> Pixels: ...
def from_float(values: npt.NDArray[np.floating[Any]], dtype: npt.DTypeLike) -> Pixels:
    """Floats of any shape as pixels of ``dtype``: clipped to [0, 1], then rounded with halves going up.

    The inverse of :func:`to_float` for both pixel types. NaN has no colour, so it raises ``ValueError``.
    """
    white = max_value(dtype)
    scaled: Floats = np.clip(values, 0.0, 1.0).astype(np.float32, copy=False) * np.float32(white)
    if np.isnan(scaled).any():
        raise ValueError("NaN cannot be turned into a pixel")
    # numpy's own rint rounds halves to even, so two neighbouring half steps would land on the same value.
    scaled += np.float32(0.5)
    pixels: Pixels = scaled.astype(np.dtype(dtype))
    return pixels


def to_eight_bits(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """The nearest 8-bit value: round(v * 255 / 65535), which is round(v / 257). 8-bit pixels come back as they are."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_grey(rgb: Pixels) -> Pixels:
    """Rec. 601 luma of ``rgb`` (h, w, 3) as (h, w) of the same type; equal channels come back exactly."""
    luma: npt.NDArray[np.uint32] = rgb[..., 0] * np.uint32(299)
    luma += rgb[..., 1] * np.uint32(587)
    luma += rgb[..., 2] * np.uint32(114)
    luma += np.uint32(500)
    luma //= np.uint32(1000)
    grey: Pixels = luma.astype(rgb.dtype)
    return grey


def without_colour(rgb: Pixels) -> Pixels:
    """``rgb`` (h, w, 3) with its :func:`to_grey` in all three channels."""
    return np.repeat(to_grey(rgb)[..., None], 3, axis=2)


def mirrored_to(image: npt.NDArray[AnyNumber], height: int, width: int) -> npt.NDArray[AnyNumber]:
    """``image`` ``(h, w, c)``, at the bottom and right mirrored up to ``height`` and ``width`` where it is smaller.

    Enlarging would blur it, and a bar of one colour would be an edge, and a brightness, that the scene does not have.
    """
    h, w = image.shape[:2]
    if h >= height and w >= width:
        return image
    return np.pad(image, ((0, max(height - h, 0)), (0, max(width - w, 0)), (0, 0)), mode="symmetric")


def oriented(pixels: Pixels, orientation: int) -> Pixels:
    """``pixels`` (h, w) or (h, w, c) turned upright for an EXIF ``orientation`` of 1 to 8 (EXIF 3.0, tag 274)."""
    turned = {
        1: lambda: pixels,
        2: lambda: pixels[:, ::-1],
        3: lambda: pixels[::-1, ::-1],
        4: lambda: pixels[::-1],
        5: lambda: pixels.swapaxes(0, 1),
        6: lambda: np.rot90(pixels, -1),
        7: lambda: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: lambda: np.rot90(pixels, 1),
    }[orientation]()
    return np.ascontiguousarray(turned)
