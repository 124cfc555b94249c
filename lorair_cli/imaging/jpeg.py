"""JPEG's segments: the pieces Pillow does not carry, and the compression of a source as a style to follow."""

from __future__ import annotations

import functools
import io
import re
import struct
from collections.abc import Iterable

from PIL import Image, JpegImagePlugin

from lorair_cli.imaging.photo import JpegStyle, Pieces

EXIF_PREFIX = b"Exif\0\0"
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
SEGMENT_LIMIT = 65533
"""Bytes that one segment can hold."""
COMMENT, APP1, APP13 = b"\xff\xfe", b"\xff\xe1", b"\xff\xed"
_MARKERS = {"COM": COMMENT, "APP1": APP1, "APP13": APP13}
_SEGMENT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Within the picture's own bytes 0xFF is followed by zero or by one of eight restart markers."""
_END_OF_IMAGE = 0xD9
_PHOTOSHOP_PREFIX = b"Photoshop 3.0\0"

COARSEST_QUALITY = 90
"""The output follows the source's quantisation tables, but no coarser than those of this quality: a restored photo
must not be put back into the blocks it was freed from."""
_JFIF_UNIT_AT = 13
"""Behind SOI, marker, length, name and version."""


def style_of(image: JpegImagePlugin.JpegImageFile) -> JpegStyle:
    """How an opened JPEG was compressed."""
    tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
    subsampling = JpegImagePlugin.get_sampling(image)
    return JpegStyle(tables, max(subsampling, 0))


def tables_to_follow(style: JpegStyle) -> list[list[int]]:
    """The quantisation tables to write with: the source's, each step no coarser than at ``COARSEST_QUALITY``."""
    coarsest = _standard_tables(COARSEST_QUALITY)
    return [
        [max(1, min(step, limit)) for step, limit in zip(table, coarsest[min(index, 1)], strict=True)]
        for index, table in enumerate(style.tables)
    ]


@functools.cache
def _standard_tables(quality: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """libjpeg's tables for brightness and colour at a quality: asked from libjpeg itself."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
    with JpegImagePlugin.JpegImageFile(io.BytesIO(buffer.getvalue())) as image:
        luma, chroma = (tuple(image.quantization[index]) for index in (0, 1))
    return luma, chroma


def native_segments(image: JpegImagePlugin.JpegImageFile) -> Pieces:
    """Marker and content of the comment, IPTC and extended XMP segments of an opened JPEG."""
    return tuple(
        (_MARKERS[name], content)
        for name, content in image.applist
        if name in ("COM", "APP13") or (name == "APP1" and content.startswith(_XMP_EXTENSION))
    )


def left_out(image: JpegImagePlugin.JpegImageFile, data: bytes) -> list[str]:
    """What a JPEG file ``data`` holds that is not carried over: in words, each once; empty if there is nothing."""
    kinds = {
        content.split(b"\0")[0][:16].decode("ascii", "replace").strip() or "unnamed data"
        for name, content in image.applist
        if not _is_carried(name, content)
    }
    parts = sorted(kinds)
    behind = len(behind_the_picture(data))
    if behind and "mp" not in image.info:  # of a multi-picture file, that is its other pictures
        parts.append(f"{behind:,} bytes behind the picture, such as a motion photo's video")
    return parts


def behind_the_picture(data: bytes) -> bytes:
    """What follows a JPEG's end of image, less any padding; empty for a file whose structure is broken."""
    at = 2
    while (marker := _next_marker(data, at)) is not None:
        start, kind = marker
        if kind == _END_OF_IMAGE:
            return data[start + 2 :].strip(b"\0\xff")
        if start + 4 > len(data):
            break
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return b""


def _next_marker(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the next marker that starts a segment, or ends the picture, stands from ``at`` on, and its number."""
    found = _SEGMENT_MARKER.search(data, at)
    return None if found is None else (found.end() - 2, data[found.end() - 1])


def _is_carried(name: str, content: bytes) -> bool:
    """Whether a segment is metadata that is kept, or says how the file itself is made."""
    if name in ("COM", "APP0", "APP13", "APP14"):
        return True
    kept = {"APP1": (EXIF_PREFIX, b"Exif\0", _XMP_PREFIX, _XMP_EXTENSION), "APP2": (b"ICC_PROFILE\0", b"MPF\0")}
    return content.startswith(kept.get(name, ())) if name in kept else False


def photoshop_in(segment: tuple[bytes, bytes]) -> bytes | None:
    """Photoshop's resources in a segment, None if it is another. What is too long for one segment goes on in others."""
    marker, content = segment
    is_photoshop = marker == APP13 and content.startswith(_PHOTOSHOP_PREFIX)
    return content.removeprefix(_PHOTOSHOP_PREFIX) if is_photoshop else None


def photoshop_segments(resources: bytes) -> Pieces:
    """Marker and content of the segments, as many as it takes, that hold Photoshop's resources."""
    room = SEGMENT_LIMIT - len(_PHOTOSHOP_PREFIX)
    starts = range(0, len(resources), room)
    return tuple((APP13, _PHOTOSHOP_PREFIX + resources[start : start + room]) for start in starts)


def xmp_segment(xmp: bytes) -> tuple[bytes, bytes]:
    """Marker and content of the segment that holds an XMP packet."""
    return APP1, _XMP_PREFIX + xmp


def with_aspect(data: bytes, aspect: tuple[int, int]) -> bytes:
    """A JPEG file as Pillow writes it, its JFIF segment first, that says its pixels are not square."""
    return data[:_JFIF_UNIT_AT] + struct.pack(">BHH", 0, *aspect) + data[_JFIF_UNIT_AT + 5 :]


def with_segments(data: bytes, segments: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A JPEG file with more segments, put behind the application segments it starts with.

    Raises ``ValueError`` for a segment that is longer than the format allows.
    """
    at = 2
    while data[at : at + 1] == b"\xff" and 0xE0 <= data[at + 1] <= 0xEF:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    pieces = list(segments)
    if any(len(content) > SEGMENT_LIMIT for _, content in pieces):
        raise ValueError(f"a piece of its metadata is longer than {SEGMENT_LIMIT} bytes")
    added = (marker + struct.pack(">H", len(content) + 2) + content for marker, content in pieces)
    return data[:at] + b"".join(added) + data[at:]
