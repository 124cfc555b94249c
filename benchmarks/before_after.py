"""A page of before/after pictures, the best and the worst of each degradation: what to expect, and what goes wrong.

    python benchmarks/before_after.py -o docs/BEFORE_AFTER.md [--weights FILE]

Restores scikit-image's sample photos, degraded by the training synthesis at middle strength as `lorair bench --dataset
builtin` does, and writes a Markdown page and, in the folder named like it, two pictures per degradation: the photo that
gained most in PSNR, and the one that gained least or lost. Nobody chooses them by eye.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gains import Pixels, psnr
from PIL import Image

from lorair_cli.evaluation.datasets import builtin_pairs
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.settings import DEFAULT_SETTING
from lorair_cli.weights.loading import load_weights
from lorair_cli.weights.manifest import identity

HEIGHT, GAP = 224, 6
"""Of a picture, and between two, in pixels."""
QUALITY = 78
INTRODUCTION = """# Before and after

For each degradation the photo that gained most and the one that gained least, of scikit-image's {photos} sample photos,
none of them in training, degraded by the training synthesis at middle strength: as it came, restored, and the truth.
PSNR over all 8-bit RGB values; "taken for" is what the router thinks most likely. Weights {weights}, {precision}.

```bash
python benchmarks/before_after.py -o docs/BEFORE_AFTER.md
```
"""


@dataclass(frozen=True)
class Restored:
    """One photo before and after."""

    name: str
    lq: Pixels
    result: Pixels
    gt: Pixels
    taken_for: str
    """The degradation that the router finds most likely."""

    @property
    def before(self) -> float:
        """PSNR in dB."""
        return psnr(self.lq, self.gt)

    @property
    def after(self) -> float:
        """PSNR in dB."""
        return psnr(self.result, self.gt)


def row(pictures: tuple[Pixels, ...]) -> Image.Image:
    """The pictures beside each other on white, all ``HEIGHT`` high."""
    images = [Image.fromarray(picture) for picture in pictures]
    images = [image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.LANCZOS) for image in images]
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    sheet, x = Image.new("RGB", (width, HEIGHT), "white"), 0
    for image in images:
        sheet.paste(image, (x, 0))
        x += image.width + GAP
    return sheet


def restore_all(restorer: Restorer, degradation: str) -> list[Restored]:
    """The sample photos with that degradation, restored; least gain first."""
    found = []
    for pair in builtin_pairs(degradation):
        outcome = restorer.restore(Photo(pair.lq), choices=Choices(passes=None))
        result = np.asarray(outcome.photo.rgb)
        found.append(Restored(pair.name, pair.lq, result, pair.gt, outcome.diagnosis.likeliest))
    return sorted(found, key=lambda r: r.after - r.before)


def section(degradation: str, extremes: dict[str, Restored], folder: Path) -> str:
    """A degradation's part of the page; its pictures go into ``folder``."""
    lines = [f"\n## {degradation}\n"]
    for which, r in extremes.items():
        file = folder / f"{degradation}-{which}.webp"
        row((r.lq, r.result, r.gt)).save(file, quality=QUALITY, method=6)
        caption = f"{which}: {r.name}, {r.before:.2f} to {r.after:.2f} dB, taken for {r.taken_for}"
        lines.append(f"![{caption}]({folder.name}/{file.name})\n\n{caption}\n")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .md file; its pictures lie beside it")
    parser.add_argument("--weights", type=Path, help="a checkpoint instead of the bundled one")
    args = parser.parse_args()
    checkpoint = load_weights(args.weights or DEFAULT_SETTING)
    restorer = Restorer(checkpoint)
    folder = args.output.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    sections, photos = [], 0
    for degradation in restorer.info.degradations:
        found = restore_all(restorer, degradation)
        photos = len(found)
        sections.append(section(degradation, {"most": found[-1], "least": found[0]}, folder))
        print(f"{degradation}: {found[0].after - found[0].before:+.2f} to {found[-1].after - found[-1].before:+.2f} dB")
    weights = identity(checkpoint.files)
    text = INTRODUCTION.format(photos=photos, weights=weights, precision=restorer.precision)
    args.output.write_text(text + "".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
