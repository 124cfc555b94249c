"""Camera raw files (DNG, CR2, CR3, NEF, ARW, ...), developed by LibRaw through rawpy, from the extra ``formats``."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from PIL import JpegImagePlugin

from lorair_cli.errors import ImageError
from lorair_cli.imaging import boxes, ifd
from lorair_cli.imaging.limits import INSTALL_FORMATS, check_pixels
from lorair_cli.imaging.metadata import upright_metadata
from lorair_cli.imaging.photo import Metadata, Photo
from lorair_cli.imaging.profiles import srgb_profile

if TYPE_CHECKING:
    import rawpy

SUFFIXES = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
        *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
    }
)
"""What cameras call their raw files."""

_SIGNATURES = re.compile(rb"IIU\0|IIR[OS]|MMOR|FUJIFILMCCD-RAW|FOVb|\0MRM")
"""Panasonic, Olympus, Fujifilm, Sigma, Minolta. Most others are TIFF files."""

_SUBFILE_TYPE, _DNG_VERSION, _XMP = 254, 50706, 700
_FIRST_DNG_TAG = _DNG_VERSION
_SENSOR_TAGS = frozenset((33421, 33422))
_SRGB_CURVE = (2.4, 12.92)
_CLIPPED = 0.001
"""Part of the pixels that may become white when the brightness is set: LibRaw's own 1 % costs visible highlights."""


def is_raw(data: bytes) -> bool:
    """Whether the bytes of a file are a camera's raw photo, as far as its first page says."""
    if _SIGNATURES.match(data) or boxes.brands(data)[:1] == (b"crx ",):
        return True
    tags = ifd.read_tags(data)
    if tags is None:
        return False
    # A TIFF that begins with a smaller copy keeps the photo itself elsewhere, as only raw files do.
    return data[8:10] == b"CR" or _DNG_VERSION in tags.main or bool(tags.integer(_SUBFILE_TYPE, 0) & 1)


def read_raw(data: bytes, shown: str, max_pixels: int) -> Photo:
    """The photo in a raw file, named ``shown`` in errors: 16-bit sRGB, the camera's white balance, upright.

    Raises ``ImageError``: rawpy is not here, the file is damaged, not known to LibRaw, or too large.
    """
    library = _library(shown)
    tags = ifd.read_tags(data)
    if tags is not None and tags.cut_off:  # LibRaw would go on without, in other colours
        raise ImageError(f"{shown}: a camera's raw file whose end is missing")
    try:
        with library.imread(io.BytesIO(data)) as raw:
            check_pixels(raw.sizes.raw_width, raw.sizes.raw_height, max_pixels, shown)
            rgb = raw.postprocess(
                output_bps=16, use_camera_wb=True, gamma=_SRGB_CURVE, auto_bright_thr=_CLIPPED, user_sat=None
            )
            metadata = _metadata(tags, raw, library)
    except library.LibRawError as error:
        text = error.args[0] if error.args else ""
        reason = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        raise ImageError(f"{shown}: a camera's raw file that LibRaw cannot read: {reason}") from error
    return Photo(np.ascontiguousarray(rgb), format="RAW", metadata=replace(metadata, icc=srgb_profile()))


def _metadata(tags: ifd.Tags | None, raw: rawpy.RawPy, library: ModuleType) -> Metadata:
    """EXIF and XMP: of the file itself where it is a TIFF, else of the preview that cameras put beside the photo."""
    if tags is not None:
        carried = ifd.without_file_layout(tags)
        main = {tag: value for tag, value in carried.main.items() if tag < _FIRST_DNG_TAG and tag not in _SENSOR_TAGS}
        xmp = tags.main.get(_XMP)
        exif = ifd.exif_block(replace(carried, main=main))
        return upright_metadata(exif, None if xmp is None else bytes(xmp.value), None, ifd.orientation_of(tags))
    try:
        preview = raw.extract_thumb()
        if preview.format == library.ThumbFormat.JPEG:
            with JpegImagePlugin.JpegImageFile(io.BytesIO(preview.data)) as image:
                return upright_metadata(image.info.get("exif"), image.info.get("xmp"), None)
    except (library.LibRawError, OSError, SyntaxError, ValueError):  # a photo without its preview is a photo
        pass
    return Metadata()


def _library(shown: str) -> ModuleType:
    try:
        import rawpy
    except ImportError as error:
        raise ImageError(f"{shown}: a camera's raw file needs rawpy, which is not here", INSTALL_FORMATS) from error
    module: ModuleType = rawpy
    return module
