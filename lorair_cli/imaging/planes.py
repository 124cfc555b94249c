"""Every kind of pixel a photo file can hold, as grey or RGB arrays of 8 or 16 bits."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageFile

from lorair_cli.imaging.arrays import Pixels, max_value
from lorair_cli.imaging.ifd import Tags
from lorair_cli.imaging.profiles import srgb_profile

_PNG = b"\x89PNG"
_PNG_DEPTH_AT, _PNG_COLOUR_TYPE_AT, _PNG_GREY_AND_ALPHA = 24, 25, 4
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_PLANAR, _TIFF_EXTRA = 258, 262, 284, 338
_WHITE_IS_ZERO, _SEPARATE_PLANES, _PREMULTIPLIED_ALPHA = 0, 2, 1
_RGB_MODES = {"RGB", "RGBX", "RGBA", "RGBa", "YCbCr"}
_CMYK_WITH_PROFILE = "CMYK colours were converted to sRGB through the photo's own profile"
_CMYK_WITHOUT_PROFILE = "CMYK colours without a usable profile were converted to RGB by the plain formula"
_SIXTEEN_BIT_CMYK = "16-bit CMYK was read as 8-bit"


@dataclass(frozen=True, eq=False)
class Planes:
    """Pixels as they lie in the file, not yet turned upright."""

    colour: Pixels
    """(h, w) for a grey photo, else (h, w, 3) RGB."""
    alpha: Pixels | None = None
    converted: bool = False
    """The colours were converted from another space: the photo's profile is now ``icc``, not the file's."""
    icc: bytes | None = None
    notes: tuple[str, ...] = ()


def read_planes(image: ImageFile.ImageFile, data: bytes, tags: Tags | None) -> Planes:
    """The pixels of a loaded ``image`` whose file is ``data``; ``tags`` are those of a TIFF.

    Raises ``ValueError`` for pixels that are not of 8 or 16 bits grey, RGB or CMYK.
    """
    mode = image.mode
    if mode.startswith("I;16"):
        return _grey_16(image, tags)
    if _is_16_bit(data, tags) and mode in {*_RGB_MODES, "LA"}:
        return _colour_16(image, data, tags)
    if mode == "CMYK":
        return _cmyk(image, tags)
    if mode in ("1", "L", "LA", "La"):
        _widen_transparency(image, data)
        return _split(image.convert("LA" if image.has_transparency_data else "L"))
    if mode in ("P", "PA"):
        planes = _split(image.convert("RGBA" if image.has_transparency_data else "RGB"))
        return planes if "icc_profile" in image.info else _grey_if_grey(planes)
    if mode in _RGB_MODES:
        return _split(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    raise ValueError(f"pixels of kind {mode} are not supported, only 8 or 16 bits of grey, RGB or CMYK")


def _widen_transparency(image: ImageFile.ImageFile, data: bytes) -> None:
    """Name the transparent grey of a PNG of 2 or 4 bits as Pillow names its pixels, on a scale of 8 bits."""
    value = image.info.get("transparency")
    if data.startswith(_PNG) and data[_PNG_DEPTH_AT] in (2, 4) and isinstance(value, int):
        white = 2 ** data[_PNG_DEPTH_AT] - 1
        if value <= white:  # a larger one has been widened already
            image.info["transparency"] = value * 255 // white


def _split(image: Image.Image) -> Planes:
    """An image of mode L, LA, RGB or RGBA as arrays."""
    pixels = np.asarray(image)
    if image.mode in ("L", "RGB"):
        return Planes(pixels)
    colour = pixels[..., 0] if image.mode == "LA" else pixels[..., :3]
    return Planes(np.ascontiguousarray(colour), np.ascontiguousarray(pixels[..., -1]))


def _grey_if_grey(planes: Planes) -> Planes:
    """A palette of greys is a grey photo; any colour in use makes it a colour photo."""
    red, green, blue = (planes.colour[..., channel] for channel in range(3))
    is_grey = np.array_equal(red, green) and np.array_equal(green, blue)
    return Planes(np.ascontiguousarray(red), planes.alpha) if is_grey else planes


def _is_16_bit(data: bytes, tags: Tags | None) -> bool:
    """Whether a PNG's header or a TIFF's tags say 16 bits for each sample."""
    if tags is not None:
        return set(tags.integers(_TIFF_BITS)) == {16}
    return data.startswith(_PNG) and data[_PNG_DEPTH_AT] == 16


def _grey_16(image: ImageFile.ImageFile, tags: Tags | None) -> Planes:
    """Grey of 16 bits, which Pillow keeps; a PNG can name one value that is transparent."""
    if tags is not None and not _is_16_bit(b"", tags):
        raise ValueError(f"{tags.integer(_TIFF_BITS, 0)}-bit grey is not supported, only 8 or 16 bits")
    grey = np.asarray(image).astype(np.uint16)
    if tags is not None and tags.integer(_TIFF_PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        grey = 65535 - grey
    transparent = image.info.get("transparency")
    alpha = None if transparent is None else np.where(grey == transparent, 0, 65535).astype(np.uint16)
    return Planes(grey, alpha)


def _colour_16(image: ImageFile.ImageFile, data: bytes, tags: Tags | None) -> Planes:
    """Colour of 16 bits, read by OpenCV. Pillow has loaded the 8 bits it can, so the file is known to be sound."""
    if tags is not None and tags.integer(_TIFF_PLANAR, 1) == _SEPARATE_PLANES:
        raise ValueError("16-bit colours in separate planes are not supported; save it with interleaved channels")
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16 or read.ndim != 3 or read.shape[:2] != (image.height, image.width):
        raise ValueError("its 16-bit pixels cannot be read")
    colour: Pixels = np.ascontiguousarray(read[..., 2::-1])
    alpha: Pixels | None = None
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple):
        alpha = np.where((colour == transparent).all(axis=2), 0, 65535).astype(np.uint16)
    elif image.has_transparency_data and read.shape[2] == 4:
        alpha = np.ascontiguousarray(read[..., 3])
    premultiplied = tags is not None and tags.integer(_TIFF_EXTRA, 0) == _PREMULTIPLIED_ALPHA
    if alpha is not None and premultiplied:
        colour = unpremultiplied(colour, alpha)
    elif cv2.absdiff((colour >> 8).astype(np.uint8), np.asarray(image.convert("RGB"))).max() > 1:
        raise ValueError("its 16-bit pixels cannot be read: two decoders disagree about them")
    if tags is None and data[_PNG_COLOUR_TYPE_AT] == _PNG_GREY_AND_ALPHA:
        return Planes(np.ascontiguousarray(colour[..., 0]), alpha)
    return Planes(colour, alpha)


def unpremultiplied(colour: Pixels, alpha: Pixels) -> Pixels:
    """Colours (h, w, c) divided by ``alpha`` (h, w), rounded; where alpha is 0 there is no colour to find."""
    divisor = np.maximum(alpha, 1).astype(np.uint32)[..., None]
    white = max_value(colour.dtype)
    restored: Pixels = np.minimum((colour * np.uint32(white) + divisor // 2) // divisor, white).astype(colour.dtype)
    return restored


def _cmyk(image: ImageFile.ImageFile, tags: Tags | None) -> Planes:
    """Inks as sRGB: through the photo's profile if it has one that works, else by Pillow's formula."""
    less = (_SIXTEEN_BIT_CMYK,) if tags is not None and _is_16_bit(b"", tags) else ()
    profile = image.info.get("icc_profile")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    if profile:
        try:
            transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                srgb,
                "CMYK",
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            converted = ImageCms.applyTransform(image, transform)
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        if converted is not None:
            return Planes(np.asarray(converted), None, True, srgb_profile(), (*less, _CMYK_WITH_PROFILE))
    return Planes(np.asarray(image.convert("RGB")), None, True, None, (*less, _CMYK_WITHOUT_PROFILE))
