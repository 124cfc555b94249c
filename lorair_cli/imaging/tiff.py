"""A small writer of TIFF (TIFF 6.0): 8 or 16 bits, Deflate, with profile and tags. Pillow has no 16-bit RGB."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from lorair_cli.imaging import ifd
from lorair_cli.imaging.arrays import Pixels
from lorair_cli.imaging.ifd import Directory, Field, Tags
from lorair_cli.imaging.photo import Metadata, Pieces

_STRIP_BYTES = 1 << 20
_COMPRESSION = 6
_LIMIT = 1 << 32
_NO_TAGS = Tags("<", {}, {}, {}, {})

OWN_TAGS = b"tags"
"""Name of the piece that holds the tags of a TIFF that EXIF cannot, as a directory of their own."""


def own_tags(tags: Tags) -> Pieces:
    """The captions among ``tags``, IPTC and Photoshop's block, with their types: a piece of metadata, or none."""
    main = {tag: tags.main[tag] for tag in (ifd.IPTC, ifd.PHOTOSHOP) if tag in tags.main}
    block = ifd.exif_block(Tags(tags.order, main, {}, {}, {}))
    return () if block is None else ((OWN_TAGS, block),)


def encode_tiff(pixels: Pixels, metadata: Metadata) -> bytes:
    """A TIFF file of ``pixels`` (h, w, c): c = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha (not premultiplied).

    The byte order is that of the EXIF block, else that of the native tags: values are copied as they are. Raises
    ``ValueError`` past the 4 GiB that TIFF can address.
    """
    own = next((ifd.read_tags(content) for name, content in metadata.native if name == OWN_TAGS), None)
    carried = ifd.read_tags(metadata.exif) if metadata.exif else None
    order = (carried or own or _NO_TAGS).order
    carried, own = carried or _NO_TAGS, own or _NO_TAGS
    rows = max(1, _STRIP_BYTES // (pixels[0].size * pixels.itemsize))
    strips = list(_strips(pixels, rows, order))
    note = ifd.pinned(carried)
    offsets = np.cumsum([ifd.behind(note), *(len(strip) for strip in strips)])  # directories start at an even offset
    end = int(offsets[-1] + offsets[-1] % 2)
    if end >= _LIMIT:
        raise ValueError("a TIFF file cannot hold more than 4 GiB")
    layout = _layout(pixels, rows, [int(at) for at in offsets[:-1]], [len(strip) for strip in strips], order)
    main = {**ifd.without_file_layout(carried).main, **layout, **_beside(metadata, order), **own.main}
    directories = ifd.directories(Tags(order, main, carried.exif, carried.gps, carried.interop), end, note)
    front = ifd.with_pinned(ifd.header(order, end), note)
    return b"".join([front, *strips, bytes(end - int(offsets[-1])), directories])


def _strips(pixels: Pixels, rows: int, order: str) -> Iterator[bytes]:
    """The pixels, ``rows`` rows at a time: each sample less its left neighbour (predictor 2), then Deflate."""
    for start in range(0, len(pixels), rows):
        block = pixels[start : start + rows]
        differences = block.copy()
        differences[:, 1:] -= block[:, :-1]
        yield zlib.compress(differences.astype(differences.dtype.newbyteorder(order), copy=False), _COMPRESSION)


def _layout(pixels: Pixels, rows: int, offsets: list[int], sizes: list[int], order: str) -> Directory:
    """The tags that say how the pixels are stored."""
    height, width, channels = pixels.shape

    def shorts(*values: int) -> Field:
        return Field(ifd.SHORT, struct.pack(f"{order}{len(values)}H", *values))

    def longs(*values: int) -> Field:
        return Field(ifd.LONG, struct.pack(f"{order}{len(values)}I", *values))

    layout = {
        256: longs(width),
        257: longs(height),
        258: shorts(*[pixels.itemsize * 8] * channels),
        259: shorts(8),  # Deflate
        262: shorts(2 if channels >= 3 else 1),  # RGB, or grey with black as zero
        273: longs(*offsets),
        ifd.ORIENTATION: shorts(1),
        277: shorts(channels),
        278: longs(rows),
        279: longs(*sizes),
        284: shorts(1),  # channels of a pixel lie together
        317: shorts(2),  # horizontal differences
    }
    if channels in (2, 4):
        layout[338] = shorts(2)  # the last channel is alpha, and colours are not premultiplied by it
    return layout


def _beside(metadata: Metadata, order: str) -> Directory:
    """Resolution, profile and XMP."""
    beside = ifd.resolution_fields(metadata.dpi, metadata.aspect, order)
    if metadata.xmp:
        beside[ifd.XMP] = Field(ifd.BYTE, metadata.xmp)
    if metadata.icc:
        beside[ifd.ICC_PROFILE] = Field(ifd.UNDEFINED, metadata.icc)
    return beside
