"""The restorer beside the classical tools of ``classical_tools.py``, on the same pictures in the same run.

    python benchmarks/classical.py --clean KODAK --clean CBSD68 --limit 8
    python benchmarks/classical.py --pairs rain RAIN100L/input RAIN100L/target --protocol diffuir-y

``--clean`` names a folder of clean photos, each degraded in memory by all recipes of ``independent_recipe.py``, which
the training has never seen; ``--pairs`` a degradation, a folder of inputs and one of ground truths. Prints a Markdown
table: mean PSNR and SSIM by a protocol of the package, how far the restorer is ahead of the untouched input and of each
tool, and on what share of the photos. The restorer is told nothing: it has to find out by itself what is wrong. Every
measured picture is noted in ``--results``; started again, the script goes on there. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage
from classical_tools import TOOLS, Tool, ToolMissingError
from independent_recipe import DEGRADATION_OF, RECIPES, degrade

from lorair_cli.cli import measured
from lorair_cli.errors import LorairError
from lorair_cli.evaluation.campaign import Started
from lorair_cli.evaluation.datasets import Pair, read_bytes
from lorair_cli.evaluation.folders import folder_pairs
from lorair_cli.evaluation.journal import Record, Store
from lorair_cli.evaluation.measuring import measure
from lorair_cli.evaluation.meter import Meter
from lorair_cli.evaluation.protocols import get_protocol
from lorair_cli.evaluation.subjects import Restored, Subject, restorer_subject
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.settings import DEFAULT_SETTING, TEN_DEGRADATIONS

HEADER = "| pictures | tool | photos | PSNR | ours ahead by | ours better on | SSIM |"
OURS = "lorair"
Scores = list[dict[str, float]]
"""Values by ``metric@protocol``, a picture each."""


@dataclass(frozen=True)
class PictureSet:
    """Pictures that have one thing wrong with them."""

    name: str
    degradation: str
    count: int
    read: Callable[[], Iterator[Pair]]


def degraded_sets(folder: Path, limit: int | None) -> Iterator[PictureSet]:
    """The clean photos in ``folder``, at most ``limit``, under every recipe; ``LorairError`` if there are none."""
    files = list(folder_pairs(folder, None, "same-name").files)[:limit]
    for recipe in RECIPES:

        def read(recipe: str = recipe) -> Iterator[Pair]:
            for name, path, _ in files:
                gt = read_bytes(path)
                seed = zlib.crc32(f"{name} {recipe}".encode())
                yield Pair(name, from_float(degrade(to_float(gt), recipe, seed), np.uint8), gt)

        yield PictureSet(f"{folder.name}: {recipe}", DEGRADATION_OF[recipe], len(files), read)


def paired_set(degradation: str, inputs: Path, targets: Path, limit: int | None) -> PictureSet:
    """Inputs and the ground truths of the same name, at most ``limit``; ``LorairError`` if an input has none."""
    if degradation not in TEN_DEGRADATIONS:
        raise LorairError(f"there is no degradation {degradation!r}", f"choose from {', '.join(TEN_DEGRADATIONS)}")
    pairs = folder_pairs(inputs, targets, "same-name")
    pairs = type(pairs)(pairs.files[:limit])
    name = inputs.parent.name if inputs.name.lower() in ("input", "lq", "low") else inputs.name
    return PictureSet(name, degradation, len(pairs), pairs.read)


def tool_subject(tool: Tool) -> Subject:
    """A tool in the restorer's place; its identity changes with its code and its libraries."""
    source = Path(__file__).with_name("classical_tools.py").read_bytes()
    versions = f"OpenCV {cv2.__version__}, scikit-image {skimage.__version__}"

    def restore(pair: Pair) -> Restored:
        return Restored(tool.call(np.ascontiguousarray(pair.lq)))

    return Subject(restore, tool.name, f"{versions}, code {hashlib.sha256(source).hexdigest()[:12]}")


