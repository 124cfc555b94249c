"""From a file to a :class:`Photo`: format by content, orientation applied once, nothing dropped in silence.

Pillow reads everything but 16-bit colour, which it would cut to 8 bits; OpenCV reads that. The plugins of Pillow are
called by name, not through ``Image.open``: only formats on our list can be reached, and our own limit on the number of
pixels holds in place of Pillow's, which is a global variable.
"""

from __future__ import annotations

import io
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from lorair_cli.errors import ImageError
from lorair_cli.imaging import ifd
from lorair_cli.imaging.arrays import oriented
from lorair_cli.imaging.files import printable
from lorair_cli.imaging.metadata import read_metadata
from lorair_cli.imaging.photo import Photo
from lorair_cli.imaging.planes import read_planes

MAX_PIXELS = 512 * 1024 * 1024
"""More pixels than any camera has: a file that claims more is taken for an attack or an accident."""

MAX_BYTES = 8 * MAX_PIXELS
"""The largest file worth reading: uncompressed 16-bit RGBA at ``MAX_PIXELS``."""

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
FORMATS = tuple(_PLUGINS)

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF"),
    (re.compile(rb"BM"), "BMP"),
)
_STRANGERS = (
    (re.compile(rb"GIF8"), "a GIF"),
    (re.compile(rb"....ftyp(avif|avis)", re.DOTALL), "an AVIF"),
    (re.compile(rb"....ftyp", re.DOTALL), "a HEIC photo or a video"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"%PDF|%!PS"), "a PDF or PostScript document"),
    (re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE), "a web page"),
    (re.compile(rb"\s*<(\?xml|svg)", re.IGNORECASE), "an XML or SVG text"),
)
_READABLE = "PNG, JPEG, WebP, TIFF and BMP can be read"
_EXTRA_PICTURES = ("only the main picture of this multi-picture JPEG is kept, not its previews or gain map",)
_SUBFILE_TYPE, _DNG_VERSION = 254, 50706


def read_photo(path: Path, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """The photo in the file ``path``.

    Raises ``ImageError``, one line that names the file: it is missing, a folder, a pipe, empty, of a format that is
    not on the list, truncated or damaged, animated or of several pages, or has more than ``max_pixels`` pixels.
    """
    return decode_photo(read_file(path), str(path), max_pixels=max_pixels)


def decode_photo(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """The photo that the bytes of a file hold; ``name`` is what errors call it. Raises as :func:`read_photo` does."""
    shown = printable(name)
    format_ = _format_of(data, shown)
    try:
        return _decode(data, format_, shown, max_pixels)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{shown}: not enough memory to read this photo") from error
    # Whatever a hostile file breaks inside Pillow or OpenCV (a dozen types of exception), the user sees one line.
    except Exception as error:
        reason = printable(str(error).strip().split("\n")[0]) or type(error).__name__
        raise ImageError(f"{shown}: damaged or unusual {format_} file: {reason}") from error


def read_file(path: Path) -> bytes:
    """All bytes of a regular file. Never waits: a pipe is opened without blocking, and refused.

    Raises ``ImageError``, one line that names the file: it is missing, a folder, a pipe or too large.
    """
    shown = printable(str(path))
    try:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{shown}: not a regular file")
            if status.st_size > MAX_BYTES:
                raise ImageError(f"{shown}: too large for a photo ({status.st_size} bytes)")
            return file.read()
    except OSError as error:
        if path.is_dir():
            raise ImageError(f"{shown}: is a folder, not a photo") from None
        raise ImageError(f"{shown}: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise ImageError(f"{shown}: not a file name") from error
    except MemoryError as error:
        raise ImageError(f"{shown}: not enough memory to read this file") from error


def _format_of(data: bytes, shown: str) -> str:
    """The format that the first bytes announce; ``ImageError`` says what they are instead, where that is known."""
    if not data:
        raise ImageError(f"{shown}: the file is empty")
    for signature, format_ in _SIGNATURES:
        if signature.match(data):
            return format_
    for signature, kind in _STRANGERS:
        if signature.match(data):
            raise ImageError(f"{shown}: this is {kind}, not a photo that can be read", _READABLE)
    raise ImageError(f"{shown}: not an image, whatever its name says", _READABLE)


def _decode(data: bytes, format_: str, shown: str, max_pixels: int) -> Photo:
    """The photo; lets every exception of a broken file through."""
    tags = ifd.read_tags(data) if format_ == "TIFF" else None
    if format_ == "TIFF":
        if tags is None:
            raise ValueError("its directory is broken")
        _refuse_pages_and_raw(data, shown)
        # Pillow and OpenCV each turn a TIFF in their own way; without its tag neither does.
        data = ifd.with_upright_tag(data, tags)
    with _PLUGINS[format_](io.BytesIO(data)) as image:
        if image.width * image.height > max_pixels:
            claimed, allowed = (round(pixels / 1e6, 1) for pixels in (image.width * image.height, max_pixels))
            raise ImageError(f"{shown}: {claimed} megapixels are more than the {allowed} allowed")
        frames = getattr(image, "n_frames", 1) if format_ in ("PNG", "WEBP") else 1
        if frames > 1:
            raise ImageError(f"{shown}: an animation of {frames} frames", "only single pictures can be restored")
        if format_ == "TIFF":
            # Loading would compare with Pillow's global limit, unless there is a canvas already.
            image.im = Image.new(image.mode, image.size).im
        image.load()
        planes = read_planes(image, data, tags)
        metadata, orientation = read_metadata(image, data, tags)
    if planes.converted:
        metadata = replace(metadata, icc=planes.icc, jpeg=None)
    colour = oriented(planes.colour, orientation)
    return Photo(
        rgb=colour if colour.ndim == 3 else np.repeat(colour[:, :, None], 3, axis=2),
        alpha=None if planes.alpha is None else oriented(planes.alpha, orientation),
        grey=colour.ndim == 2,
        format=format_,
        metadata=metadata,
        notes=planes.notes + (_EXTRA_PICTURES if "mp" in image.info else ()),
    )


def _refuse_pages_and_raw(data: bytes, shown: str) -> None:
    """``ImageError`` for a TIFF of several pages, and for the raw files of cameras, which look like one.

    Pages marked as smaller copies or masks of the first one (tag 254) are not pages to lose.
    """
    first, *others = ifd.read_pages(data)
    if data[8:10] == b"CR" or _DNG_VERSION in first.main or first.integer(_SUBFILE_TYPE, 0) & 1:
        raise ImageError(f"{shown}: a camera's raw file", "develop it to TIFF or JPEG first")
    pages = 1 + sum(not page.integer(_SUBFILE_TYPE, 0) & 5 for page in others)
    if pages > 1:
        raise ImageError(f"{shown}: a TIFF of {pages} pages", "only single pictures can be restored")
