"""The picture of the report page in the README: restores the photos of examples/, opens the page in headless Chromium.

    python benchmarks/report_picture.py -o docs/report.webp

Needs a Chromium or Chrome on the PATH.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PHOTOS = ("hazy_rocket.png", "noisy_coffee.png", "rainy_chelsea.png")
WIDTH, HEIGHT = 900, 860


def main() -> None:
    """Restore, open, take the picture, write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args()
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit("no Chromium on the PATH")
    with tempfile.TemporaryDirectory() as scratch:
        page, taken = Path(scratch, "page.html"), Path(scratch, "page.png")
        restore = [sys.executable, "-m", "lorair_cli", "restore", *(str(Path("examples", name)) for name in PHOTOS)]
        subprocess.run([*restore, "-o", f"{scratch}/", "--report", str(page)], cwd=ROOT, check=True)
        text = page.read_text(encoding="utf-8").replace(scratch, "restored")
        page.write_text(text, encoding="utf-8")
        look = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
        subprocess.run([browser, *look, f"--screenshot={taken}", page.as_uri()], check=True, capture_output=True)
        with Image.open(taken) as image:
            image.convert("RGB").save(chosen.output, quality=82, method=6)


if __name__ == "__main__":
    main()
