"""How large a photo may be, and the words for libraries that are not here."""

from __future__ import annotations

from lorair_cli.errors import ImageError

MAX_PIXELS = 512 * 1024 * 1024
"""More pixels than any camera has: a file that claims more is taken for an attack or an accident."""

MAX_BYTES = 8 * MAX_PIXELS
"""The largest file worth reading: uncompressed 16-bit RGBA at ``MAX_PIXELS``."""

INSTALL_FORMATS = "pip install 'lorair[formats]'"
"""What brings the libraries for HEIC and camera raw files."""

NEWER_PILLOW = "pip install --upgrade pillow"
"""What may bring AVIF."""


def check_pixels(width: int, height: int, most: int, shown: str) -> None:
    """``ImageError`` naming the file as ``shown`` if it claims more than ``most`` pixels."""
    if width * height > most:
        claimed, allowed = (round(pixels / 1e6, 1) for pixels in (width * height, most))
        raise ImageError(f"{shown}: {claimed} megapixels are more than the {allowed} allowed")
