"""Photos with everything beside their pixels that there may be, to be written."""

import struct

import numpy as np
from PIL import ImageCms

from lorair_cli.imaging import ifd
from lorair_cli.imaging.photo import Metadata, Photo

RNG = np.random.default_rng(11)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>caption \xc3\xbc</rdf:RDF></x:xmpmeta>'


def exif_block() -> bytes:
    def text(value: bytes) -> ifd.Field:
        return ifd.Field(ifd.ASCII, value + b"\0")

    main = {0x010F: text(b"A camera maker"), 0x0112: ifd.Field(ifd.SHORT, struct.pack("<H", 1))}
    exposure, maker_note = struct.pack("<II", 1, 250), b"maker's own bytes"
    camera = {0x829A: ifd.Field(ifd.RATIONAL, exposure), 0x927C: ifd.Field(ifd.UNDEFINED, maker_note)}
    return ifd.exif_block(ifd.Tags("<", main, camera, {1: text(b"N")}, {}))


METADATA = Metadata(icc=ICC, exif=exif_block(), xmp=XMP, dpi=(300, 150))


def photo(*shape: int, bits: int = 8, alpha: bool = False, grey: bool = False, metadata: Metadata = METADATA) -> Photo:
    dtype = np.uint16 if bits == 16 else np.uint8
    height, width = shape or (5, 7)
    rgb = RNG.integers(0, 2**bits, (height, width, 1 if grey else 3), dtype)
    rgb = np.repeat(rgb, 3, axis=2) if grey else rgb
    return Photo(rgb, RNG.integers(0, 2**bits, (height, width), dtype) if alpha else None, grey, metadata=metadata)
