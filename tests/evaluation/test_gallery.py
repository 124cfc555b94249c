import base64
import re

import cv2
import numpy as np
import pytest

from lorair_cli.errors import LorairError
from lorair_cli.evaluation.datasets import Pair
from lorair_cli.evaluation.gallery import Gallery, check_page
from lorair_cli.evaluation.journal import Store
from lorair_cli.evaluation.measuring import measure
from lorair_cli.evaluation.meter import Meter
from lorair_cli.evaluation.protocols import get_protocol
from lorair_cli.evaluation.subjects import Restored, Subject


@pytest.fixture
def gallery():
    """Eight pictures, of which picture n is about n times as far from the truth as its result."""
    truth = np.full((40, 48, 3), 100, np.uint8)
    pairs = [Pair(f"<{n}>", truth + np.uint8(60), truth) for n in range(1, 9)]

    def restore(pair):
        return Restored((truth + 60 // int(pair.name[1:-1])) / 255, "noise")

    subject, meter = Subject(restore, "w", "o"), Meter([get_protocol("rgb")], ["psnr"])
    records, _ = measure("set", pairs, subject, meter, Store(None))
    made = Gallery()
    made.add("set", pairs, records, subject, meter)
    made.add("no truth", [Pair("x", truth, None)], [records[0].__class__("", "", "x", "", {}, {})], subject, meter)
    return made


def test_the_extremes_with_their_gain(gallery, tmp_path):
    gallery.write(tmp_path / "page.html", "weights & more")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    captions = re.findall("<figcaption>&lt;(.)&gt;: (.*?)</figcaption>", page)
    assert [name for name, _ in captions] == ["1", "2", "3", "6", "7", "8"]
    assert captions[0][1].endswith("(+0.00)")
    assert captions[-1][1].endswith(f"({20 * np.log10(60 / 7):+.2f})")
    assert "weights &amp; more" in page and "no truth" not in page and "http" not in page.replace("http-equiv", "")
    pictures = [base64.b64decode(p) for p in re.findall('base64,([^"]+)', page)]
    levels = [cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_COLOR).mean() for p in pictures]
    assert levels[::2] == pytest.approx([160] * 6, abs=2) and levels[1] == pytest.approx(160, abs=2)
    assert levels[-1] == pytest.approx(107, abs=2)


def test_a_page_that_cannot_be_written(gallery, tmp_path):
    (tmp_path / "taken").touch()
    for path in (tmp_path / "taken" / "page.html", tmp_path):
        for attempt in (lambda path=path: gallery.write(path, ""), lambda path=path: check_page(path)):
            with pytest.raises(LorairError, match="cannot be written"):
                attempt()


def test_trying_whether_a_page_can_be_written_leaves_nothing(tmp_path):
    (tmp_path / "old.html").write_text("old")
    for path in (tmp_path / "new" / "page.html", tmp_path / "old.html"):
        check_page(path)
    assert [p.name for p in tmp_path.rglob("*.html")] == ["old.html"] and (tmp_path / "old.html").read_text() == "old"
    assert not list((tmp_path / "new").iterdir())


def test_the_folder_of_a_page_is_made(gallery, tmp_path):
    gallery.write(tmp_path / "new" / "page.html", "the tool")
    assert "the tool" in (tmp_path / "new" / "page.html").read_text()
