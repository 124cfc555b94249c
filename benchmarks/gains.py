"""What restoration gains on degraded copies of clean photos, and how often the router is right.

    python benchmarks/gains.py --photos PHOTOS [--photos MORE] [--weights FILE] [--limit N] [--stage-1]

Each photo is degraded in memory by two recipes: the training synthesis at middle strength (0.5; noise and JPEG at fixed
levels; among it haze in the distance and a drizzle), and the recipe of ``independent_recipe.py``, which shares no code
with it. Prints a Markdown table of means: PSNR over all 8-bit RGB values before and after what ``lorair restore`` does,
the gain, that of one pass alone as in the paper, and the share of photos whose most probable degradation is right.
Untouched photos are measured against themselves. Of several folders the table also has the gain in each. With
``--by-hand`` the right expert is also named, as ``lorair restore --expert`` does: what is missing then is the network's
part. With ``--stage-1`` the same inputs also go through the network without its experts, in one pass, which is stage 1
where stage 2 trained experts alone, and a last line has the means over the degradations. ``--enlarge N`` makes the
clean photos N times as large first, as from a camera of more pixels; they have no finer detail then, but what is done
to them is as much larger as they are. With ``--saved QUALITY`` each degraded photo is saved as a JPEG of that quality
before it is restored. With ``--framed TONE`` a frame of that grey value lies around each degraded photo, a sixteenth of
its short side wide; what is inside is measured.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from independent_recipe import DEGRADATION_OF, RECIPES
from independent_recipe import degrade as degrade_independently

from lorair_cli.data.synthesis import degrade, jpeg, noise
from lorair_cli.evaluation import metrics
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.settings import DEFAULT_SETTING, TEN_DEGRADATIONS
from lorair_cli.weights.checkpoint import Checkpoint
from lorair_cli.weights.loading import load_weights

Pixels = npt.NDArray[np.uint8]
Recipe = Callable[[npt.NDArray[np.float32], int], npt.NDArray[np.float32]]
UNTOUCHED = "untouched"
FRAME = 16
"""How many times as wide as a frame the short side of the photo in it is."""


def training_recipes() -> Iterator[tuple[str, str, Recipe]]:
    """Name, degradation and recipe of the training synthesis."""
    for sigma in (15, 25, 50):
        level = noise.NoiseParameters(float(sigma))
        yield f"noise sigma {sigma}", "noise", lambda x, s, p=level: noise.apply(x, p, np.random.default_rng(s))
    for quality in (10, 20):
        setting = jpeg.JpegParameters(quality)
        yield f"jpeg quality {quality}", "jpeg", lambda x, s, p=setting: jpeg.apply(x, p, np.random.default_rng(s))
    for name in TEN_DEGRADATIONS:
        if name not in ("noise", "jpeg"):
            yield name, name, lambda x, s, n=name: degrade(x, n, np.random.default_rng(s), 0.5)
    for name, degradation, share in (("haze in the distance", "haze", "distant"), ("drizzle", "rain", "drizzling")):
        shares = {share: 1.0}
        yield name, degradation, lambda x, s, n=degradation, p=shares: degrade(x, n, np.random.default_rng(s), 0.5, p)


def independent_recipes() -> Iterator[tuple[str, str, Recipe]]:
    """The same for the independent recipe."""
    for name in RECIPES:
        yield name, DEGRADATION_OF[name], lambda x, s, n=name: degrade_independently(x, n, s)


def psnr(a: npt.NDArray[np.integer], b: npt.NDArray[np.integer]) -> float:
    """PSNR over all 8-bit RGB values in dB; 100 for equal pictures."""
    return metrics.psnr(a, b, 255)


def read(path: Path) -> Pixels:
    """A photo as 8-bit RGB."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, path
    return np.ascontiguousarray(image[..., ::-1])


def enlarged(image: Pixels, times: float) -> Pixels:
    """A photo ``times`` as wide and high."""
    if times == 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), np.uint8)


