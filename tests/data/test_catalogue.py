from pathlib import Path

import cv2
import numpy as np
import pytest

from lorair_cli.data.catalogue import load_catalogue, locate_set
from lorair_cli.data.pairing import RULES
from lorair_cli.settings import SETTINGS


def put(root, *names, value=7):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((40, 48, 3), value, np.uint8))


def named(name):
    return next(one for one in load_catalogue().set if one.name == name)


def test_every_degradation_of_every_setting_has_its_set():
    catalogue = load_catalogue()
    for setting in SETTINGS.values():
        assert tuple(one.degradation for one in catalogue.of_setting(setting.name)) == setting.degradations
    assert all(one.obtain in catalogue.sources for one in catalogue.set)


def test_counts_are_those_that_are_known():
    assert sum(named(f"allweather-{kind}").pairs for kind in ("snow", "rain", "raindrop")) == 18069
    assert named("reside-ots").pairs == named("diffuir-haze").pairs == 2061 * 35
    assert named("wed-bsd400").pairs == 4744 + 400 and named("diffuir-rain").pairs == 13711


def test_allweather_is_told_apart_by_name_and_its_leaks_are_left_out(tmp_path):
    names = [
        "beautiful_smile_00003.jpg",
        "im_0001_s80_a04.png",
        "im_0300_s80_a04.png",
        "im_0301_s80_a04.png",
        "7_rain.png",
    ]
    for folder in ("input", "gt"):
        put(tmp_path / "allweather" / folder, *names)
    found = {kind: locate_set(named(f"allweather-{kind}"), tmp_path) for kind in ("snow", "rain", "raindrop")}
    assert [name for name, _, _ in found["snow"].pairs] == ["beautiful_smile_00003"]
    assert [name for name, _, _ in found["rain"].pairs] == ["im_0001_s80_a04", "im_0300_s80_a04"]
    assert found["rain"].leaked == ("im_0301_s80_a04",) and not found["rain"].without_input
    assert [name for name, _, _ in found["raindrop"].pairs] == ["7_rain"]


@pytest.mark.parametrize(
    ("name", "inputs", "truths", "pairs"),
    [
        ("weatherstream-haze", ["a/degraded_0.png", "a/degraded_1.png", "b/degraded_0.png"], ["a/gt.png", "b/gt.png"],
         [("a/degraded_0", "a/gt"), ("a/degraded_1", "a/gt"), ("b/degraded_0", "b/gt")]),
        ("rain100l-train", ["rain-1.png", "rain-12.png"], ["norain-1.png", "norain-12.png"],
         [("rain-1", "norain-1"), ("rain-12", "norain-12")]),
        ("reside-ots", ["part1/0025_0.8_0.04.jpg", "part2/0026_1_0.2.jpg"], ["0025.jpg", "0026.png"],
         [("part1/0025_0.8_0.04", "0025"), ("part2/0026_1_0.2", "0026")]),
        ("daclip-raindrop", ["0_rain.png", "5.png"], ["0_clean.png", "5.png"], [("0_rain", "0_clean"), ("5", "5")]),
        ("daclip-shadowed", ["_MG_1.jpg"], ["_MG_1_no_shadow.jpg"], [("_MG_1", "_MG_1_no_shadow")]),
        ("daclip-rainy", ["rain-3.png"], ["norain-3.png"], [("rain-3", "norain-3")]),
        ("diffuir-low-light", ["2.png"], ["2.png"], [("2", "2")]),
    ],
)  # fmt: skip
def test_pairs_are_made_by_name(tmp_path, name, inputs, truths, pairs):
    one = named(name)
    put(tmp_path / one.input[0], *inputs)
    put(tmp_path / one.target[0], *truths)
    located = locate_set(one, tmp_path)
    assert [
        (n, Path(gt).relative_to(tmp_path / one.target[0]).with_suffix("").as_posix()) for n, _, gt in located.pairs
    ] == pairs
    assert not located.without_truth and not located.without_input


def test_a_gap_shifts_nothing_and_is_named(tmp_path):
    one = named("daclip-snowy")
    put(tmp_path / one.input[-1], "1.png", "2.png", "3.png")
    put(tmp_path / one.target[-1], "1.png", "3.png", "4.png")
    located = locate_set(one, tmp_path)
    assert [(name, lq.name, gt.name) for name, lq, gt in located.pairs] == [
        ("1", "1.png", "1.png"),
        ("3", "3.png", "3.png"),
    ]
    assert located.without_truth == ("2",) and located.without_input == ("4",)


def test_clean_photos_for_noise_are_their_own_truth(tmp_path):
    one = named("wed-bsd400")
    put(tmp_path / one.input[0], "00001.bmp", "117025.jpg")
    assert all(lq == gt for _, lq, gt in locate_set(one, tmp_path).pairs) and one.sigmas == (15, 25, 50)


def test_what_is_not_there_is_none(tmp_path):
    assert all(locate_set(one, tmp_path) is None for one in load_catalogue().set)


def test_all_rules_of_the_catalogue_exist():
    assert {one.rule for one in load_catalogue().set} <= RULES.keys()
