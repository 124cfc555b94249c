"""Damaged photos of every format: a photo or one line, and never a part of a picture for the whole."""

from collections import Counter

import fuzz_images as fuzz
import numpy as np
import pytest

COUNT = 2700
"""A hundred of each kind of file, where all the libraries are here."""


@pytest.fixture(scope="module")
def seeds():
    return fuzz.healthy_seeds()


@pytest.mark.filterwarnings("ignore")  # what libraries think of damaged files
def test_every_damaged_photo_is_a_photo_or_one_line(seeds):
    tally, broken = Counter(), []
    for index in range(COUNT):
        source, kind, data = fuzz.mutant(seeds, 1, index)
        try:
            tally[fuzz.outcome_of(source, kind, data)] += 1
        except Exception as error:
            broken.append(f"{index} ({source.name}, {kind}): {type(error).__name__}: {error}")
    assert not broken, "\n".join(broken)
    assert min(tally["read"], tally["refused"]) > COUNT / 10, "damage of both kinds: harmless and not"


def test_every_format_is_among_them(seeds):
    formats = {seed.photo.format for seed in seeds}
    assert {"PNG", "JPEG", "WEBP", "TIFF", "BMP"} <= formats and len(seeds) >= 22


def test_a_number_names_a_mutant(seeds):
    assert fuzz.mutant(seeds, 1, 77)[2] == fuzz.mutant(seeds, 1, 77)[2] != fuzz.mutant(seeds, 2, 77)[2]


def test_half_a_picture_is_told_from_a_whole_one(seeds, monkeypatch):
    (source,) = (seed for seed in seeds if seed.name == "bmp")
    half = source.photo.with_rgb(np.where(np.arange(80)[None, :, None] < 40, source.photo.rgb, np.uint8(0)))
    monkeypatch.setattr(fuzz, "decode_photo", lambda *_, **__: half)
    with pytest.raises(AssertionError, match="part of a picture"):
        fuzz.outcome_of(source, "cut", source.data[:-100])
