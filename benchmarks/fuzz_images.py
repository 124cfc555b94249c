"""Damaged photos by the thousand: each must come out as a photo or as one line, never as anything else.

    python benchmarks/fuzz_images.py --count 100000

The suite runs a few thousand of these; the figures of longer runs stand in docs/RELIABILITY.md. Every mutant is a pure
function of (seed, index), so that a failure names all that is needed to see it again.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import io
import random
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, features

sys.path.insert(0, str(Path(__file__).parents[1]))

from lorair_cli.errors import ImageError, LorairError
from lorair_cli.imaging.decode import decode_photo
from lorair_cli.imaging.encode import encode_photo, encoder_missing
from lorair_cli.imaging.files import printable
from lorair_cli.imaging.photo import Photo

MAX_PIXELS = 1_000_000
"""The limit that mutants are read with: the seeds have 4,000, so only a lie about the size comes near it."""

LONGEST_SECONDS = 20
"""A mutant that takes longer counts as a hang. The slowest takes a tenth of a second when the machine is idle."""


@dataclass(frozen=True)
class Seed:
    """A healthy file to damage, and the photo it holds."""

    name: str
    data: bytes
    photo: Photo


def healthy_seeds() -> list[Seed]:
    """One small file of every format and kind of pixel that can be read here."""
    rows, columns = np.mgrid[0:48, 0:80]
    rgb = np.dstack([columns * 3, rows * 5, (rows * columns) % 256]).astype(np.uint8)
    rgb[10:30, 20:60] ^= np.random.default_rng(3).integers(0, 64, (20, 40, 3), np.uint8)
    deep = rgb.astype(np.uint16) * 257 + columns[..., None].astype(np.uint16)
    alpha = (columns * 3).astype(np.uint8)
    image, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    tags = Image.Exif()
    tags[270], tags[274], tags.get_ifd(34853)[1] = "a text", 6, "N"
    carried = {"exif": tags, "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}

    files = {
        "png": _saved(image, "PNG", **carried),
        "png palette": _saved(image.quantize(20), "PNG", transparency=3),
        "png alpha": _saved(rgba, "PNG"),
        "png 16": cv2.imencode(".png", deep)[1].tobytes(),
        "png grey 16": cv2.imencode(".png", deep[..., 0])[1].tobytes(),
        "jpeg": _saved(image, "JPEG", quality=90, xmp=b"<x/>", **carried),
        "jpeg progressive": _saved(image, "JPEG", progressive=True),
        "jpeg grey": _saved(grey, "JPEG"),
        "jpeg cmyk": _saved(image.convert("CMYK"), "JPEG"),
        "mpo": _saved(image, "MPO", save_all=True, append_images=[image.rotate(180)]),
        "webp": _saved(image, "WEBP", quality=90, **carried),
        "webp lossless alpha": _saved(rgba, "WEBP", lossless=True),
        "tiff": _saved(image, "TIFF", **carried),
        "tiff lzw": _saved(image, "TIFF", compression="tiff_lzw"),
        "tiff deflate": _saved(rgba, "TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": _saved(image, "TIFF", compression="jpeg"),
        "tiff cmyk": _saved(image.convert("CMYK"), "TIFF"),
        "tiff one bit": _saved(grey.convert("1"), "TIFF", compression="group4"),
        "tiff 16": encode_photo(Photo(deep), "TIFF"),
        "tiff grey 16": cv2.imencode(".tiff", deep[..., 0])[1].tobytes(),
        "bmp": _saved(image, "BMP"),
        "bmp palette": _saved(image.quantize(16), "BMP"),
    }
    if features.check("avif"):
        files["avif"] = _saved(image, "AVIF", **carried)
        files["avif alpha"] = _saved(rgba, "AVIF")
    if not encoder_missing("HEIC"):
        files["heic"] = encode_photo(decode_photo(files["jpeg"], "jpeg"), "HEIC")
        files["heic 10"] = encode_photo(Photo(deep), "HEIC")
    if importlib.util.find_spec("rawpy") is not None:
        files["raw"] = _dng(deep[..., 0] >> 4)
    return [Seed(name, data, decode_photo(data, name)) for name, data in files.items()]


def _saved(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def _dng(sensor: np.ndarray) -> bytes:
    """A grey scene (h, w) of 12 bits as a camera's raw file (DNG 1.4), one strip, uncompressed."""
    height, width = sensor.shape

    def short(*values: int) -> tuple[int, int, bytes]:
        return 3, len(values), struct.pack(f"<{len(values)}H", *values)

    entries = {
        254: (4, 1, struct.pack("<I", 0)),
        256: short(width),
        257: short(height),
        258: short(16),
        259: short(1),
        262: short(32803),  # a colour filter array
        271: (2, 6, b"Maker\0"),
        272: (2, 6, b"Model\0"),
        273: (4, 1, struct.pack("<I", 8)),
        274: short(6),
        277: short(1),
        278: short(height),
        279: (4, 1, struct.pack("<I", sensor.size * 2)),
        33421: short(2, 2),
        33422: (1, 4, bytes((0, 1, 1, 2))),
        50706: (1, 4, bytes((1, 4, 0, 0))),
        50717: short(4095),
        50728: (5, 3, struct.pack("<6I", 1, 1, 1, 1, 1, 1)),
    }
    start = 8 + sensor.size * 2
    beyond = start + 6 + 12 * len(entries)
    table, values = struct.pack("<H", len(entries)), b""
    for tag, (kind, count, value) in entries.items():
        inside = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", beyond + len(values))
        table += struct.pack("<HHI", tag, kind, count) + inside
        values += b"" if len(value) <= 4 else value + bytes(len(value) % 2)
    return struct.pack("<2sHI", b"II", 42, start) + sensor.astype("<u2").tobytes() + table + bytes(4) + values


