"""The page shows the extremes by gain, whoever restored, and its pictures are the ones it speaks of."""

from types import SimpleNamespace

import numpy as np
import pytest
from before_after import GAP, HEIGHT, restore_all, row, section
from PIL import Image

from lorair_cli.evaluation.datasets import builtin_pairs
from lorair_cli.restoration.result import Diagnosis

TRUTH = {pair.lq.tobytes(): pair for pair in builtin_pairs("noise")}


class Knows:
    """Gives the truth for one photo, makes another worse, and leaves the rest as they are."""

    def restore(self, photo, choices):
        pair = TRUTH[photo.rgb.tobytes()]
        rgb = {"coffee": pair.gt, "rocket": 255 - pair.lq}.get(pair.name, pair.lq)
        diagnosis = Diagnosis({"blur": 0.2, "noise": 0.7, "haze": 0.1}, ())
        return SimpleNamespace(photo=SimpleNamespace(rgb=rgb), diagnosis=diagnosis)


@pytest.fixture(scope="module")
def found():
    return restore_all(Knows(), "noise")


def test_photos_are_sorted_by_what_they_gained(found):
    assert found[0].name == "rocket" and found[0].after < found[0].before
    assert found[-1].name == "coffee" and found[-1].after == 100
    assert {r.taken_for for r in found} == {"noise"}


def test_a_section_names_and_shows_its_photos(found, tmp_path):
    text = section("noise", {"most": found[-1], "least": found[0]}, tmp_path)
    assert text.count("![") == 2 and f"({tmp_path.name}/noise-most.webp)" in text
    assert f"coffee, {found[-1].before:.2f} to 100.00 dB, taken for noise" in text
    truth = found[-1].gt
    width = round(truth.shape[1] * HEIGHT / truth.shape[0])
    with Image.open(tmp_path / "noise-most.webp") as picture:
        assert picture.size == (3 * width + 2 * GAP, HEIGHT)
        before, after, clean = (
            np.asarray(picture, float)[:, x : x + width] for x in (0, width + GAP, 2 * (width + GAP))
        )
    assert 2 * np.abs(after - clean).mean() < np.abs(before - clean).mean()


def test_pictures_of_other_shapes_share_a_row():
    sheet = row((np.zeros((100, 50, 3), np.uint8), np.zeros((50, 100, 3), np.uint8)))
    assert sheet.size == (HEIGHT // 2 + GAP + HEIGHT * 2, HEIGHT)
