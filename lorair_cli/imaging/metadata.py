"""Reading what lies beside the pixels: profile, EXIF, XMP, resolution, texts, and which way is up."""

from __future__ import annotations

import re

from PIL import ImageFile, JpegImagePlugin

from lorair_cli.imaging import ifd, jpeg, png, tiff
from lorair_cli.imaging.ifd import Tags
from lorair_cli.imaging.photo import Metadata, Pieces

_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>))([1-8])""")
_XMP_MOTION = re.compile(rb"""((?:GCamera:|Camera:)?(?:MotionPhoto|MicroVideo)(?:\s*=\s*["']|>))1""")
"""Where XMP says that a video follows the picture."""
_LEAST_DPI, _MOST_DPI = 0.1, 100_000.0
_LEAST_ASPECT, _MOST_ASPECT = 0.001, 100_000.0
_PNG_RAW_EXIF = ("Raw profile type exif", "Raw profile type APP1")


def read_metadata(image: ImageFile.ImageFile, data: bytes, tags: Tags | None) -> tuple[Metadata, int]:
    """Metadata of a loaded ``image`` whose file is ``data``, and the orientation, 1 to 8, that is still to be applied.

    ``tags`` are those of a TIFF, whose directory is its EXIF too. The metadata already say that the photo is upright.
    EXIF decides on the orientation; XMP does where EXIF says nothing. EXIF that cannot be read at all is dropped.
    """
    exif, exif_tags = (None, tags) if tags is not None else _exif_of(image)
    orientation = ifd.orientation_of(exif_tags)
    xmp = _as_bytes(image.info.get("xmp"))
    if xmp is not None:
        named = _XMP_ORIENTATION.search(xmp)
        # An AVIF's container decides, and Pillow makes EXIF say what it says.
        if named and image.format != "AVIF" and (exif_tags is None or ifd.ORIENTATION not in exif_tags.main):
            orientation = int(named[2])
        xmp = _upright_xmp(xmp)
        if xmp and image.format == "JPEG" and _XMP_MOTION.search(xmp) and jpeg.behind_the_picture(data):
            xmp = _XMP_MOTION.sub(rb"\g<1>0", xmp)  # the video stays behind
    if tags is not None:
        exif = ifd.exif_block(ifd.without_file_layout(tags))
    dpi = _resolution(image, exif_tags)
    aspect = _aspect(image, exif_tags) if dpi is None else None
    return Metadata(
        icc=image.info.get("icc_profile") or None,
        exif=_upright_exif(exif, orientation),
        xmp=xmp,
        dpi=dpi[::-1] if dpi and orientation >= 5 else dpi,
        aspect=aspect[::-1] if aspect and orientation >= 5 else aspect,
        native=_native(image, data, tags),
        jpeg=jpeg.style_of(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else None,
        lossless=image.format == "WEBP" and _is_lossless_webp(data),
    ), orientation


def upright_metadata(
    exif: bytes | None, xmp: bytes | None, icc: bytes | None, orientation: int | None = None
) -> Metadata:
    """Metadata of a photo that its decoder has turned upright: EXIF and XMP say so too. Unreadable EXIF is dropped.

    ``orientation``, 1 to 8, is what it was turned from, where EXIF no longer says so.
    """
    exif = exif.removeprefix(jpeg.EXIF_PREFIX) if exif else None
    tags = ifd.read_tags(exif) if exif else None
    if exif is None or tags is None:
        return Metadata(icc=icc, xmp=_upright_xmp(xmp))
    dpi = ifd.resolution_of(tags)
    if dpi is not None and not all(_LEAST_DPI <= value <= _MOST_DPI for value in dpi):
        dpi = None
    turned = ifd.orientation_of(tags) if orientation is None else orientation
    dpi = dpi[::-1] if dpi and turned >= 5 else dpi
    return Metadata(icc=icc, exif=ifd.turned_upright(exif, tags, turned), xmp=_upright_xmp(xmp), dpi=dpi)


def _upright_exif(exif: bytes | None, orientation: int) -> bytes | None:
    tags = ifd.read_tags(exif) if exif else None
    return ifd.turned_upright(exif, tags, orientation) if exif and tags else None


def _upright_xmp(xmp: bytes | None) -> bytes | None:
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp) if xmp else None


def _exif_of(image: ImageFile.ImageFile) -> tuple[bytes | None, Tags | None]:
    """The EXIF block from its header on, with its tags; both ``None`` if there is none or it is unreadable."""
    blocks = (bytes(image.info.get("exif") or b"").removeprefix(jpeg.EXIF_PREFIX), *_raw_exif(image).values())
    found = ((block, tags) for block in blocks if (tags := ifd.read_tags(block)) is not None)
    return next(found, (None, None))


def _raw_exif(image: ImageFile.ImageFile) -> dict[str, bytes]:
    """The EXIF blocks, by keyword, that ImageMagick kept as hexadecimal text before PNG had a chunk for them."""
    blocks = {}
    for key in _PNG_RAW_EXIF:
        text = image.info.get(key)
        digits = "".join(text.split("\n")[3:]) if isinstance(text, str) else ""
        if re.fullmatch("([0-9a-fA-F]{2})+", digits):
            block = bytes.fromhex(digits).removeprefix(jpeg.EXIF_PREFIX)
            if ifd.read_tags(block) is not None:
                blocks[key] = block
    return blocks


def _resolution(image: ImageFile.ImageFile, exif: Tags | None) -> tuple[float, float] | None:
    """Pixels per inch of the stored picture, from the format's own field or from EXIF; ``None`` for nonsense."""
    dpi = None if image.format == "TIFF" else image.info.get("dpi")
    if dpi is None:
        dpi = ifd.resolution_of(exif) if exif is not None else None
    if dpi is None or not all(_LEAST_DPI <= value <= _MOST_DPI for value in dpi):
        return None
    return float(dpi[0]), float(dpi[1])


def _aspect(image: ImageFile.ImageFile, exif: Tags | None) -> tuple[float, float] | None:
    """Pixels of the stored picture per unnamed unit, from the format's own field or from EXIF, if they differ."""
    aspect = image.info.get("aspect") if image.format == "PNG" else None
    if image.format == "JPEG" and image.info.get("jfif_unit") == 0:
        aspect = image.info.get("jfif_density")
    if aspect is None:
        aspect = ifd.aspect_of(exif) if exif is not None else None
    if aspect is None or aspect[0] == aspect[1] or not all(_LEAST_ASPECT <= v <= _MOST_ASPECT for v in aspect):
        return None
    return float(aspect[0]), float(aspect[1])


def _native(image: ImageFile.ImageFile, data: bytes, tags: Tags | None) -> Pieces:
    """The pieces only this format can hold."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return jpeg.native_segments(image)
    if image.format == "PNG":
        # Raw EXIF beside a chunk of EXIF is left out too: it would go on saying which way was up.
        xmp = (png.XMP_KEYWORD,) if "xmp" in image.info else ()
        return png.native_chunks(data, (*xmp, *(key.encode() for key in _raw_exif(image))))
    return () if tags is None else tiff.own_tags(tags)


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the picture's chunk is VP8L. Other chunks may stand before it in the extended format."""
    at = 12
    while at + 8 <= len(data) and data[at : at + 4] not in (b"VP8 ", b"VP8L"):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return data[at : at + 4] == b"VP8L"


def _as_bytes(value: object) -> bytes | None:
    """An XMP packet as bytes, however Pillow hands it out."""
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray) and value else None
