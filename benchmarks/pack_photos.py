"""Pack folders of clean photos into few megabytes, to carry them to a machine with a GPU.

    python benchmarks/pack_photos.py PHOTOS [MORE ...] -o PACK [--megabytes 56]

Every photo becomes an AVIF file with full colour resolution, at the highest quality at which all of them fit; folders
keep their names. At a given size AVIF keeps more of a photo than JPEG does, and what training takes as ground truth
should be as good as can be. Prints the quality and what the packing cost, in PSNR over all RGB values.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from gains import Pixels, psnr
from PIL import Image

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.errors import TrainingError

QUALITIES = range(97, 39, -3)
LOOKED_AT = 24
"""Photos that tell how large all will be."""
MARGIN = 0.97
"""Those are not all: this share of the size is aimed at."""


def packed(photo: Pixels, quality: int) -> bytes:
    """``(h, w, 3)`` uint8 RGB as an AVIF file."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "AVIF", quality=quality, subsampling="4:4:4", speed=8)
    return file.getvalue()


def highest_quality(photos: CleanPhotos, megabytes: float) -> int:
    """The highest quality at which all ``photos`` will take no more than ``megabytes`` of 10^6 bytes.

    Raises:
        ValueError: not even the lowest will do.
    """
    some = photos.spread(LOOKED_AT)
    pictures = [some.read(i) for i in range(len(some))]
    for quality in QUALITIES:
        size = statistics.mean(len(packed(picture, quality)) for picture in pictures) * len(photos)
        if size <= MARGIN * megabytes * 1e6:
            return quality
    raise ValueError(f"{len(photos)} photos do not fit into {megabytes:g} megabytes")


def pack_one(quality: int, path: Path, file: Path) -> tuple[int, float]:
    """Write one photo; its bytes, and its PSNR against what it was made of."""
    photo = np.array(CleanPhotos((path,)).read(0))
    data = packed(photo, quality)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    with Image.open(io.BytesIO(data)) as again:
        return len(data), psnr(np.array(again.convert("RGB")), photo)


def main() -> int:
    """Pack and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of photos; their names must differ")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--megabytes", type=float, default=56.0, help="most that the pack may take")
    given = parser.parse_args()
    if given.out.exists() or len({folder.name for folder in given.folders}) < len(given.folders):
        print("the folder to make is there already, or two folders share a name", file=sys.stderr)
        return 1
    try:
        photos = CleanPhotos.find(given.folders)
        quality = highest_quality(photos, given.megabytes)
    except (TrainingError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    files = [
        (given.out / folder.name / path.relative_to(folder)).with_suffix(".avif")
        for path in photos.paths
        for folder in given.folders
        if path.is_relative_to(folder)
    ]
    if not len(set(files)) == len(files) == len(photos.paths):
        print(
            "two photos differ in nothing but the ending of their names, or lie in two of the folders", file=sys.stderr
        )
        return 1
    with ProcessPoolExecutor() as pool:
        sizes, fidelity = zip(*pool.map(partial(pack_one, quality), photos.paths, files), strict=True)
    total = sum(sizes)
    print(
        f"{len(fidelity)} photos, {total / 1e6:.1f} MB, quality {quality}; against the originals "
        f"{statistics.mean(fidelity):.1f} dB, the least {min(fidelity):.1f} dB"
    )
    return 0 if total <= given.megabytes * 1e6 else 1


if __name__ == "__main__":
    sys.exit(main())
