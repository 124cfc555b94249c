"""HEIC photos, read and written by pillow-heif, which comes with the extra ``formats``.

pillow-heif is called by itself, not as a plugin of Pillow, which would cut 10 and 12 bits to 8.
"""

from __future__ import annotations

import importlib.util
import io
from types import ModuleType

import numpy as np

from lorair_cli.errors import ImageError
from lorair_cli.imaging import boxes
from lorair_cli.imaging.arrays import Pixels, max_value
from lorair_cli.imaging.limits import INSTALL_FORMATS, check_pixels
from lorair_cli.imaging.metadata import upright_metadata
from lorair_cli.imaging.photo import DeepStyle, Metadata, Photo
from lorair_cli.imaging.planes import unpremultiplied
from lorair_cli.imaging.profiles import colour_profile

BITS_WRITTEN = 10
"""Bits per sample for 16-bit photos that were no HEIC before: every player of HEIC reads 10, few read 12."""

_SUBSAMPLING = {444: 0, 422: 1, 420: 2}
_CHROMA = {number: chroma for chroma, number in _SUBSAMPLING.items()}


def is_installed() -> bool:
    """Whether HEIC can be read and written here."""
    return importlib.util.find_spec("pillow_heif") is not None


def read_heif(data: bytes, shown: str, max_pixels: int) -> Photo:
    """The photo in a HEIC file, named ``shown`` in errors. The container turns it upright, whatever EXIF says.

    Raises ``ImageError``: pillow-heif is not here, the file holds several photos, is HDR, or too large. What a broken
    file breaks inside the library is let through.
    """
    library = _library(shown)
    if boxes.has_movie(data):
        raise ImageError(f"{shown}: a HEIC sequence of several pictures", "only single pictures can be restored")
    file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    if len(file) > 1:
        raise ImageError(f"{shown}: a HEIC of {len(file)} pictures", "only single pictures can be restored")
    image = file[0]
    check_pixels(image.size[0], image.size[1], max_pixels, shown)
    icc = image.info.get("icc_profile") or colour_profile(boxes.colour_numbers(data), shown)
    bits = int(image.info["bit_depth"])
    pixels = widened(np.asarray(image).copy(), bits)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    alpha = None if pixels.shape[2] in (1, 3) else np.ascontiguousarray(pixels[..., -1])
    colour = np.ascontiguousarray(pixels[..., : 1 if pixels.shape[2] < 3 else 3])
    if alpha is not None and image.premultiplied_alpha:
        colour = unpremultiplied(colour, alpha)
    chroma = image.info.get("chroma")
    # Grey with transparency comes as colours that are all alike; the file itself knows of no colours then.
    grey = colour.shape[2] == 1 or (chroma is None and bool((colour == colour[..., :1]).all()))
    style = DeepStyle(bits, _SUBSAMPLING.get(chroma, 2))
    metadata = upright_metadata(image.info.get("exif"), image.info.get("xmp"), icc)
    return Photo(
        rgb=np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour,
        alpha=alpha,
        grey=grey,
        format="HEIC",
        metadata=Metadata(metadata.icc, metadata.exif, metadata.xmp, metadata.dpi, deep=style),
    )


def encode_heif(channels: Pixels, metadata: Metadata, exif: bytes, quality: int, subsampling: int | None) -> bytes:
    """A HEIC file of ``channels`` (h, w, c), c = 1 grey, 3 RGB, 4 RGB and alpha; ``subsampling`` is Pillow's number.

    What is None follows a HEIC source, otherwise it is 4:2:0, the one that every player reads. Raises ``ImageError``
    if pillow-heif is not here, ``ValueError`` if it fails.
    """
    library = _library("HEIC")
    height, width, count = channels.shape
    style = metadata.deep or DeepStyle(BITS_WRITTEN, 2)
    bits = 8 if channels.dtype == np.uint8 else bits_written(metadata.deep)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[count] + ("" if bits == 8 else f";{bits}")
    chroma = _CHROMA[style.subsampling if subsampling is None else subsampling]
    buffer = io.BytesIO()
    try:
        file = library.from_bytes(mode, (width, height), _narrowed(channels, bits).tobytes())
        if metadata.icc:
            file.info.update(icc_profile=metadata.icc, icc_profile_type="prof")
        file.save(buffer, quality=quality, chroma=chroma, exif=exif or None, xmp=metadata.xmp)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    return buffer.getvalue()


def bits_written(source: DeepStyle | None) -> int:
    """Bits per sample that a photo of more than 8 is written with; those of a HEIC ``source``, if it is from one."""
    return BITS_WRITTEN if source is None else max(source.bits, BITS_WRITTEN)


def widened(pixels: Pixels, bits: int) -> Pixels:
    """Samples of ``bits`` bits as 8 or 16: white stays white, and narrowing gives the same numbers again."""
    if bits <= 8:
        return pixels.astype(np.uint8, copy=False)
    white = (1 << bits) - 1
    if int(pixels.max()) > white:
        raise ValueError(f"samples of more than the {bits} bits it claims")
    wide: Pixels = ((pixels.astype(np.uint32) * 65535 + white // 2) // white).astype(np.uint16)
    return wide


def _narrowed(pixels: Pixels, bits: int) -> Pixels:
    """The nearest value of ``bits`` bits, as 8-bit or 16-bit samples."""
    white, full = (1 << bits) - 1, max_value(pixels.dtype)
    if white == full:
        return pixels
    narrow: Pixels = ((pixels.astype(np.uint32) * white + full // 2) // full).astype(np.uint16)
    return narrow


def _library(shown: str) -> ModuleType:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(f"{shown}: HEIC needs pillow-heif, which is not here", INSTALL_FORMATS) from error
    module: ModuleType = pillow_heif
    return module