def table_line(pictures: PictureSet, tool: str, scores: Scores, ours: Scores, protocol: str) -> str:
    """One line of the table: the ``scores`` of a tool, picture by picture, beside the restorer's."""
    psnr, ssim = f"psnr@{protocol}", f"ssim@{protocol}"
    leads = [own[psnr] - other[psnr] for own, other in zip(ours, scores, strict=True)]
    ahead = ["", ""] if scores is ours else [f"{np.mean(leads):+.2f}", f"{np.mean([x > 0 for x in leads]):.0%}"]
    means = [f"{np.mean([s[psnr] for s in scores]):.2f}", *ahead, f"{np.mean([s[ssim] for s in scores]):.4f}"]
    return "| " + " | ".join([pictures.name, tool, str(len(scores)), *means]) + " |"


def compare(pictures: PictureSet, restorer: Subject, meter: Meter, store: Store, started: Started) -> Iterator[str]:
    """Lines of the table for one set: the input, the restorer, then every tool for its degradation."""
    protocol = meter.protocols[0].name

    def run(subject: Subject, name: str) -> list[Record]:
        records, _ = measure(
            pictures.name, pictures.read(), subject, meter, store, started(f"{pictures.name}, {name}", pictures.count)
        )
        print(f"{pictures.name}, {name}: {pictures.count} photos", file=sys.stderr, flush=True)
        return records

    records = run(restorer, OURS)
    ours = [record.after for record in records]
    yield table_line(pictures, "none (the input)", [record.before for record in records], ours, protocol)
    yield table_line(pictures, OURS, ours, ours, protocol)
    for tool in TOOLS:
        if pictures.degradation not in tool.degradations:
            continue
        try:
            records = run(tool_subject(tool), tool.name)
        except ToolMissingError as error:
            print(f"{tool.name} is left out: {error}", file=sys.stderr, flush=True)
            continue
        scores = [record.after for record in records]
        yield table_line(pictures, tool.name, scores, ours, protocol)


def read_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line; ends the program if it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, action="append", default=[], help="folder of clean photos; repeatable")
    parser.add_argument(
        "--pairs", nargs=3, action="append", default=[], metavar=("DEGRADATION", "INPUTS", "TARGETS"), help="repeatable"
    )
    parser.add_argument("--only", action="append", choices=TEN_DEGRADATIONS, help="only these degradations; repeatable")
    parser.add_argument("--limit", type=int, help="only the first N photos of each folder")
    parser.add_argument("--protocol", default="rgb", help="how to measure; `lorair bench --list` shows the names")
    parser.add_argument("--weights", type=Path, help="a checkpoint instead of the bundled one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--results", type=Path, default=Path("runs") / "classical.jsonl", help="journal to go on from")
    arguments = parser.parse_args(words)
    if not arguments.clean and not arguments.pairs:
        parser.error("nothing to measure: name --clean or --pairs")
    if arguments.limit is not None and arguments.limit < 1:
        parser.error("--limit must be at least 1")
    return arguments


def main(words: Sequence[str] | None = None) -> None:
    """Run the benchmark; ``LorairError`` for folders, protocols or weights that are not what they should be."""
    arguments = read_arguments(words)
    protocol = get_protocol(arguments.protocol)
    if protocol.measure is None:
        raise LorairError(f"{protocol.name} measures nothing against ground truth", "choose another --protocol")
    meter = Meter([protocol], ("psnr", "ssim"))
    sets = [found for folder in arguments.clean for found in degraded_sets(folder, arguments.limit)]
    sets += [paired_set(d, Path(lq), Path(gt), arguments.limit) for d, lq, gt in arguments.pairs]
    sets = [s for s in sets if arguments.only is None or s.degradation in arguments.only]
    store = Store(arguments.results)
    restorer, weights = measured.load_restorer(
        DEFAULT_SETTING,
        scale="compact",
        weights=arguments.weights,
        device=arguments.device,
        precision=arguments.precision,
        tile=measured.TILE,
        top_k=None,
        pooling_window=None,
    )
    subject = restorer_subject(restorer, weights, passes=None)  # as lorair restore does
    print(f"{measured.identity(subject)}; protocol {protocol.name}: {protocol.summary}\n")
    print(f"{HEADER}\n{'|---' * (HEADER.count('|') - 1)}|", flush=True)
    with measured.picture_progress() as started:
        for pictures in sets:
            for line in compare(pictures, subject, meter, store, started):
                print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except LorairError as error:
        raise SystemExit(f"Error: {error}") from None
