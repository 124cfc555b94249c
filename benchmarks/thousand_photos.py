"""A thousand small photos, twenty of them bad, through the real program: what comes out, who is named, and the memory.

    python benchmarks/thousand_photos.py

Prints the counts, the memory of the process after each hundredth photo, and every promise that was broken. Linux only:
the memory is read from /proc.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

SIZE = 64
"""Pixels a side: the question is what a thousand photos leave behind, not how long the network takes."""


def write_photos(folder: Path, count: int, bad: int) -> set[str]:
    """``count`` photos in four formats into ``folder``; names of the ``bad`` ones, each broken in one of five ways."""
    photos = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
    chance = np.random.default_rng(11)
    broken = set()
    for index in range(count):
        source = photos[index % 4]
        top, left = (int(chance.integers(0, side - SIZE)) for side in source.shape[:2])
        suffix = ("png", "jpg", "webp", "tif")[index // 4 % 4]
        name = f"{index:04}.{suffix}"
        buffer = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(source[top : top + SIZE, left : left + SIZE]))
        image.save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
        data = buffer.getvalue()
        if index % (count // bad) == 7 and len(broken) < bad:
            way = len(broken) % 5
            data = (b"", data[: len(data) // 2], b"<html>", b"GIF89a" + data, data[:20])[way]
            broken.add(name)
        (folder / name).write_bytes(data)
    return broken


def resident(process: int) -> float:
    """Megabytes of main memory that a process has now."""
    line = next(x for x in Path(f"/proc/{process}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Run, and exit with 1 if anything was not as promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--bad", type=int, default=20)
    parser.add_argument("--weights", type=Path, help="a checkpoint; the bundled one if not given")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch, "in"), Path(scratch, "out")
        source.mkdir()
        broken = write_photos(source, chosen.count, chosen.bad)
        weights = [] if chosen.weights is None else ["--weights", str(chosen.weights)]
        command = [sys.executable, "-m", "lorair_cli", "restore", str(source), "-o", str(out), "--json", *weights]
        started, rows, memory = time.perf_counter(), [], []
        with Path(scratch, "talk").open("w+b") as talk:
            program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk)
            assert program.stdout is not None
            for line in program.stdout:
                rows.append(json.loads(line))
                if len(rows) % (chosen.count // 10) == 0 and program.poll() is None:
                    memory.append(resident(program.pid))
            code = program.wait()
            talk.seek(0)
            said = talk.read().decode()
        written = {path.name for path in out.iterdir()}
        failed = {Path(row["input"]).name for row in rows if row["status"] == "failed"}
        named = {name for name in broken if any(name in x for x in said.splitlines() if x.startswith("Error"))}
        everything = {f.name for f in source.iterdir()}
    print(f"{len(written)} written, {len(failed)} failed, {len(named)} named, exit code {code}")
    print("MB of memory after each tenth: " + ", ".join(f"{value:.0f}" for value in memory))
    print(f"{time.perf_counter() - started:.0f} s")
    promises = {
        "a row for every photo": len(rows) == chosen.count,
        "the good ones are written and nothing else": written == everything - broken,
        "the bad ones are named": failed == named == broken,
        "exit code 1": code == 1,
        "memory stays flat": len(memory) > 2 and max(memory[2:]) < memory[1] * 1.05 + 8,
    }
    for promise in (promise for promise, kept in promises.items() if not kept):
        print(f"broken: {promise}")
    sys.exit(0 if all(promises.values()) else 1)


if __name__ == "__main__":
    main()
