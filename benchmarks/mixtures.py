"""Photos with two degradations at once: one pass, two passes, two experts, and every expert alone.

    python benchmarks/mixtures.py --photos PHOTOS [--weights FILE] [--limit N]

Each photo gets two degradations by the training synthesis at middle strength, in the order of a photo's life. The
columns are means of PSNR over 8-bit RGB values: as it came; restored in one pass; with ``--top-k 2``; with
``--passes 2``; in as many passes as ``lorair restore`` makes by itself; and by the one expert, chosen by hand for all
photos, that does best (it knows the truth).
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
from gains import Pixels, psnr, read

from lorair_cli.data.synthesis import degrade, in_order
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer

MIXTURES = (("haze", "rain"), ("blur", "low-light"), ("blur", "jpeg"))
STRENGTH = 0.5


def degraded(clean: Pixels, mixture: tuple[str, ...], seed: int) -> Pixels:
    """``clean`` with every degradation of ``mixture``, as 8 bits."""
    rng, image = np.random.default_rng(seed), to_float(clean)
    for name in in_order(mixture):
        image = degrade(image, name, rng, STRENGTH)
    return from_float(image, np.uint8)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, action="append", required=True, help="folder of clean photos")
    parser.add_argument("--weights", type=Path, help="a checkpoint instead of the bundled one")
    parser.add_argument("--limit", type=int, help="only the first N photos of each folder")
    args = parser.parse_args()
    one, two = (Restorer.from_pretrained(weights=args.weights, top_k=k) for k in (1, 2))
    clean = {p: read(p) for folder in args.photos for p in sorted(folder.glob("*.png"))[: args.limit]}
    print(f"{len(clean)} photos, {one.precision}\n")
    print(
        "| mixture | before | one pass, top-k 1 | top-k 2 | two passes | passes auto | best expert alone |\n"
        "|---|---|---|---|---|---|---|"
    )
    for mixture in MIXTURES:
        name = " + ".join(mixture)
        lq = {p: degraded(gt, mixture, zlib.crc32(f"{p.name} {name}".encode())) for p, gt in clean.items()}

        def mean(restorer: Restorer, choices: Choices, inputs: dict[Path, Pixels] = lq) -> float:
            results = {p: restorer.restore(Photo(image), choices=choices).photo.rgb for p, image in inputs.items()}
            return float(np.mean([psnr(result, clean[p]) for p, result in results.items()]))

        before = float(np.mean([psnr(image, clean[p]) for p, image in lq.items()]))
        alone = {expert: mean(one, Choices(experts={expert: 1.0})) for expert in one.info.degradations}
        best = max(alone, key=lambda expert: alone[expert])
        ways = (
            mean(one, Choices()),
            mean(two, Choices()),
            mean(one, Choices(passes=2)),
            mean(one, Choices(passes=None)),
        )
        figures = " | ".join(f"{value:.2f}" for value in (before, *ways))
        print(f"| {name} | {figures} | {alone[best]:.2f} ({best}) |", flush=True)


if __name__ == "__main__":
    main()