def without_experts(checkpoint: Checkpoint) -> Checkpoint:
    """The same network and router with no expert at all."""
    info = replace(checkpoint.info, network=replace(checkpoint.info.network, experts=0))
    return Checkpoint(info, checkpoint.plain_network(), checkpoint.router)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, action="append", required=True, help="folder of clean photos")
    parser.add_argument("--weights", type=Path, help="a checkpoint instead of the bundled one")
    parser.add_argument("--limit", type=int, help="only the first N photos of each folder")
    parser.add_argument("--only", action="append", help="only recipes of these degradations")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--pooling-window", type=int)
    parser.add_argument("--by-hand", action="store_true", help="also with the right expert named")
    parser.add_argument("--enlarge", type=float, default=1.0, help="make the photos so many times as large first")
    parser.add_argument("--saved", type=int, metavar="QUALITY", help="save each degraded photo as a JPEG first")
    parser.add_argument("--framed", type=int, metavar="TONE", help="put a frame of that grey value around each first")
    parser.add_argument("--stage-1", action="store_true", help="also without experts")
    args = parser.parse_args()
    checkpoint = load_weights(args.weights or DEFAULT_SETTING)
    restorer = Restorer(checkpoint, precision=args.precision, pooling_window=args.pooling_window)
    plain = None
    if args.stage_1:
        plain = Restorer(without_experts(checkpoint), precision=args.precision, pooling_window=args.pooling_window)
    folders = [sorted(folder.glob("*.png"))[: args.limit] for folder in args.photos]
    photos = [path for folder in folders for path in folder]
    clean = [enlarged(read(p), args.enlarge) for p in photos]
    print(f"{len(clean)} photos, {restorer.precision}, top-k {restorer.top_k}\n")
    extra = "".join(f" gain in {folder.name} |" for folder in args.photos) if len(folders) > 1 else ""
    extra += " gain, expert named |" if args.by_hand else ""
    extra += " stage 1 alone | stage 2 adds |" if args.stage_1 else ""
    print(f"| recipe | degradation | before | after | gain | one pass | router right | next most often |{extra}")
    print("|" + "---|" * (8 + extra.count("|")))
    added: dict[str, list[float]] = {}
    rows = [("training", *r) for r in training_recipes()] + [("independent", *r) for r in independent_recipes()]
    rows.append((UNTOUCHED, UNTOUCHED, UNTOUCHED, lambda x, s: x))
    for source, name, degradation, recipe in rows:
        if args.only and degradation not in args.only:
            continue
        before, after, one_pass, named, alone, by_hand = [], [], [], [], [], []
        for path, gt in zip(photos, clean, strict=True):
            lq = from_float(recipe(to_float(gt), zlib.crc32(f"{path.name} {name}".encode())), np.uint8)
            lq = lq if args.saved is None else jpeg.saved(lq, jpeg.JpegParameters(args.saved))
            before.append(psnr(lq, gt))
            frame = 0 if args.framed is None else min(lq.shape[:2]) // FRAME
            lq = np.pad(lq, ((frame, frame), (frame, frame), (0, 0)), constant_values=args.framed or 0)
            inside = np.s_[frame : lq.shape[0] - frame, frame : lq.shape[1] - frame]
            result = restorer.restore(Photo(lq), choices=Choices(passes=None))
            after.append(psnr(result.photo.rgb[inside], gt))
            single = restorer.restore(Photo(lq))
            one_pass.append(psnr(single.photo.rgb[inside], gt))
            if args.by_hand and degradation != UNTOUCHED:
                experts = {degradation: 1.0}
                chosen = {e.degradation: e.weight for e in result.diagnosis.experts}
                # Naming what the router chose anyway changes nothing.
                told = single if chosen == experts else restorer.restore(Photo(lq), choices=Choices(experts=experts))
                by_hand.append(psnr(told.photo.rgb[inside], gt))
            if plain is not None:
                alone.append(psnr(plain.restore(Photo(lq)).photo.rgb[inside], gt))
            named.append(result.diagnosis.likeliest)
        right = sum(n == degradation for n in named) / len(named)
        wrong = [n for n in named if n != degradation]
        rival = max(set(wrong), key=wrong.count) if wrong else ""
        note = f"{rival} {wrong.count(rival) / len(named):.0%}" if rival else ""
        b, a = float(np.mean(before)), float(np.mean(after))
        gain = f"{b:.2f} | {a:.2f} | {a - b:+.2f} | {np.mean(one_pass) - b:+.2f}"
        more = ""
        if len(folders) > 1:
            gained = iter(np.subtract(after, before))
            more += "".join(f" {np.mean(list(islice(gained, len(folder)))):+.2f} |" for folder in folders)
        if args.by_hand:
            more += f" {np.mean(by_hand) - b:+.2f} |" if by_hand else " |"
        if args.stage_1:
            one = float(np.mean(alone))
            experts_add = float(np.mean(one_pass)) - one
            more += f" {one:.2f} | {experts_add:+.2f} |"
            added.setdefault(degradation, []).append(experts_add)
        print(f"| {source}: {name} | {degradation} | {gain} | {right:.1%} | {note} |{more}", flush=True)
    added.pop(UNTOUCHED, None)
    if added:
        total = np.mean([np.mean(values) for values in added.values()])
        print(
            f"\nstage 2 adds {total:+.2f} dB, the mean over {len(added)} degradations of the means over their recipes"
        )


if __name__ == "__main__":
    main()
