"""ISO base media files (ISO 14496-12), the container of HEIC, AVIF and CR3: what their boxes say.

Decoders answer some questions only in part: Pillow does not tell the depth of an AVIF, and pillow-heif passes the
frames of a sequence by. Damaged structures never raise: what points outside the data is not there.
"""

from __future__ import annotations

from collections.abc import Iterator


def brands(data: bytes) -> tuple[bytes, ...]:
    """What the file claims to be, the main claim first; empty if it is no such file."""
    if data[4:8] != b"ftyp":
        return ()
    end = min(int.from_bytes(data[:4], "big"), len(data))
    return (data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4)))


def has_movie(data: bytes) -> bool:
    """Whether the file has tracks: a sequence of pictures or a video."""
    return any(kind == b"moov" for kind, _ in _boxes(data, 0, len(data)))


def colour_numbers(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer characteristics (ITU-T H.273) where the file says its colours by number, else None."""
    for kind, content in _properties(data):
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            return int.from_bytes(content[4:6], "big"), int.from_bytes(content[6:8], "big")
    return None


def av1_layout(data: bytes) -> tuple[int, int]:
    """Bits per sample of an AVIF, and its chroma subsampling as Pillow's number (0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0).

    Of all its pictures (tiles, transparency) the deepest and the first that has colours count.
    """
    bits, subsampling = 8, None
    for kind, content in _properties(data):
        if kind == b"av1C" and len(content) >= 4:
            flags = content[2]
            bits = max(bits, (12 if flags & 0x20 else 10) if flags & 0x40 else 8)
            if subsampling is None and not flags & 0x10:
                subsampling = (flags >> 3 & 1) + (flags >> 2 & 1)
    return bits, subsampling or 0


def _properties(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the boxes that describe the pictures of the file: those in meta, iprp, ipco."""
    for meta, (meta_at, meta_end) in _boxes(data, 0, len(data)):
        if meta != b"meta":
            continue
        for iprp, (iprp_at, iprp_end) in _boxes(data, meta_at + 4, meta_end):  # 4 bytes of version and flags
            if iprp != b"iprp":
                continue
            for ipco, (at, end) in _boxes(data, iprp_at, iprp_end):
                if ipco == b"ipco":
                    yield from ((kind, data[start:stop]) for kind, (start, stop) in _boxes(data, at, end))


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Name and content range of each box between ``at`` and ``end``."""
    while at + 8 <= end:
        size, head = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:  # up to the end
            size = end - at
        if size < head or at + size > end:
            return
        yield data[at + 4 : at + 8], (at + head, at + size)
        at += size
