"""From a :class:`Photo` to a file: whole or not at all, and with everything the photo carries."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lorair_cli.errors import ImageError, UsageError
from lorair_cli.imaging import avif, heif, ifd, jpeg, png
from lorair_cli.imaging.arrays import Pixels, max_value, to_eight_bits, to_grey
from lorair_cli.imaging.files import atomic_write, printable
from lorair_cli.imaging.limits import NEWER_PILLOW
from lorair_cli.imaging.native import pieces_for
from lorair_cli.imaging.photo import Metadata, Photo, as_fraction
from lorair_cli.imaging.profiles import in_colour
from lorair_cli.imaging.tiff import encode_tiff

SUFFIXES = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".avif": "AVIF",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".hif": "HEIC",
}
"""Formats that can be written, by the suffix of the file."""

WITH_QUALITY, WITH_SUBSAMPLING = frozenset(("JPEG", "WEBP", "AVIF", "HEIC")), frozenset(("JPEG", "AVIF", "HEIC"))
"""Formats that a quality, or a subsampling, means something to."""

SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
"""Chroma subsampling by its usual name, as Pillow's number."""

_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536, "HEIC": 16384}
_USE_PNG = "write PNG or TIFF instead"


@dataclass(frozen=True)
class WriteOptions:
    """What the user may say about the compression. What is ``None`` follows the source."""

    quality: int | None = None
    """1 to 100, for JPEG, AVIF, HEIC and lossy WebP. By default a JPEG source's own tables (see
    ``jpeg.COARSEST_QUALITY``), otherwise 95."""
    subsampling: str | None = None
    """A key of ``SUBSAMPLING``, for JPEG, AVIF and HEIC. By default that of a source of the same format, otherwise
    4:4:4, for HEIC 4:2:0."""
    lossless: bool | None = None
    """For WebP. By default what a WebP source was, otherwise lossy."""

    def __post_init__(self) -> None:
        """``UsageError`` for what is no quality or subsampling."""
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(f"quality {self.quality} is outside 1 to 100")
        if self.subsampling is not None and self.subsampling not in SUBSAMPLING:
            raise UsageError(f"there is no subsampling {self.subsampling!r}", f"choose from {', '.join(SUBSAMPLING)}")


DEFAULT_QUALITY = 95


def format_for(path: Path) -> str:
    """The format that the suffix of ``path`` asks for; ``ImageError`` if it is none that can be written."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(suffix for suffix in SUFFIXES if suffix not in (".jfif", ".heif", ".hif"))
        raise ImageError(f"{printable(str(path))}: cannot write this format", f"use one of {known}") from None


def encoder_missing(format_: str) -> bool:
    """Whether ``format_`` (a value of ``SUFFIXES``) cannot be written for want of a library."""
    return (format_ == "HEIC" and not heif.is_installed()) or format_ not in _ENCODERS


def write_photo(
    photo: Photo,
    path: Path | str,
    options: WriteOptions | None = None,
    *,
    format_: str | None = None,
    replace: bool = True,
) -> None:
    """Write ``photo`` as ``path``, in the format of its suffix or in ``format_``.

    The file appears whole or not at all; one that was there stays until then, and for good if ``replace`` is false. 16
    bits become 8, rounded, where the format has no more. Raises ``ImageError`` if the format cannot hold the photo
    (transparency, size, metadata) or the file cannot be written, and ``FileExistsError`` if it may not be replaced.
    """
    path = Path(path)
    shown = printable(str(path))
    chosen = format_ or format_for(path)
    try:
        data = encode_photo(photo, chosen, options)
    except ImageError as error:
        raise ImageError(f"{shown}: {error.message}", error.hint) from error
    try:
        with atomic_write(path, replace=replace) as file:
            file.write(data)
    except FileExistsError:
        raise
    except OSError as error:
        raise ImageError(f"{shown}: cannot be written: {error.strerror or error}") from error


def encode_photo(photo: Photo, format_: str, options: WriteOptions | None = None) -> bytes:
    """The bytes of a file of ``format_`` (a value of ``SUFFIXES``) that holds ``photo``; errors as ``write_photo``."""
    format_ = SUFFIXES.get(f".{format_.lower()}", format_)
    longest = max(photo.size)
    if longest > _LONGEST_SIDE.get(format_, longest):
        raise ImageError(f"{format_} holds no more than {_LONGEST_SIDE[format_]} pixels a side", _USE_PNG)
    encoder = _ENCODERS.get(format_)
    if encoder is None:
        raise ImageError(f"{format_} cannot be written here", NEWER_PILLOW if format_ == "AVIF" else _USE_PNG)
    try:
        return encoder(photo, options or WriteOptions())
    except MemoryError as error:
        raise ImageError(f"not enough memory to write {format_}") from error
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise ImageError(f"{format_} cannot hold this photo: {error}", _USE_PNG) from error


def bits_written(photo: Photo, format_: str) -> int:
    """Bits per sample that a file of ``format_`` (a value of ``SUFFIXES``) keeps of a photo's."""
    if photo.bits == 8 or format_ in ("PNG", "TIFF"):
        return photo.bits
    if format_ == "HEIC":
        return heif.bits_written(photo.metadata.deep if photo.format == "HEIC" else None)
    return 8


