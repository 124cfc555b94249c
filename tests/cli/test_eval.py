import csv
import io
import json

import cv2
import numpy as np
import pytest
import skimage.data

from lorair_cli.cli import eval as module
from lorair_cli.cli import measured
from lorair_cli.evaluation.journal import Record
from lorair_cli.evaluation.subjects import Subject

COMMAND = "eval"


@pytest.fixture
def folders(tmp_path):
    """LQ 8 levels off, results of another tool 2 levels off, GT; two pictures."""
    for kind, offset in (("lq", 8), ("other", 2), ("gt", 0)):
        (tmp_path / kind).mkdir()
        for index in range(2):
            gt = skimage.data.coffee()[index : index + 70, 100:180] // 2
            cv2.imwrite(str(tmp_path / kind / f"{index}.png"), (gt + offset)[..., ::-1])
    return tmp_path


def psnr(offset):
    return 20 * np.log10(255 / offset)


def test_restoring_and_measuring(folders, weights_file, call):
    code, stdout, _ = call(
        "--input", folders / "lq", "--target", folders / "gt", "--weights", weights_file, "--device", "cpu", "--json"
    )
    answer = json.loads(stdout)
    assert code == 0 and answer["protocols"] == ["rgb"] and len(answer["made_by"]["weights"]) == 12
    assert answer["mean_of_input"]["psnr@rgb"] == pytest.approx(psnr(8))
    assert answer["mean"]["psnr@rgb"] == pytest.approx(np.mean([i["result"]["psnr@rgb"] for i in answer["images"]]))
    assert [i["image"] for i in answer["images"]] == ["0", "1"] and answer["images"][0]["recognised"]


def test_pictures_of_another_tool_by_several_protocols(folders, call):
    code, stdout, _ = call(
        *("--input", folders / "lq", "--target", folders / "gt", "--restored", folders / "other"),
        *("--protocol", "rgb", "--protocol", "daclip-rgb", "--metrics", "psnr", "--csv"),
    )
    first, second, mean = csv.DictReader(io.StringIO(stdout))
    assert code == 0 and mean["image"] == "mean" and first.keys() == second.keys()
    assert {k: float(v) for k, v in mean.items() if k != "image"} == pytest.approx(
        {f"psnr@{p} {w}": psnr(o) for p in ("rgb", "daclip-rgb") for w, o in (("input", 8), ("result", 2))}, abs=0.01
    )


def test_fid_stands_beside_the_mean_in_csv(capsys):
    records = [Record(name, "folder", name, "w", {}, {"psnr@rgb": 30.0 + i}) for i, name in enumerate("ab")]
    subject = Subject(lambda pair: None, "w", "as it is")
    module._print(records, {}, (12.34, "Inception"), {}, subject, ["rgb"], "csv", with_input=False)
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["fid result"] for line in lines] == ["", "", "12.34"]
    assert lines[-1]["psnr@rgb result"] == "30.50"


def test_whole_pictures_by_a_protocol_that_cuts(folders, call):
    code, stdout, _ = call(
        "--target", folders / "gt", "--restored", folders / "other", "--protocol", "promptir-rgb", "--metrics", "psnr"
    )
    header, *lines = stdout.splitlines()[1:]
    assert code == 0 and "input" not in header and lines[-1].split() == ["mean", f"{psnr(2):.2f}"]


def test_without_ground_truth(folders, call):
    code, stdout, _ = call("--input", folders / "lq", "--restored", folders / "other", "--json")
    assert code == 0 and json.loads(stdout)["mean"] == {"loe": 0}  # an offset keeps the order of lightness


def test_pairing_rules(folders, call):
    (folders / "gt" / "0.png").rename(folders / "gt" / "x0.png")
    arguments = ["--input", folders / "lq", "--target", folders / "gt", "--restored", folders / "other", "--json"]
    code, _, stderr = call(*arguments)
    assert code == 2 and "1 pictures" in stderr and "no ground truth" in stderr
    assert call(*arguments, "--pair", "sorted")[0] == 0
    (folders / "gt" / "1.png").rename(folders / "gt" / "1_clean.png")
    (folders / "gt" / "x0.png").rename(folders / "gt" / "0_clean.png")
    code, stdout, _ = call(*arguments, "--pair", "raindrop")
    assert code == 0 and json.loads(stdout)["mean"]["psnr@rgb"] == pytest.approx(psnr(2))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "nothing to measure"),
        (["--input", "nowhere"], "nowhere is no folder"),
        (["--input", "lq", "--metrics", "psnr"], "cannot be measured"),
        (["--input", "lq", "--metrics", "fid"], "ground truth"),
        (["--input", "lq", "--target", "gt", "--protocol", "y"], "no protocol 'y'"),
        (["--input", "lq", "--target", "gt", "--pair", "eye"], "called 'eye'"),
        (["--input", "lq", "--target", "gt", "--protocol", "rgb", "--protocol", "promptir-rgb"], "different ways"),
        (["--restored", "other"], "results alone"),
        (["--restored", "other", "--target", "gt", "--passes", "2"], "--restored measures what is there, and has no"),
        (["--restored", "other", "--target", "gt", "--metrics", "loe"], "loe compares with the input"),
        (["--input", "gt", "--target", "gt"], "ground truth other than itself"),
        (["--input", "lq", "--target", "gt", "--restored", "empty"], "holds no photos"),
        (["--input", "lq", "--target", "gt", "--restored", "one"], "1 results are not in"),
    ],
)
def test_wrong_usage(arguments, message, folders, monkeypatch, call):
    monkeypatch.chdir(folders)
    (folders / "empty").mkdir()
    (folders / "one").mkdir()
    (folders / "other" / "0.png").replace(folders / "one" / "0.png")
    code, stdout, stderr = call(*arguments)
    assert code == 2 and message in stderr and stdout == ""