def mutant(seeds: list[Seed], seed: int, index: int) -> tuple[Seed, str, bytes]:
    """The healthy file that number ``index`` is made of, what is done to it, and the damaged bytes."""
    source = seeds[index % len(seeds)]
    chance = random.Random(f"{seed}/{index}")
    data = bytearray(source.data)
    kind = chance.choice(("cut", "flip", "flip", "overwrite", "insert", "remove", "swap", "number"))
    # Half of the damage goes to the head of the file, where its structure is.
    reach = len(data) if chance.random() < 0.5 else min(len(data), 600)
    for _ in range(1 if kind == "cut" else chance.choice((1, 1, 2, 5))):
        at, size = chance.randrange(reach), chance.choice((1, 1, 2, 4, 16, 64))
        if kind == "cut":
            del data[chance.randrange(len(data)) :]
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == "overwrite":
            data[at : at + size] = chance.randbytes(size)
        elif kind == "insert":
            data[at:at] = chance.randbytes(size)
        elif kind == "remove":
            del data[at : at + size]
        elif kind == "swap":
            other = chance.randrange(reach)
            data[at : at + size], data[other : other + size] = data[other : other + size], data[at : at + size]
        elif kind == "number":  # lengths, counts and offsets at their limits
            number = chance.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            data[at : at + 4] = number.to_bytes(4, chance.choice(("big", "little")))
    return source, kind, bytes(data)


def outcome_of(source: Seed, kind: str, data: bytes) -> str:
    """``refused`` or ``read``. Raises ``AssertionError`` for a broken promise, other errors as they come."""
    try:
        photo = decode_photo(data, "photo.bin", max_pixels=MAX_PIXELS)
    except ImageError as error:
        assert "photo.bin" in error.message, error.message
        assert printable(str(error)) == str(error), f"not one line: {error}"
        return "refused"
    assert photo.width * photo.height <= MAX_PIXELS, f"{photo.size} is too large"
    if kind == "cut" or (photo.format == "PNG" and data.startswith(source.data[:8])):
        # What is cut off must be missed, and a PNG has a checksum for everything: nothing but the whole picture.
        assert np.array_equal(photo.rgb, source.photo.rgb), "part of a picture was taken for the whole"
    format_ = "TIFF" if photo.format == "RAW" else photo.format
    try:
        again = decode_photo(encode_photo(photo, format_), "again")
    except LorairError as error:
        assert printable(str(error)) == str(error), f"not one line: {error}"
    else:
        assert again.size == photo.size, f"{photo.size} became {again.size} on the way through a file"
    return "read"


def main() -> None:
    """Run, and print how many were read, how many refused, and every promise that was broken."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant, to see one again")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long, however many are done")
    chosen = parser.parse_args()
    seeds = healthy_seeds()
    tally: Counter[tuple[str, str]] = Counter()
    broken, slowest, started, done = 0, 0.0, time.perf_counter(), 0
    for index in range(chosen.first, chosen.first + chosen.count):
        source, kind, data = mutant(seeds, chosen.seed, index)
        faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True)
        begun = time.perf_counter()
        try:
            result = outcome_of(source, kind, data)
        except Exception as error:  # everything but an ImageError is what this looks for
            result, broken = "broken", broken + 1
            print(f"{index} ({source.name}, {kind}): {type(error).__name__}: {error}", flush=True)
        slowest = max(slowest, time.perf_counter() - begun)
        tally[source.name, result] += 1
        done += 1
        if time.perf_counter() - started > chosen.minutes * 60:
            break
    faulthandler.cancel_dump_traceback_later()
    print(f"\n{'seed':<22}{'read':>8}{'refused':>9}{'broken':>8}")
    for seed in seeds:
        print(f"{seed.name:<22}" + "".join(f"{tally[seed.name, r]:>{w}}" for r, w in _COLUMNS))
    print(f"{done} mutants in {time.perf_counter() - started:.0f} s, the slowest {slowest:.2f} s, {broken} broken")
    sys.exit(1 if broken else 0)


_COLUMNS = (("read", 8), ("refused", 9), ("broken", 8))

if __name__ == "__main__":
    main()
