"""Photoshop's image resources: the block in which a JPEG or TIFF keeps IPTC captions (Photoshop File Formats, 2019)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_IPTC_RESOURCE = 0x0404
_SIGNATURE = b"8BIM"
_IPTC_MARK = b"\x1c"
"""What every data set of IPTC begins with (IPTC-NAA information interchange model, part 1)."""


def iptc_in(resources: bytes) -> bytes | None:
    """The IPTC captions in a block of resources, None if it has none. What follows damage is not seen."""
    return next((content for number, content, _ in _resources(resources) if number == _IPTC_RESOURCE), None)


def with_iptc(resources: bytes, iptc: bytes) -> bytes:
    """A block of resources, which may be empty, with these captions in place of its own."""
    others = b"".join(whole for number, _, whole in _resources(resources) if number != _IPTC_RESOURCE)
    # Number, a name that is empty, size; everything is padded to an even size.
    head = _SIGNATURE + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc))
    return others + head + iptc + bytes(len(iptc) % 2)


def is_iptc(value: bytes) -> bool:
    """Whether ``value`` reads as captions. Some programs swap the bytes of a TIFF's, which they declare as numbers."""
    return value.startswith(_IPTC_MARK)


def _resources(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number and content of each resource, and the bytes of all of it; ends where the data are damaged."""
    at = 0
    while data[at : at + 4] == _SIGNATURE and at + 7 <= len(data):
        size_at = at + 6 + (1 + data[at + 6] + 1) // 2 * 2
        if size_at + 4 > len(data):
            return
        number, size = struct.unpack_from(">H", data, at + 4)[0], struct.unpack_from(">I", data, size_at)[0]
        start, end = size_at + 4, size_at + 4 + size
        if end > len(data):
            return
        content = data[start:end]
        yield number, content, (data[at:end] + bytes(size % 2))
        at = end + size % 2
