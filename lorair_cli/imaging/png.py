"""PNG from the inside (PNG specification, third edition): chunks, and 16-bit pixels, which Pillow cannot write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from lorair_cli.imaging.arrays import Pixels
from lorair_cli.imaging.photo import PNG_COLOUR_CHUNKS, Metadata, Pieces, as_fraction

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
_IHDR_END = len(SIGNATURE) + 25
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_READ_CHUNKS = (b"pHYs", b"eXIf")
_SMALL = 0x20
"""The bit of a letter in a chunk's name that says something: of the first that pictures can be shown without the chunk,
of the last that it stays true when the pixels change (PNG specification, 5.4)."""
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_ROWS_AT_ONCE = 64
# Filtered photo noise hardly gets smaller above this level, only slower.
_COMPRESSION = 4

_SRGB_GAMMA = (45455,)
_SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
"""What a PNG says in gAMA and cHRM of sRGB's colours, in hundred-thousandths (PNG, third edition, 11.3.2)."""


def check_pixel_chunks(data: bytes) -> None:
    """``ValueError`` if a chunk of pixels is cut off or not what its checksum says; Pillow does not look at that."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (size,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        end = at + 8 + size
        if kind == b"IDAT":
            if end + 4 > len(data):
                raise ValueError("its pixels are cut off")
            if zlib.crc32(memoryview(data)[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
                raise ValueError("the checksum of its pixels is wrong")
        at = end + 4


def unlike_srgb(kind: bytes, content: bytes) -> str | None:
    """What a chunk says of the colours, in a word, where programs would assume something else; None if nothing."""
    usual = {b"gAMA": _SRGB_GAMMA, b"cHRM": _SRGB_CHROMATICITIES}.get(kind, ())
    if len(content) != 4 * len(usual):
        return None
    values = struct.unpack(f">{len(usual)}I", content)
    if all(abs(value - expected) <= 500 for value, expected in zip(values, usual, strict=True)):
        return None
    return "a tone curve of its own (gAMA)" if kind == b"gAMA" else "primaries of its own (cHRM)"


def colour_numbers(data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer characteristics (ITU-T H.273) where a PNG file says its colours by number, else None."""
    for kind, content in _chunks(data):
        if kind == b"cICP" and len(content) == 4:
            return content[0], content[1]
        if kind == b"IDAT":
            break
    return None


def native_chunks(data: bytes, read: Collection[bytes]) -> Pieces:
    """Chunks of a PNG file to write again: texts, time, colours, and those of others that new pixels leave true.

    What is read as ICC profile, EXIF, XMP or resolution is left out; ``read`` are the keywords of the texts that were.
    A profile stays where there are colours by number too, for programs that do not know those.
    """
    chunks = list(_chunks(data))
    by_number = any(kind == b"cICP" for kind, _ in chunks)

    def is_kept(kind: bytes, content: bytes) -> bool:
        if kind in TEXT_CHUNKS:
            return content.split(b"\0", 1)[0] not in read
        if kind == b"iCCP":
            return by_number
        if kind in PNG_COLOUR_CHUNKS or kind == b"tIME":
            return True
        return bool(kind[0] & kind[3] & _SMALL) and kind not in _READ_CHUNKS

    return tuple(chunk for chunk in chunks if is_kept(*chunk))


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """A PNG file with the chunks that hold ``metadata``, put before the pixels."""
    return data[:_IHDR_END] + b"".join(_chunk(*piece) for piece in _metadata_chunks(metadata)) + data[_IHDR_END:]


def _metadata_chunks(metadata: Metadata) -> Iterable[tuple[bytes, bytes]]:
    """Name and content of every chunk, in the order the specification asks for: colour first."""
    # Colours by number count more than a profile, which was made from them or is among the pieces.
    if metadata.icc and not any(kind == b"cICP" for kind, _ in metadata.native):
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)
    yield from metadata.native
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in metadata.dpi), 1)
    elif metadata.aspect:
        yield b"pHYs", struct.pack(">IIB", *as_fraction(metadata.aspect), 0)
    if metadata.exif:
        yield b"eXIf", metadata.exif
    if metadata.xmp:
        yield b"iTXt", XMP_KEYWORD + bytes(5) + metadata.xmp


def encode_16(pixels: Pixels) -> bytes:
    """A PNG file without metadata of 16-bit ``pixels`` (h, w, c): c = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    compressor = zlib.compressobj(_COMPRESSION)
    packed = b"".join([*(compressor.compress(rows) for rows in _filtered(pixels)), compressor.flush()])
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _filtered(pixels: Pixels) -> Iterator[bytes]:
    """The pixels' bytes, some rows at a time, each row after the filter (Sub, Up or Paeth) that leaves the least."""
    height, width, channels = pixels.shape
    step = 2 * channels
    above = np.zeros((1, width * step), np.uint8)
    for start in range(0, height, _ROWS_AT_ONCE):
        big_endian = np.ascontiguousarray(pixels[start : start + _ROWS_AT_ONCE], dtype=">u2")
        rows = big_endian.view(np.uint8).reshape(len(big_endian), width * step)
        up = np.concatenate([above, rows[:-1]])
        left, corner = (np.pad(block, ((0, 0), (step, 0)))[:, :-step] for block in (rows, up))
        candidates = np.stack([rows - left, rows - up, rows - _paeth(left, up, corner)])
        # Small differences around zero compress best: the specification's own rule of thumb.
        cost = np.minimum(candidates, 0 - candidates).sum(axis=2, dtype=np.int64)
        best = cost.argmin(axis=0)
        chosen = candidates[best, np.arange(len(rows))]
        kinds = np.array([1, 2, 4], np.uint8)[best]
        yield np.concatenate([kinds[:, None], chosen], axis=1).tobytes()
        above = rows[-1:]


def _paeth(left: npt.NDArray[np.uint8], up: npt.NDArray[np.uint8], corner: npt.NDArray[np.uint8]) -> Pixels:
    """Whichever neighbour is nearest to left + up - corner, in that order where they are equally near."""
    a, b, c = (block.astype(np.int16) for block in (left, up, corner))
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each whole chunk after the signature."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        if at + 12 + size > len(data):
            return
        kind = data[at + 4 : at + 8]
        # Pixels are the bulk of a file and nobody asks for them here.
        yield kind, b"" if kind == b"IDAT" else data[at + 8 : at + 8 + size]
        at += 12 + size


def _chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk: size, name, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
