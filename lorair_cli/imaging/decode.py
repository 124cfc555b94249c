"""From a file to a :class:`Photo`: format by content, orientation applied once, nothing dropped in silence.

Pillow reads everything but 16-bit colour and deep AVIF, which it would cut to 8 bits; OpenCV reads those. HEIC and
camera raw files have libraries of their own (``heif.py``, ``raw.py``). The plugins of Pillow are
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
from lorair_cli.imaging import avif, boxes, heif, ifd, jpeg, png, raw
from lorair_cli.imaging.arrays import oriented
from lorair_cli.imaging.files import is_folder, printable
from lorair_cli.imaging.limits import INSTALL_FORMATS, MAX_BYTES, MAX_PIXELS, NEWER_PILLOW, check_pixels
from lorair_cli.imaging.metadata import read_metadata
from lorair_cli.imaging.photo import Photo
from lorair_cli.imaging.planes import Planes, read_planes
from lorair_cli.imaging.profiles import colour_profile, refuse_hdr

READABLE = raw.SUFFIXES | {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".dib"),
    *(".avif", ".heic", ".heif", ".hif"),
}
"""Suffixes that a folder is searched for; a file named on the command line is read whatever its suffix."""
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
if avif.PLUGIN is not None:
    _PLUGINS["AVIF"] = avif.PLUGIN

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF"),
    (re.compile(rb"BM"), "BMP"),
)
_STRANGERS = (
    (re.compile(rb"GIF8"), "a GIF"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000"),
    (re.compile(rb"P[1-6]\s+[\d#]|P7\n"), "a Netpbm picture"),
    (re.compile(rb"\x76\x2f\x31\x01"), "an OpenEXR picture"),
    (re.compile(rb"#\?(RADIANCE|RGBE)"), "a Radiance picture"),
    (re.compile(rb"8BPS"), "a Photoshop document"),
    (re.compile(rb"gimp xcf"), "a GIMP document"),
    (re.compile(rb"%PDF|%!PS"), "a PDF or PostScript document"),
    (re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE), "a web page"),
    (re.compile(rb"\s*<(\?xml|svg)", re.IGNORECASE), "an XML or SVG text"),
)
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_READABLE = f"PNG, JPEG, WebP, TIFF, BMP and AVIF can be read; HEIC and camera raw with {INSTALL_FORMATS}"
_EXTRA_PICTURES = ("only the main picture of this multi-picture JPEG is kept, not its previews or gain map",)
_SUBFILE_TYPE, _PHOTOMETRIC, _SAMPLES_PER_PIXEL = 254, 262, 277
_SAMPLES = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
"""Samples that a colour takes, by how a TIFF names its kind (tag 262)."""


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
        photo = _decode(data, format_, shown, max_pixels)
        refuse_hdr(photo.metadata.icc, shown)
        return photo
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
        if is_folder(path):
            closed = not os.access(path, os.R_OK | os.X_OK)
            reason = f"the folder cannot be read: {error.strerror}" if closed else "is a folder, not a photo"
            raise ImageError(f"{shown}: {reason}") from None
        raise ImageError(f"{shown}: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise ImageError(f"{shown}: not a file name") from error
    except MemoryError as error:
        raise ImageError(f"{shown}: not enough memory to read this file") from error


def _format_of(data: bytes, shown: str) -> str:
    """The format that the first bytes announce; ``ImageError`` says what they are instead, where that is known."""
    if not data:
        raise ImageError(f"{shown}: the file is empty")
    if raw.is_raw(data):
        return "RAW"
    claims = boxes.brands(data)
    if claims and (claims[0] in _AVIF_BRANDS or (claims[0] in _HEIF_BRANDS and not _AVIF_BRANDS.isdisjoint(claims))):
        return "AVIF"
    if claims and claims[0] in _HEIF_BRANDS:
        return "HEIC"
    for signature, format_ in _SIGNATURES:
        if signature.match(data):
            return format_
    for signature, kind in _STRANGERS:
        if signature.match(data):
            raise ImageError(f"{shown}: this is {kind}, not a photo that can be read", _READABLE)
    raise ImageError(f"{shown}: not an image, whatever its name says", _READABLE)


def _decode(data: bytes, format_: str, shown: str, max_pixels: int) -> Photo:
    """The photo; lets every exception of a broken file through."""
    if format_ == "HEIC":
        return heif.read_heif(data, shown, max_pixels)
    if format_ == "RAW":
        return raw.read_raw(data, shown, max_pixels)
    if format_ not in _PLUGINS:
        raise ImageError(f"{shown}: this Pillow was built without AVIF", NEWER_PILLOW)
    tags = ifd.read_tags(data) if format_ == "TIFF" else None
    if format_ == "TIFF":
        if tags is None:
            raise ValueError("its directory is broken")
        _refuse_pages(data, shown)
        # Pillow and OpenCV each turn a TIFF in their own way; without its tag neither does.
        data = ifd.with_upright_tag(data, tags)
    with _PLUGINS[format_](io.BytesIO(data)) as image:
        check_pixels(image.width, image.height, max_pixels, shown)
        frames = getattr(image, "n_frames", 1) if format_ in ("PNG", "WEBP", "AVIF") else 1
        if frames > 1:
            raise ImageError(f"{shown}: an animation of {frames} frames", "only single pictures can be restored")
        if format_ == "PNG":
            png.check_pixel_chunks(data)
        if format_ == "TIFF":
            # Loading would compare with Pillow's global limit, unless there is a canvas already.
            image.im = Image.new(image.mode, image.size).im
        image.load()
        deep = avif.style_of(data) if format_ == "AVIF" else None
        planes = read_planes(image, data, tags) if deep is None or deep.bits == 8 else avif.deep_planes(image, data)
        metadata, orientation = read_metadata(image, data, tags)
    if deep is not None:
        icc = metadata.icc or colour_profile(boxes.colour_numbers(data), shown)
        metadata = replace(metadata, icc=icc, deep=deep)
    if format_ == "PNG" and (numbers := png.colour_numbers(data)) is not None:
        # The numbers count more than a profile. They mean the same greys, for which a profile of colours is no good.
        icc = colour_profile(numbers, shown, otherwise=metadata.icc)
        metadata = replace(metadata, icc=None if planes.colour.ndim == 2 and icc != metadata.icc else icc)
    if planes.converted:
        metadata = replace(metadata, icc=planes.icc, jpeg=None)
    colour = oriented(planes.colour, orientation)
    return Photo(
        rgb=colour if colour.ndim == 3 else np.repeat(colour[:, :, None], 3, axis=2),
        alpha=None if planes.alpha is None else oriented(planes.alpha, orientation),
        grey=colour.ndim == 2,
        format=format_,
        metadata=metadata,
        notes=planes.notes + _left_out_of_jpeg(image, data) + _beside_the_picture(planes, tags),
    )


def _left_out_of_jpeg(image: ImageFile.ImageFile, data: bytes) -> tuple[str, ...]:
    """Notes on what a JPEG holds beside the picture and its metadata."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return ()
    notes = _EXTRA_PICTURES if "mp" in image.info else ()
    parts = jpeg.left_out(image, data)
    return (*notes, f"left out: {', '.join(parts)}") if parts else notes


def _beside_the_picture(planes: Planes, tags: ifd.Tags | None) -> tuple[str, ...]:
    """Notes on what a TIFF holds beside the pixels that were read."""
    if tags is None:
        return ()
    notes = []
    inks = _SAMPLES.get(tags.integer(_PHOTOMETRIC, 0), 0)
    further = tags.integer(_SAMPLES_PER_PIXEL, 1) - inks - (planes.alpha is not None)
    if inks and further > 0:
        notes.append(f"{further} further channel{'s' if further > 1 else ''} beside the colours left out")
    if ifd.LAYERS in tags.main:
        notes.append("Photoshop's layers left out: the result is one picture")
    return tuple(notes)


def _refuse_pages(data: bytes, shown: str) -> None:
    """``ImageError`` for a TIFF of several pages.

    Pages marked as smaller copies or masks of the first one (tag 254) are not pages to lose.
    """
    pages = sum(index == 0 or not page.integer(_SUBFILE_TYPE, 0) & 5 for index, page in enumerate(ifd.read_pages(data)))
    if pages > 1:
        raise ImageError(f"{shown}: a TIFF of {pages} pages", "only single pictures can be restored")
