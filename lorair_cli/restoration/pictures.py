"""Pictures of a restoration to look at: side by side, and small ones and their words for a page."""

from __future__ import annotations

import base64
from html import escape

import cv2
import numpy as np

from lorair_cli.imaging.arrays import Pixels, max_value, to_eight_bits, to_float
from lorair_cli.imaging.encode import WriteOptions, encode_photo
from lorair_cli.imaging.files import printable
from lorair_cli.imaging.photo import Metadata, Photo


def side_by_side(before: Photo, after: Photo) -> Photo:
    """``before``, a white line, and ``after``, with the depth, transparency and metadata of ``after``."""
    white = max_value(after.rgb.dtype)
    line = max(2, after.width // 200)

    def joined(left: Pixels, right: Pixels) -> Pixels:
        bar = np.full((after.height, line, *right.shape[2:]), white, right.dtype)
        return np.concatenate([left, bar, right], axis=1)

    alpha = None if before.alpha is None or after.alpha is None else joined(before.alpha, after.alpha)
    return Photo(joined(before.rgb, after.rgb), alpha, after.grey, after.format, after.metadata)


def thumbnail_jpeg(photo: Photo, longest: int) -> bytes:
    """A JPEG of at most ``longest`` pixels a side, on white where the photo is transparent, with its colour profile."""
    scale = min(1.0, longest / max(photo.size))
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    rgb = np.asarray(cv2.resize(to_eight_bits(photo.rgb), size, interpolation=cv2.INTER_AREA))
    if photo.alpha is not None:
        alpha = to_float(np.asarray(cv2.resize(to_eight_bits(photo.alpha), size, interpolation=cv2.INTER_AREA)))
        share = alpha.reshape(*rgb.shape[:2], 1)
        rgb = np.rint(rgb * share + 255 * (1 - share)).astype(np.uint8)
    small = Photo(rgb.reshape(size[1], size[0], 3), None, photo.grey, metadata=Metadata(icc=photo.metadata.icc))
    return encode_photo(small, "JPEG", WriteOptions(quality=85, subsampling="4:4:4"))


def picture_url(photo: Photo, longest: int) -> str:
    """``thumbnail_jpeg`` as the address of an ``<img>``: the picture lies in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail_jpeg(photo, longest)).decode()


def page_text(text: str) -> str:
    """``text`` for a page or an attribute in it, escaped: a file's name is no HTML."""
    return escape(printable(text))