def test_passes_are_one_unless_asked_for(folders, weights_file, call):
    arguments = ("--input", folders / "lq", "--target", folders / "gt", "--weights", weights_file, "--device", "cpu")
    plain, one, three = (call(*arguments, "--csv", *more)[1] for more in ((), ("--passes", "1"), ("--passes", "3")))
    assert plain == one != three


@pytest.mark.parametrize("command", [("eval", "--input"), ("bench", "--dataset", "builtin", "--data")])
@pytest.mark.parametrize(("passes", "message"), [("0", "outside 1 to"), ("all", "no number of passes")])
def test_an_impossible_number_of_passes_is_refused_before_anything_is_loaded(
    command, passes, message, folders, monkeypatch, script
):
    monkeypatch.setattr(measured, "load_restorer", lambda *_, **__: pytest.fail("weights were loaded"))
    code, stdout, stderr, _ = script(*command, folders / "lq", "--passes", passes)
    assert code == 2 and message in stderr and stdout == ""


def test_a_picture_that_cannot_be_measured_is_named_and_the_others_go_on(folders, call):
    cv2.imwrite(str(folders / "gt" / "1.png"), np.zeros((64, 64, 3), np.uint8))
    for kind in ("lq", "other", "gt"):
        cv2.imwrite(str(folders / kind / "2.png"), np.zeros((16, 80, 3), np.uint8))
        (folders / kind / "3.png").write_bytes(b"no picture")
    arguments = ["--input", folders / "lq", "--target", folders / "gt", "--restored", folders / "other"]
    code, stdout, stderr = call(*arguments, "--json")
    answer = json.loads(stdout)
    assert code == 1 and [i["image"] for i in answer["images"]] == ["0"]
    assert answer["mean"]["psnr@rgb"] == pytest.approx(psnr(2))
    reasons = {f["image"]: f["error"] for f in answer["failed"]}
    assert reasons["1"].startswith("1: the result has 80x70 pixels") and reasons["2"].startswith("2: 80x16 pixels")
    assert "3.png" in reasons["3"] and "3 of 4 pictures could not be measured." in stderr
    code, stdout, _ = call(*arguments, "--csv")
    assert code == 1 and stdout.splitlines()[-1].startswith("mean of 1 of 4,")


def test_an_input_of_another_size_does_not_cost_its_result(folders, call):
    cv2.imwrite(str(folders / "lq" / "0.png"), np.zeros((35, 40, 3), np.uint8))
    arguments = ["--input", folders / "lq", "--target", folders / "gt", "--restored", folders / "other"]
    code, stdout, _ = call(*arguments, "--metrics", "psnr", "--json")
    answer = json.loads(stdout)
    assert code == 0 and [i["image"] for i in answer["images"]] == ["0", "1"] and answer["mean_of_input"] == {}
    assert answer["images"][0]["input"] == {}
    assert answer["images"][1]["input"]["psnr@rgb"] == pytest.approx(psnr(8))
    assert answer["mean"]["psnr@rgb"] == pytest.approx(psnr(2))
    code, stdout, _ = call(*arguments, "--metrics", "psnr", "--csv")
    lines = list(csv.DictReader(io.StringIO(stdout)))
    assert code == 0 and [bool(line["psnr@rgb input"]) for line in lines] == [False, True, False]
    assert all(float(line["psnr@rgb result"]) == pytest.approx(psnr(2), abs=0.01) for line in lines)


def test_by_position_numbers_count_as_numbers(folders, call):
    for kind, names in (("lq", "{}.png"), ("other", "{}.png"), ("gt", "GT_{:02}.png")):
        for path in (folders / kind).iterdir():
            path.unlink()
        for index in range(1, 12):
            cv2.imwrite(str(folders / kind / names.format(index)), np.full((70, 80, 3), 20 * index, np.uint8))
    arguments = ["--input", folders / "lq", "--target", folders / "gt", "--restored", folders / "other"]
    code, stdout, _ = call(*arguments, "--pair", "sorted", "--metrics", "psnr", "--json")
    assert code == 0 and json.loads(stdout)["mean"]["psnr@rgb"] == pytest.approx(100)


def test_truths_that_no_result_belongs_to_are_told(folders, call):
    (folders / "other" / "1.png").unlink()
    code, stdout, stderr = call("--target", folders / "gt", "--restored", folders / "other", "--json")
    assert code == 0 and len(json.loads(stdout)["images"]) == 1
    assert "1 pictures in" in stderr and "have no input, and are not in the means: 1" in stderr
