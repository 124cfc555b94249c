"""Photos as bytes, made by other libraries or by hand, and what must come out of them."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image, ImageCms

from lorair_cli.imaging.decode import decode_photo
from lorair_cli.imaging.photo import Photo
from lorair_cli.imaging.profiles import srgb_profile

RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (6, 9, 3), np.uint8)
SMOOTH = np.full((24, 40, 3), 90, np.uint8)
SMOOTH[..., 0] = np.linspace(0, 255, 40)
SMOOTH[..., 1] = np.linspace(0, 255, 24)[:, None]


def saved(image: Image.Image | np.ndarray, format_: str, **options) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    layout = {key: options.pop(key) for key in ("byteorder", "bigtiff") if key in options}
    with tifffile.TiffWriter(buffer, **layout) as writer:
        writer.write(pixels, metadata=None, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_16(pixels: np.ndarray, colour_type: int, extra: bytes = b"", *, size: tuple[int, int] | None = None) -> bytes:
    """A 16-bit PNG spelled out by hand, so that no library stands between the test and the format."""
    height, width = size or pixels.shape[:2]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sixteen(channels: int) -> np.ndarray:
    return RNG.integers(0, 65536, (5, 7, channels), np.uint16)


def decode(data: bytes) -> Photo:
    return decode_photo(data, "photo.bin")


def assert_pixels(photo: Photo, rgb: np.ndarray, alpha: np.ndarray | None = None, *, grey: bool = False) -> None:
    """Exactly these pixels, ``rgb`` being (h, w) for a grey photo."""
    expected = np.repeat(rgb[..., None], 3, axis=2) if rgb.ndim == 2 else rgb
    assert photo.rgb.dtype == expected.dtype
    assert np.array_equal(photo.rgb, expected)
    assert (photo.alpha is None) == (alpha is None)
    assert alpha is None or (photo.alpha.dtype == alpha.dtype and np.array_equal(photo.alpha, alpha))
    assert photo.grey == grey


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F] = "Camera"
    tags[0x0112] = orientation
    return tags


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def grey_profile(gamma=1.0, tag=b"kTRC"):
    """A profile of greys with a gamma curve: the header of another one, a curve and the white of D50."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    at = 132 + 2 * 12
    table = struct.pack(">I4sII4sII", 2, tag, at, len(curve), b"wtpt", at + len(curve), len(white))
    header = bytearray(srgb_profile()[:128])
    header[16:20] = b"GRAY"
    header[0:4] = struct.pack(">I", at + len(curve) + len(white))
    return bytes(header) + table + curve + white
