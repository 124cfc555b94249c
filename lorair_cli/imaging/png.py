"""PNG from the inside (PNG specification, third edition): chunks, and 16-bit pixels, which Pillow cannot write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from lorair_cli.imaging.arrays import Pixels
from lorair_cli.imaging.photo import PNG_COLOUR_CHUNKS, Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
_IHDR_END = len(SIGNATURE) + 25
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_ROWS_AT_ONCE = 64
# Filtered photo noise hardly gets smaller above this level, only slower.
_COMPRESSION = 4


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


def native_chunks(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Text and colour chunks of a PNG file, less those that are read as ICC profile, EXIF or XMP."""
    keep = []
    for kind, content in _chunks(data):
        keyword = content.split(b"\0", 1)[0]
        is_text = kind in _TEXT_CHUNKS and keyword != XMP_KEYWORD and not keyword.startswith(b"Raw profile type")
        if is_text or kind in PNG_COLOUR_CHUNKS:
            keep.append((kind, content))
    return tuple(keep)


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """A PNG file with the chunks that hold ``metadata``, put before the pixels."""
    return data[:_IHDR_END] + b"".join(_chunk(*piece) for piece in _metadata_chunks(metadata)) + data[_IHDR_END:]


def _metadata_chunks(metadata: Metadata) -> Iterable[tuple[bytes, bytes]]:
    """Name and content of every chunk, in the order the specification asks for: colour first."""
    if metadata.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)
    yield from metadata.native
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in metadata.dpi), 1)
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
