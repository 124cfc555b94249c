"""Where the time and the memory of ``lorair restore`` go, from the shell's prompt to the written file.

    python benchmarks/whole_command.py [--megapixels 0.25 --megapixels 2 ...] [--scale compact] [--runs 3] [--batch 100]

For each size a sample photo is continued by its mirror images and written as a JPEG. Then, interleaved and as medians:

import torch  a process that does nothing else: what no program that uses torch can be faster than
command       ``lorair restore`` on the JPEG, all of it, and the most memory that its process had
phases        one more process that takes the same steps with a clock between them

"around the network" is the command without the network and without ``import torch``. "memory without pixels" leaves out
what the decoded photo and the result take (6 bytes a pixel): the rest should not grow with the photo. The batch is a
folder of small photos through one command; its share is the sum of the photos' own seconds (router, folding, network)
over the wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import skimage.data

RESTORE = [sys.executable, "-m", "lorair_cli", "restore"]
PHASES = ("start", "weights", "decode", "route", "fold", "network", "encode")
BATCH_SIDE = (480, 360)
"""Width and height of the photos in the batch."""


def make_photo(path: Path, width: int, height: int) -> None:
    """``write_photo`` in another process: a child's peak begins with the memory that its parent has when it is born."""
    run([sys.executable, __file__, "--write", path, "--size", f"{width}x{height}"])


def write_photo(path: Path, width: int, height: int) -> None:
    """A sample photo, continued by its mirror images, with a little noise, as a JPEG of quality 92."""
    sample = skimage.data.astronaut()
    tall, wide = (max(n - side, 0) for n, side in zip((height, width), sample.shape[:2], strict=True))
    pixels = np.pad(sample, ((0, tall), (0, wide), (0, 0)), mode="symmetric")[:height, :width]
    noise = np.random.default_rng(0).normal(0, 15, pixels.shape[:2])[..., None]
    cv2.imwrite(str(path), np.clip(pixels + noise, 0, 255).astype(np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def run(command: Sequence[str | Path]) -> tuple[float, float, str]:
    """Seconds, peak memory in MiB and standard output of a process; ``RuntimeError`` if it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    with process.stdout as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), said


def clock_phases(photo: Path, scale: str, setting: str) -> dict[str, float]:
    """The steps of one restoration in this process, seconds each; ``start`` counts from here."""
    laps: dict[str, float] = {}

    @contextmanager
    def clock(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        laps[name] = laps.get(name, 0.0) + time.perf_counter() - began

    with clock("start"):
        from lorair_cli.cli.process import prepare_process

        prepare_process()
        from lorair_cli.imaging.decode import decode_photo, read_file
        from lorair_cli.imaging.encode import WriteOptions, encode_photo
        from lorair_cli.restoration import tiled
        from lorair_cli.restoration.choices import Choices
        from lorair_cli.restoration.restorer import Restorer
    with clock("weights"):
        restorer = Restorer.from_pretrained(setting, scale=scale)

    def clocked(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def with_clock(*arguments: object) -> object:
            with clock(name):
                return call(*arguments)

        return with_clock

    vars(restorer)["route"], vars(tiled)["fold"] = clocked("route", restorer.route), clocked("fold", tiled.fold)
    with clock("decode"):
        decoded = decode_photo(read_file(photo), str(photo))
    with clock("network"):
        result = restorer.restore(decoded, choices=Choices(passes=None))  # as the command does
    laps["network"] -= laps["route"] + laps["fold"]
    with clock("encode"):
        encode_photo(result.photo, "JPEG", WriteOptions())
    return laps


def medians(takes: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each entry."""
    return {key: statistics.median(take[key] for take in takes) for key in takes[0]}


def measure(photo: Path, pixels: int, scale: str, setting: str, runs: int) -> dict[str, float]:
    """One size: medians in seconds and MiB."""
    takes = []
    with TemporaryDirectory() as folder:
        for _ in range(runs):
            bare, _, _ = run([sys.executable, "-c", "import torch"])
            target = Path(folder) / "out.jpg"
            network = ("--scale", scale, "--setting", setting)  # one for both: the phases are taken off the command
            whole, memory, _ = run([*RESTORE, photo, "-o", target, "--overwrite", *network])
            phases = json.loads(run([sys.executable, __file__, "--phases", photo, *network])[2])
            around = whole - bare - phases["network"]
            rest = memory - 6 * pixels / 2**20
            takes.append({"torch": bare, "command": whole, **phases, "around": around, "memory": memory, "rest": rest})
    return medians(takes)


def measure_batch(photos: int, scale: str, setting: str) -> tuple[float, float]:
    """Wall seconds of one command over a folder, and the sum of the photos' own."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        for index in range(photos):
            write_photo(source / f"{index:03}.jpg", *BATCH_SIDE)
        command = [*RESTORE, source, "-o", Path(folder) / "out", "--json", "--scale", scale, "--setting", setting]
        wall, _, said = run(command)
        done = [json.loads(line) for line in said.splitlines()]
    return wall, sum(photo["seconds"] for photo in done if photo.get("status") == "ok")


def size_of(megapixels: float) -> tuple[int, int]:
    """Width and height of a 3:2 photo."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    return round(1.5 * height), height


def main(say: Callable[[str], None] = print) -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, action="append")
    parser.add_argument("--scale", default="compact")
    parser.add_argument("--setting")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=100, help="photos in the folder, 0 for none")
    parser.add_argument("--phases", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write is not None:
        write_photo(chosen.write, *map(int, chosen.size.split("x")))
        return
    setting = chosen.setting or ("10task" if chosen.scale == "compact" else "4task")
    if chosen.phases is not None:
        say(json.dumps(clock_phases(chosen.phases, chosen.scale, setting)))
        return
    columns = ("megapixels", "import torch", "command", *PHASES, "around the network", "peak MiB", "without pixels")
    say(f"| {' | '.join(columns)} |")
    say("|---" * len(columns) + "|")
    for megapixels in chosen.megapixels or (0.25, 2.0, 12.0, 48.0):
        width, height = size_of(megapixels)
        with TemporaryDirectory() as folder:
            photo = Path(folder) / "photo.jpg"
            make_photo(photo, width, height)
            found = measure(photo, width * height, chosen.scale, setting, chosen.runs)
        seconds = " | ".join(f"{found[key]:.2f}" for key in ("torch", "command", *PHASES, "around"))
        say(f"| {megapixels:g} | {seconds} | {found['memory']:.0f} | {found['rest']:.0f} |")
    if chosen.batch:
        wall, own = measure_batch(chosen.batch, chosen.scale, setting)
        size = "x".join(map(str, BATCH_SIDE))
        say(f"\n{chosen.batch} photos of {size}: {wall:.1f} s, of which {own / wall:.0%} are the photos' own")


if __name__ == "__main__":
    main()
