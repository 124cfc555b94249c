"""A photo in memory: its pixels, and everything beside them that has to reach the output."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from lorair_cli.imaging.arrays import Pixels, max_value

PNG_COLOUR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
"""PNG chunks that say what the numbers mean as colours, beside or in place of an ICC profile. Not personal data."""

Part: TypeAlias = tuple[slice, slice]
"""Rows and columns of a photo."""

Pieces: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Name and content of pieces of a file, in order."""


@dataclass(frozen=True)
class JpegStyle:
    """How a JPEG was compressed, so that the output can follow it."""

    tables: tuple[tuple[int, ...], ...]
    """Quantisation tables, 64 numbers each, in row order."""
    subsampling: int
    """Pillow's number: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0. Anything rarer is read as 0, which loses nothing."""


@dataclass(frozen=True)
class DeepStyle:
    """How a HEIC or AVIF was stored, so that the output can follow it."""

    bits: int
    """Bits per sample: 8, 10 or 12."""
    subsampling: int
    """As for :class:`JpegStyle`."""


def as_fraction(aspect: tuple[float, float]) -> tuple[int, int]:
    """Two densities as whole numbers of 16 bits with the same ratio; as they are where they are such."""
    across, down = aspect
    if across.is_integer() and down.is_integer() and max(aspect) < 2**16:
        return int(across), int(down)
    ratio = across / down
    fraction = Fraction(min(ratio, 1 / ratio)).limit_denominator(2**16 - 1)
    small, large = max(fraction.numerator, 1), fraction.denominator
    return (small, large) if ratio < 1 else (large, small)


@dataclass(frozen=True)
class Metadata:
    """What a photo carries beside its pixels. All of it is optional."""

    icc: bytes | None = None
    """ICC profile, byte for byte. The pixels are in its colour space: nothing here converts them (but CMYK)."""
    exif: bytes | None = None
    """EXIF block, starting at its TIFF header (no ``Exif`` prefix), with orientation 1: the pixels are upright."""
    xmp: bytes | None = None
    """XMP packet, with orientation 1 too if it names one."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch across and down, for the upright photo."""
    aspect: tuple[float, float] | None = None
    """Pixels per unit across and down where no unit is named and they differ: the pixels are not square."""
    native: Pieces = ()
    """Pieces that only the source's own format can hold: PNG text and colour chunks, JPEG comment and IPTC segments,
    TIFF tags for IPTC. They are written back when the output has the source's format (see ``native.py``)."""
    jpeg: JpegStyle | None = None
    """For JPEG input: how it was compressed."""
    lossless: bool = False
    """For WebP input: it was the lossless kind."""
    deep: DeepStyle | None = None
    """For HEIC and AVIF input: how it was stored."""

    def stripped(self) -> Metadata:
        """Only what is needed to show the pixels as they are meant: colour profile, their shape, and compression."""
        colour = tuple(piece for piece in self.native if piece[0] in PNG_COLOUR_CHUNKS)
        return replace(self, exif=None, xmp=None, dpi=None, native=colour)


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo: ``rgb`` (h, w, 3) and ``alpha`` (h, w) or ``None``, both ``uint8`` or both ``uint16``."""

    rgb: Pixels
    alpha: Pixels | None = None
    grey: bool = False
    """The source was grey: the three channels are copies of one, and the output is written grey again."""
    format: str = "PNG"
    """Format of the source: ``PNG``, ``JPEG``, ``WEBP``, ``TIFF``, ``BMP``, ``AVIF``, ``HEIC``, or ``RAW``."""
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    """One line for each thing that could not be taken over as it was and that the user should hear about."""

    def __post_init__(self) -> None:
        """Refuse arrays that are no photo: ``ValueError`` names the shape or type."""
        max_value(self.rgb.dtype)
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or 0 in self.rgb.shape:
            raise ValueError(f"rgb is (h, w, 3), not {self.rgb.shape}")
        if self.alpha is not None and (self.alpha.shape != self.rgb.shape[:2] or self.alpha.dtype != self.rgb.dtype):
            raise ValueError(f"alpha {self.alpha.shape} {self.alpha.dtype} does not fit rgb {self.rgb.shape}")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.rgb.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.rgb.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, in the order people say them."""
        return self.width, self.height

    @property
    def bits(self) -> int:
        """Bits per sample: 8 or 16."""
        return self.rgb.dtype.itemsize * 8

    def with_rgb(self, new_rgb: Pixels) -> Photo:
        """This photo with other colours; alpha, metadata and the rest stay.

        Raises ``ValueError`` if ``new_rgb`` has another shape or type: a restored photo has the size and the depth
        of its source.
        """
        _check_fits(new_rgb, self.rgb)
        return replace(self, rgb=new_rgb)

    def part(self, where: Part) -> Photo:
        """These rows and columns of this photo, with all that comes with it."""
        alpha = None if self.alpha is None else np.ascontiguousarray(self.alpha[where])
        return replace(self, rgb=np.ascontiguousarray(self.rgb[where]), alpha=alpha)

    def with_part(self, where: Part, new_rgb: Pixels) -> Photo:
        """This photo with other colours in these rows and columns; ``ValueError`` as for :meth:`with_rgb`."""
        _check_fits(new_rgb, self.rgb[where])
        rgb = self.rgb.copy()
        rgb[where] = new_rgb
        return self.with_rgb(rgb)

    def without_metadata(self) -> Photo:
        """This photo without EXIF, XMP, DPI, texts and captions; the colour profile stays, or colours would change."""
        return replace(self, metadata=self.metadata.stripped())


def _check_fits(new: Pixels, old: Pixels) -> None:
    if new.shape != old.shape or new.dtype != old.dtype:
        raise ValueError(f"{new.shape} {new.dtype} in place of {old.shape} {old.dtype}")