def _channels(photo: Photo, *, grey: bool = True) -> Pixels:
    """The photo as one array (h, w, c): grey or RGB, and alpha last where there is one."""
    colour = to_grey(photo.rgb)[..., None] if photo.grey and grey else photo.rgb
    return colour if photo.alpha is None else np.concatenate([colour, photo.alpha[..., None]], axis=2)


def _profile(photo: Photo, channels: Pixels) -> bytes | None:
    """The photo's profile; one of greys fits no file of three channels, and becomes one of colours there."""
    icc = photo.metadata.icc
    return icc if icc is None or channels.shape[2] < 3 else in_colour(icc)


def _image(channels: Pixels) -> Image.Image:
    """An array (h, w, c) as an 8-bit Pillow image."""
    eight = to_eight_bits(channels)
    return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight)


def _opaque_channels(photo: Photo, format_: str) -> Pixels:
    """Colour alone; ``ImageError`` if that would lose transparency. Alpha that is full everywhere says nothing."""
    if photo.alpha is not None and int(photo.alpha.min()) != max_value(photo.alpha.dtype):
        raise ImageError(f"{format_} has no transparency and this photo does", _USE_PNG)
    return to_grey(photo.rgb)[..., None] if photo.grey else photo.rgb


def _exif_with_resolution(metadata: Metadata) -> bytes:
    """EXIF that also says the resolution, for a format without a field for it; empty if there is nothing to say."""
    tags = ifd.read_tags(metadata.exif) if metadata.exif else None
    tags = tags or ifd.Tags("<", {}, {}, {}, {})
    resolution = ifd.resolution_fields(metadata.dpi, metadata.aspect, tags.order)
    if not resolution or ifd.X_RESOLUTION in tags.main:
        return metadata.exif or b""
    main = tags.main | resolution
    return ifd.exif_block(ifd.Tags(tags.order, main, tags.exif, tags.gps, tags.interop)) or b""


def _png(photo: Photo, options: WriteOptions) -> bytes:
    channels = _channels(photo)
    if photo.bits == 16:
        data = png.encode_16(channels)
    else:
        buffer = io.BytesIO()
        _image(channels).save(buffer, "PNG")
        data = buffer.getvalue()
    return png.with_metadata(data, _own(photo, "PNG"))


def _jpeg(photo: Photo, options: WriteOptions) -> bytes:
    metadata, style = _own(photo, "JPEG"), photo.metadata.jpeg
    image = _image(_opaque_channels(photo, "JPEG"))
    subsampling = SUBSAMPLING[options.subsampling] if options.subsampling else style.subsampling if style else 0
    tables = jpeg.tables_to_follow(style) if style and options.quality is None else None
    buffer = io.BytesIO()
    # Neither progressive nor optimised: for those Pillow guesses a buffer, which fine noise overflows.
    image.save(
        buffer,
        "JPEG",
        # Pillow would scale the tables by a quality given beside them; -1 leaves them alone.
        quality=-1 if tables else options.quality or DEFAULT_QUALITY,
        qtables=tables,
        subsampling=-1 if photo.grey else subsampling,
        icc_profile=metadata.icc,
        exif=jpeg.EXIF_PREFIX + metadata.exif if metadata.exif else b"",
        dpi=_jpeg_dpi(metadata),
    )
    data = buffer.getvalue()
    if metadata.aspect and not metadata.dpi:
        data = jpeg.with_aspect(data, as_fraction(metadata.aspect))
    segments = [jpeg.xmp_segment(metadata.xmp)] if metadata.xmp else []
    return jpeg.with_segments(data, [*segments, *metadata.native])


