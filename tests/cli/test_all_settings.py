"""From clean photos to a restored one by the ordinary commands, in every setting: degrade, check, train, use."""

import json

import cv2
import pytest
import skimage.data
from accelerate.state import AcceleratorState

from lorair_cli.settings import SETTINGS
from lorair_cli.weights.checkpoint import read_info


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index in range(2):
        cv2.imwrite(str(folder / f"{index}.png"), skimage.data.chelsea()[60 * index : 60 * index + 70, 90:170])
    return folder


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_is_trained_from_a_folder_of_pairs_and_used(script, photos, recipe_file, tmp_path, setting):
    sets, out = tmp_path / "sets", tmp_path / "run"
    made = script("data", "degrade", photos, "-o", sets, "--setting", setting, "--side", 64)
    assert made.code == 0 and made.stdout == f"{sets}\n"
    short = [word for stage in ("router", "pretrain", "finetune") for word in ("--set", f"{stage}.steps=2")]
    arguments = ["--setting", setting, "--data", sets, "--recipe", recipe_file, "--out", out, "--workers", 0, *short]
    trained = script("train", *arguments, "--stage", "all")
    assert trained.code == 0, trained.stderr
    weights = out / "finetune.safetensors"
    assert trained.stdout == f"{weights}\n" and "2 pairs of " in trained.stderr
    info = read_info(weights)
    assert info.setting == setting and info.degradations == SETTINGS[setting].degradations
    assert info.network.experts == len(info.degradations) and "2 pairs of " in info.provenance["data"]
    lq = next(path for path in sorted(sets.rglob("*.png")))
    said = script("classify", lq, "--weights", weights, "--device", "cpu", "--json")
    assert said.code == 0 and set(said.rows[0]["probabilities"]) == set(info.degradations)
    restored = script("restore", lq, "-o", tmp_path / "out.png", "--weights", weights, "--device", "cpu")
    assert restored.code == 0 and cv2.imread(str(tmp_path / "out.png")).shape == (64, 64, 3)


def test_a_check_names_what_is_wrong_and_says_so_by_its_exit_code(script, photos, tmp_path):
    script("data", "degrade", photos, "-o", tmp_path / "sets", "--setting", "5task", "--side", 48)
    (tmp_path / "sets" / "degraded.json").unlink()  # from here on they are a download of the published sets
    (tmp_path / "test").mkdir()
    train = tmp_path / "sets" / "Datasets" / "Restoration" / "LOL" / "train"
    cv2.imwrite(str(tmp_path / "test" / "other name.bmp"), cv2.imread(str(train / "high" / "1.png")))
    (train / "low" / "2.png").write_bytes(b"")
    found = script("data", "check", tmp_path / "sets", "--setting", "5task", "--test", tmp_path / "test")
    assert found.code == 1
    lines = found.stdout.splitlines()
    at = lines.index("diffuir-low-light: 2 pairs")
    told = "\n".join(lines[at + 1 : at + 4])
    assert str(train / "low" / "2.png") in told and "1 are in the test data: 1" in told and "2 of 485 pairs" in told
    as_json = script("data", "check", tmp_path / "sets", "--json")
    rows = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert {row["set"] for row in rows} >= {"diffuir-haze", "diffuir-blur"} and all(row["pairs"] == 2 for row in rows)
    assert not any("test data" in problem for row in rows for problem in row["problems"])


def test_test_data_that_was_not_looked_at_is_no_pass(script, photos, tmp_path):
    sets, test = tmp_path / "sets", tmp_path / "test"
    script("data", "degrade", photos, "-o", sets, "--setting", "3task", "--side", 48)
    test.mkdir()
    check = ("data", "check", sets, "--setting", "3task", "--test", test)
    (test / "notes.txt").touch()
    (test / "._1.png").write_bytes(b"what macOS leaves beside a picture")
    empty = script(*check)
    assert empty.code == 2 and f"{test} holds no pictures" in empty.stderr
    (test / "1.png").write_bytes((photos / "1.png").read_bytes())
    good = script(*check)
    assert good.code == 0 and "compared with 1 test pictures" in good.stderr
    (test / "2.png").write_bytes((photos / "1.png").read_bytes()[:2000])
    found = script(*check)
    assert found.code == 1 and "compared with 1 test pictures" in found.stderr
    assert "test data: 1 pictures could not be compared\n" in found.stdout and str(test / "2.png") in found.stdout
    *rows, last = script(*check, "--json").rows
    assert len(rows) == 3 and last["test"] == 1 and str(test / "2.png") in last["problems"][0]


def test_a_check_of_nothing_is_one_line(script, tmp_path):
    found = script("data", "check", tmp_path)
    assert found.code == 1 and "holds no training set" in found.stderr
    missing = script("data", "check", tmp_path / "nowhere")
    assert missing.code == 2 and "is no folder" in missing.stderr


def test_the_list_names_every_set_and_where_to_get_it(script):
    every = script("data", "list")
    assert every.code == 0
    for name in ("allweather-rain", "weatherstream-haze", "wed-bsd400", "diffuir-blur", "daclip-uncompleted"):
        assert f"  {name}: " in every.stdout
    one = script("data", "list", "--setting", "4task")
    assert "allweather-snow: snow, 9,001 pairs (stated)" in one.stdout and "daclip" not in one.stdout
    assert "drive.google.com" in one.stdout and script("data", "list", "--setting", "7task").code == 2
