"""AVIF photos: what Pillow, which reads and writes them, leaves out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lorair_cli.imaging import boxes
from lorair_cli.imaging.arrays import max_value
from lorair_cli.imaging.heif import widened
from lorair_cli.imaging.photo import DeepStyle
from lorair_cli.imaging.planes import Planes

if TYPE_CHECKING:
    from PIL import ImageFile

_SHALLOW = "this AVIF has more than 8 bits, of which 8 were read: OpenCV here cannot read the others"


def _plugin() -> type[ImageFile.ImageFile] | None:
    try:
        module = importlib.import_module("PIL.AvifImagePlugin")
    except ImportError:
        return None
    plugin: type[ImageFile.ImageFile] | None = module.AvifImageFile if module.SUPPORTED else None
    return plugin


PLUGIN = _plugin()
"""Pillow's reader, None where Pillow was built without."""


def style_of(data: bytes) -> DeepStyle:
    """How the AVIF in ``data`` is stored."""
    return DeepStyle(*boxes.av1_layout(data))


def deep_planes(image: ImageFile.ImageFile, data: bytes) -> Planes:
    """The 16-bit pixels of a loaded AVIF ``image`` of 10 or 12 bits, whose file is ``data``, as they lie in the file.

    Raises ``ValueError`` if OpenCV, which reads them, sees another picture than Pillow.
    """
    notes: tuple[str, ...] = ()
    grey = image.mode in ("L", "LA")
    eight = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16:
        colour, alpha, notes = eight[..., :3], eight[..., 3] if eight.shape[2] == 4 else None, (_SHALLOW,)
    else:
        pixels = widened(np.asarray(read if read.ndim == 3 else read[..., None]), boxes.av1_layout(data)[0])
        count = pixels.shape[2]
        rgb = np.repeat(pixels, 3, axis=2) if count == 1 else pixels[..., 2::-1]
        # The two use one decoder but convert colours in different precision.
        far = np.abs((rgb >> 8).astype(np.int16) - eight[..., :3]).max() > 4 if rgb.shape == eight[..., :3].shape else 1
        if far:
            raise ValueError("its deep pixels cannot be read: two decoders disagree about them")
        colour, alpha = rgb, pixels[..., 3] if count == 4 else None
    if alpha is not None and int(alpha.min()) == max_value(alpha.dtype) and eight.shape[2] == 3:
        alpha = None
    plain = np.ascontiguousarray(colour[..., 0] if grey else colour)
    return Planes(plain, None if alpha is None else np.ascontiguousarray(alpha), notes=notes)