def _jpeg_dpi(metadata: Metadata) -> tuple[int, int]:
    """Pixels per inch as JFIF has them, in 16 bits; (0, 0) is none."""
    x, y = (round(value) for value in metadata.dpi or (0, 0))
    return (x, y) if max(x, y) < 2**16 else (0, 0)


def _webp(photo: Photo, options: WriteOptions) -> bytes:
    metadata = photo.metadata
    channels = _channels(photo, grey=False)
    follows = metadata.lossless and options.quality is None  # who names a quality wants the lossy kind
    buffer = io.BytesIO()
    _image(channels).save(
        buffer,
        "WEBP",
        quality=options.quality or DEFAULT_QUALITY,
        lossless=follows if options.lossless is None else options.lossless,
        exact=True,  # colours under full transparency stay what they are
        icc_profile=_profile(photo, channels) or b"",
        exif=_exif_with_resolution(metadata),
        xmp=metadata.xmp or b"",
    )
    return buffer.getvalue()


def _tiff(photo: Photo, options: WriteOptions) -> bytes:
    # 16-bit grey with alpha is written as RGB with alpha: hardly any program reads the former, Pillow included.
    channels = _channels(photo, grey=photo.alpha is None or photo.bits == 8)
    return encode_tiff(channels, replace(_own(photo, "TIFF"), icc=_profile(photo, channels)))


def _bmp(photo: Photo, options: WriteOptions) -> bytes:
    metadata = photo.metadata
    if metadata.icc or metadata.exif or metadata.xmp:
        raise ImageError("BMP has no room for this photo's colour profile, EXIF or XMP", _USE_PNG)
    buffer = io.BytesIO()
    _image(_opaque_channels(photo, "BMP")).save(buffer, "BMP", dpi=metadata.dpi or (0, 0))
    return buffer.getvalue()


def _avif(photo: Photo, options: WriteOptions) -> bytes:
    metadata = photo.metadata
    followed = metadata.deep.subsampling if metadata.deep and photo.format == "AVIF" else 0
    wanted = SUBSAMPLING[options.subsampling] if options.subsampling else followed
    names = {number: name for name, number in SUBSAMPLING.items()}
    channels = _channels(photo, grey=photo.alpha is None)
    buffer = io.BytesIO()
    # Transparency is no picture: it comes back to the bit, whatever the colours' quality. Only this codec knows how.
    exact = photo.alpha is not None and _has_aom()
    codec: dict[str, Any] = {"codec": "aom", "advanced": {"alpha:cq-level": "0"}} if exact else {}
    _image(channels).save(
        buffer,
        "AVIF",
        **codec,
        quality=options.quality or DEFAULT_QUALITY,
        subsampling="4:0:0" if photo.grey and photo.alpha is None else names[wanted],
        icc_profile=_profile(photo, channels) or b"",
        # Pillow would take EXIF with an orientation apart to put that into the container.
        exif=ifd.without_orientation(_exif_with_resolution(metadata)),
        xmp=metadata.xmp or b"",
    )
    return buffer.getvalue()


def _has_aom() -> bool:
    """Whether Pillow's AVIF has the codec that takes options for the transparency."""
    from PIL import _avif

    return bool(_avif.encoder_codec_available("aom"))


def _heic(photo: Photo, options: WriteOptions) -> bytes:
    subsampling = SUBSAMPLING[options.subsampling] if options.subsampling else None
    channels = _channels(photo, grey=photo.alpha is None)
    deep = photo.metadata.deep if photo.format == "HEIC" else None
    metadata = replace(photo.metadata, deep=deep, icc=_profile(photo, channels))
    exif = _exif_with_resolution(metadata)
    return heif.encode_heif(channels, metadata, exif, options.quality or DEFAULT_QUALITY, subsampling)


_ENCODERS: dict[str, Callable[[Photo, WriteOptions], bytes]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WEBP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "HEIC": _heic,
    **({} if avif.PLUGIN is None else {"AVIF": _avif}),
}


def _own(photo: Photo, format_: str) -> Metadata:
    """The photo's metadata, with those native pieces that a file of ``format_`` can hold."""
    return replace(photo.metadata, native=pieces_for(photo, format_))
