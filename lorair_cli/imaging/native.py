"""Pieces that one format holds and another does not: which go along into another format, and which stay behind."""

from __future__ import annotations

from lorair_cli.imaging import ifd, jpeg, photoshop, png, tiff
from lorair_cli.imaging.photo import PNG_COLOUR_CHUNKS, Photo, Pieces
from lorair_cli.imaging.png import TEXT_CHUNKS

_CAPTIONS = "IPTC and Photoshop data"
_NAMES = {
    **dict.fromkeys(TEXT_CHUNKS, "texts"),
    b"tIME": "time of change",
    jpeg.COMMENT: "comment",
    jpeg.APP1: "extended XMP",
    jpeg.APP13: _CAPTIONS,
    tiff.OWN_TAGS: _CAPTIONS,
}
_OTHER = "private chunks"


def pieces_for(photo: Photo, format_: str) -> Pieces:
    """The pieces to write beside ``photo`` in a file of ``format_``: its own, or in that format's words. May be empty.

    Photoshop's block, IPTC captions with it, is the one thing that two formats know: JPEG and TIFF.
    """
    return _sorted_out(photo, format_)[0]


def left_behind(photo: Photo, format_: str) -> str | None:
    """One line about the pieces of ``photo`` that a file of ``format_`` will lack, for the user; None if there is none.

    Most chunks about colour do not count: cICP has become a profile, and the others say what programs assume anyway.
    """
    left = _sorted_out(photo, format_)[1]
    names = {_NAMES.get(name, _OTHER) for name, _ in left if name not in PNG_COLOUR_CHUNKS}
    if photo.metadata.icc is None and not any(name == b"sRGB" for name, _ in left):
        names |= {said for name, content in left if (said := png.unlike_srgb(name, content)) is not None}
    if photo.metadata.aspect and format_ == "BMP":
        names.add("the shape of its pixels")
    if not names:
        return None
    return f"{format_} has no room for what this {photo.format} held beside its pixels: {', '.join(sorted(names))}"


def _sorted_out(photo: Photo, format_: str) -> tuple[Pieces, Pieces]:
    """The pieces of a file of ``format_``, and those of ``photo`` that are lost in it."""
    pieces = photo.metadata.native
    if photo.format == format_:
        return pieces, ()
    if (photo.format, format_) == ("JPEG", "TIFF"):
        resources = b"".join(filter(None, map(jpeg.photoshop_in, pieces)))
        return _tiff_tags(resources), tuple(piece for piece in pieces if jpeg.photoshop_in(piece) is None)
    if (photo.format, format_) == ("TIFF", "JPEG"):
        segments = tuple(segment for _, block in pieces for segment in _jpeg_segments(block))
        return segments, () if segments else pieces
    return (), pieces


def _tiff_tags(resources: bytes) -> Pieces:
    """A JPEG's block of resources as a TIFF's tags. The captions stand in both places, as Photoshop writes them."""
    iptc = photoshop.iptc_in(resources)
    values = {ifd.IPTC: (ifd.UNDEFINED, iptc), ifd.PHOTOSHOP: (ifd.BYTE, resources)}
    fields = {tag: ifd.Field(kind, value) for tag, (kind, value) in values.items() if value}
    return tiff.own_tags(ifd.Tags("<", fields, {}, {}, {}))


def _jpeg_segments(block: bytes) -> Pieces:
    """A TIFF's own tags as a JPEG's segments, none if its captions cannot be understood.

    Of two sets of captions, the tag's count: programs read those of a TIFF there.
    """
    tags = ifd.read_tags(block)
    if tags is None:
        return ()
    resources, iptc = (bytes(tags.main[tag].value) if tag in tags.main else b"" for tag in (ifd.PHOTOSHOP, ifd.IPTC))
    if iptc and not photoshop.is_iptc(iptc):
        return ()
    return jpeg.photoshop_segments(photoshop.with_iptc(resources, iptc) if iptc else resources)
