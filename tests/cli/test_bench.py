import csv
import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lorair_cli.cli import measured
from lorair_cli.errors import LorairError
from lorair_cli.evaluation import datasets
from lorair_cli.evaluation.gallery import Gallery

COMMAND = "bench"


@pytest.fixture
def root(tmp_path):
    """Three of the hundred pairs of Rain100L, and two pictures of BSD68."""
    photo = skimage.data.astronaut()
    for index in range(3):
        gt = photo[100 * index : 100 * index + 64, 50:130]
        for kind, picture in (("input", gt // 2), ("target", gt)):
            (tmp_path / "Rain100L" / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "Rain100L" / kind / f"{index}.png"), picture[..., ::-1])
    (tmp_path / "CBSD68").mkdir()
    for index in range(2):
        cv2.imwrite(str(tmp_path / "CBSD68" / f"{index}.png"), photo[index : index + 50, 30:99, ::-1])
    return tmp_path


@pytest.fixture
def common(weights_file, tmp_path):
    return ["--weights", weights_file, "--device", "cpu", "--precision", "float32", "--results", tmp_path / "r.jsonl"]


def test_help_imports_nothing_heavy():
    for command in ("bench", "eval"):
        script = f"""
import sys
from lorair_cli.cli.main import run

sys.argv = ["lorair", "{command}", "--help"]
try:
    run()
except SystemExit as leaving:
    assert not leaving.code
print([m for m in ("torch", "skimage", "cv2", "pyiqa", "scipy") if m in sys.modules])
"""
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert result.stdout.splitlines()[-1] == "[]"


def test_list(call):
    code, stdout, _ = call("--list", "--csv")
    lines = list(csv.DictReader(io.StringIO(stdout)))
    assert code == 0 and {"snow100k-s", "daclip-rainy", "derain-5sets", "builtin-noise"} <= {
        r["benchmark"] for r in lines
    }
    test2800 = next(r for r in lines if r["benchmark"] == "derain-test2800")
    assert test2800["pictures"] == "2800 (stated)" and test2800["protocols"].startswith("diffuir-y")
    assert len(json.loads(call("--list", "--json")[1])["benchmarks"]) == len(lines)


def test_partial_sets_in_json(root, common, call):
    code, stdout, _ = call(
        "--dataset", "rain100l", "--dataset", "BSD68", "--setting", "3task", "--data", root, "--json", *common
    )
    answer = json.loads(stdout)
    assert code == 0 and answer["missing"] == [] and answer["failed"] == []
    assert len(answer["made_by"]["weights"]) == 12 and "global pooling" in answer["made_by"]["options"]
    rows = {(r["benchmark"], r["metric"]): r for r in answer["rows"]}
    rain = rows["rain100l-promptir", "psnr"]
    assert rain["pictures"] == 3 and rain["protocol"] == "promptir-rgb" and rain["paper"] == 37.75
    assert rain["gap"] is None and "3 of 100 pictures" in rain["remark"] and rain["better"] is None
    assert rows["bsd68-50", "psnr"]["before"] < rows["bsd68-15", "psnr"]["before"] - 6
    mean = np.mean([rows[f"bsd68-{s}", "psnr"]["ours"] for s in (15, 25, 50)])
    assert rows["bsd68", "psnr"]["ours"] == pytest.approx(mean)
    assert 0 <= rows["rain100l-promptir", "accuracy"]["ours"] <= 100


def test_weights_of_another_setting_than_the_papers_are_called_so(root, common, call):
    """The tiny weights are for Setting III; the paper prints LOL in Setting IV."""
    (root / "eval15").mkdir()
    for kind, source in (("low", "input"), ("high", "target")):
        (root / "Rain100L" / source).rename(root / "eval15" / kind)
    _, stdout, _ = call("--dataset", "lol", "--dataset", "bsd68", "--data", root, "--csv", *common)
    lines = {(r["benchmark"], r["metric"], r["protocol"]): r for r in csv.DictReader(io.StringIO(stdout))}
    assert "its model for Setting IV" in lines["lol-eval15", "psnr", "diffuir-y"]["remark"]
    assert "model for" not in lines["bsd68-15", "psnr", "promptir-rgb"]["remark"]


def test_resuming_restores_nothing_twice(root, common, monkeypatch, call):
    arguments = ["--dataset", "rain100l", "--data", root, "--csv", *common]
    first = call(*arguments, "--limit", 2)[1]
    assert "only the first 2 of 3 pictures" in first
    from lorair_cli.restoration.restorer import Restorer

    restored, restore = [], Restorer.restore
    monkeypatch.setattr(
        Restorer, "restore", lambda self, *how, **more: restored.append(1) or restore(self, *how, **more)
    )
    second = call(*arguments)[1]
    assert len(restored) == 1 and call(*arguments)[1] == second and len(restored) == 1


@pytest.mark.parametrize("device", ["cpu", *([] if torch.cuda.is_available() else ["auto"])])
def test_two_processes_share_the_pictures(root, common, tmp_path, call, device):
    """torchrun sets what Accelerate reads; on CPUs they meet over gloo. One table comes out, as of one process."""
    arguments = ["--dataset", "rain100l", "--data", root, "--csv", *common, "--device", device]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    words = map(str, [*launch, "-m", "lorair_cli", "bench", *arguments])
    shared = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert len((tmp_path / "r.1.jsonl").read_text().splitlines()) == 1  # of three pictures, the other process had one
    for journal in tmp_path.glob("r*.jsonl"):
        journal.unlink()
    assert shared.stdout.strip() == call(*arguments)[1].strip()


def test_a_missing_set_named_on_the_command_line(root, common, call):
    code, stdout, stderr = call("--dataset", "lol", "--dataset", "rain100l", "--data", root, "--markdown", *common)
    assert code == 1 and "| rain100l-promptir | psnr |" in stdout
    assert "Get it from: RetinexNet" in stderr and str(root / "eval15" / "low") in stderr and "15 pictures" in stderr


def test_a_broken_set_does_not_stop_the_others(root, common, call):
    (root / "Rain100L" / "input" / "1.jpg").write_bytes((root / "Rain100L" / "input" / "1.png").read_bytes())
    code, stdout, stderr = call("--dataset", "rain100l", "--dataset", "bsd68-15", "--data", root, "--json", *common)
    answer = json.loads(stdout)
    assert code == 1 and "have one name" in stderr and answer["failed"][0]["image"] is None
    assert answer["failed"][0]["benchmark"] == "rain100l-promptir"
    assert {r["benchmark"] for r in answer["rows"]} == {"bsd68-15"}


def test_a_picture_that_cannot_be_measured_is_named_and_the_others_go_on(root, common, tmp_path, call):
    rain, page = root / "Rain100L", tmp_path / "page.html"
    cv2.imwrite(str(rain / "input" / "2.png"), np.zeros((8, 8, 3), np.uint8))  # of another size than its truth
    (rain / "target" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "CBSD68" / "0.png").write_bytes(b"no picture")
    sets = ["--dataset", "rain100l", "--dataset", "bsd68", "--setting", "3task", "--data", root]
    code, stdout, stderr = call(*sets, "--html", page, "--json", *common)
    answer = json.loads(stdout)
    rows = {(r["benchmark"], r["metric"]): r for r in answer["rows"]}
    rain_row, noise = rows["rain100l-promptir", "psnr"], rows["bsd68-50", "psnr"]
    assert code == 1 and rain_row["pictures"] == 1 and rain_row["gap"] is None and not rain_row["complete"]
    assert "2 pictures could not be measured: 0, 2" in rain_row["remark"]
    assert noise["pictures"] == 1 and "1 pictures could not be measured: 0" in noise["remark"]
    assert "bsd68-50 incomplete" in rows["bsd68", "psnr"]["remark"]
    failed = [f"{f['benchmark']} {f['image']}" for f in answer["failed"]]
    assert failed == ["rain100l-promptir 0", "rain100l-promptir 2", *(f"bsd68-{sigma} 0" for sigma in (15, 25, 50))]
    assert all(f["error"] in stderr for f in answer["failed"]) and "target/0.png" in answer["failed"][0]["error"]
    assert "rain100l-promptir is incomplete, 2 pictures" in stderr
    assert page.read_text(encoding="utf-8").count("<figure>") == 4


def test_a_damaged_picture_counts_among_the_first(root, common, call):
    (root / "Rain100L" / "input" / "0.png").write_bytes(b"no picture")
    code, stdout, _ = call("--dataset", "rain100l", "--data", root, "--limit", 2, "--json", *common)
    row = json.loads(stdout)["rows"][0]
    assert code == 1 and row["pictures"] == 1 and "only the first 2 of 3 pictures" in row["remark"]


def test_a_set_of_damaged_pictures_has_no_numbers(root, common, call):
    for photo in (root / "CBSD68").iterdir():
        photo.write_bytes(b"no picture")
    code, stdout, _ = call("--dataset", "bsd68-15", "--data", root, "--json", *common)
    (row,) = json.loads(stdout)["rows"]
    assert code == 1 and row["ours"] is None and row["remark"].startswith("not measured; ") and not row["complete"]
    assert row["remark"].endswith("2 pictures could not be measured: 0, 1")


def test_a_page_of_the_extremes(root, common, tmp_path, call):
    page = tmp_path / "page.html"
    code, _, _ = call("--dataset", "rain100l", "--data", root, "--html", page, *common)
    text = page.read_text(encoding="utf-8")
    assert code == 0 and text.count("<figure>") == 3 and "rain100l-promptir" in text and "weights" in text
    code, _, stderr = call("--dataset", "rain100l", "--data", root, "--html", page, *common)
    assert code == 2 and "page.html exists already" in stderr and page.read_text(encoding="utf-8") == text
    assert call("--dataset", "rain100l", "--data", root, "--html", page, "--overwrite", *common)[0] == 0


def test_a_page_that_cannot_be_written_is_found_out_before_anything_is_measured(root, monkeypatch, run_script):
    monkeypatch.setattr(measured, "load_restorer", lambda *_, **__: pytest.fail("weights were loaded"))
    page = root / "Rain100L"  # a folder
    arguments = ["--dataset", "bsd68-15", "--data", root, "--html", page, "--overwrite", "--json"]
    code, stdout, stderr = run_script("bench", *arguments)
    assert code == 1 and "Rain100L: cannot be written: is a folder" in stderr
    assert json.loads(stdout)["hint"] == "choose another --html"


def test_a_page_that_fails_late_leaves_one_json_object(root, common, tmp_path, monkeypatch, run_script):
    def full(self, path, made_by):
        raise LorairError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(Gallery, "write", full)
    arguments = ["--dataset", "bsd68-15", "--data", root, "--html", tmp_path / "page.html", "--json", *common]
    code, stdout, stderr = run_script("bench", *arguments)
    assert code == 1 and "page.html: cannot be written: No space left" in stderr
    assert json.loads(stdout)["rows"][0]["pictures"] == 2


def test_a_photo_is_no_journal(root, weights_file, monkeypatch, call):
    monkeypatch.setattr(measured, "load_restorer", lambda *_, **__: pytest.fail("weights were loaded"))
    photo = root / "CBSD68" / "0.png"
    before = photo.read_bytes()
    code, stdout, stderr = call("--dataset", "bsd68-15", "--data", root, "--results", photo, "--weights", weights_file)
    assert code == 2 and stdout == "" and photo.read_bytes() == before
    assert "0.png is no journal of measured pictures" in stderr


def test_a_table_with_some_cells_measured(root, common, call):
    code, stdout, stderr = call("--table", 2, "--data", root, "--csv", *common)
    lines = {(r["benchmark"], r["metric"]): r for r in csv.DictReader(io.StringIO(stdout))}
    assert code == 0 and "sots-outdoor" in stderr
    assert lines["bsd68-25", "psnr"]["ours"] and "2 of 68" in lines["bsd68-25", "psnr"]["remark"]
    assert (
        lines["sots-outdoor", "psnr"]["remark"] == "not measured" and lines["sots-outdoor", "psnr"]["paper"] == "30.68"
    )


@pytest.mark.parametrize("number", range(1, 11))
def test_every_table_without_data_or_weights(number, call):
    code, stdout, _ = call("--table", number)
    assert code == 0 and stdout.startswith(f"Table {number}.") and "not measured" in stdout


def test_builtin(common, monkeypatch, call):
    photos = [(name, photo[:48, :64]) for name, photo in datasets.sample_photos()]
    monkeypatch.setattr(datasets, "sample_photos", lambda: photos)
    code, stdout, _ = call("--dataset", "builtin", "--json", *common)
    rows = {(r["benchmark"], r["metric"]): r for r in json.loads(stdout)["rows"]}
    assert code == 0 and rows["builtin", "psnr"]["pictures"] == 40 and rows["builtin", "psnr"]["paper"] is None
    assert rows["builtin-noise", "psnr"]["protocol"] == "rgb" and 15 < rows["builtin-noise", "psnr"]["before"] < 25


def test_speed(common, call):
    code, stdout, _ = call("--speed", "--size", "96x64", "--size", "64x64", "--json", "--tile", 128, *common[:-2])
    small, large = json.loads(stdout)["rows"]
    assert code == 0 and (large["width"], large["height"], large["tiles"]) == (96, 64, 1)
    assert small["seconds_per_megapixel"] == pytest.approx(small["seconds"] / 0.004096)
    assert 0 < large["router_share"] <= 1 and large["precision"] == "float32"
    assert "s/MP" in call("--speed", "--size", "64x64", *common[:-2])[1]


def test_speed_of_several_passes(common, call):
    small = ["--speed", "--size", "64x64", "--tile", 128, "--json", *common[:-2]]
    (one,), (two,) = (json.loads(call(*small, *more)[1])["rows"] for more in ([], ["--passes", 2]))
    assert (one["tiles"], two["tiles"]) == (1, 2)
    assert two["options"] == f"{one['options']}, 2 passes"


def test_every_device_and_precision_is_checked_before_the_first_is_measured(weights_file, call, monkeypatch):
    monkeypatch.setattr("lorair_cli.evaluation.speed.measure_speed", lambda *_: pytest.fail("one was measured"))
    code, stdout, stderr = call(
        "--speed", "--device", "cpu", "--precision", "float32,float16", "--weights", weights_file
    )
    assert code == 1 and "float16 is slow" in stderr and stdout == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "nothing to measure"),
        (["--dataset", "rain100l"], "no folder with data sets"),
        (["--dataset", "rain100x", "--data", "."], "did you mean"),
        (["--dataset", "lol", "--data", "nowhere"], "nowhere is no folder"),
        (["--table", 12], "no table 12"),
        (["--list", "--json", "--csv"], "exclude each other"),
        (["--dataset", "builtin", "--metrics", "psnrr"], "no metric 'psnrr'"),
        (["--speed", "--size", "big"], "'big' is no size"),
        (["--speed", "--size", "99999x99999"], "99999x99999 is larger than any photo"),
        (["--speed", "--table", 1], "no data sets"),
        (["--speed", "--html", "x.html", "--metrics", "psnr"], "no data sets, and has no use for --metrics, --html"),
        (["--speed", "--limit", 1], "has no use for --limit"),
        (["--speed", "--results", "x.jsonl"], "has no use for --results"),
        (["--speed", "--passes", "0"], "0 passes"),
        (["--list", "--passes", "1"], "--list lists all benchmarks, and has no use for --weights, --passes"),
        (["--list", "--speed"], "has no use for --speed"),
        (["--table", "1", "--limit", 1], "prints the paper's numbers, and has no use for --limit, --weights"),
        (["--dataset", "builtin", "--size", "64x64"], "--size is for --speed"),
    ],
)
def test_wrong_usage(arguments, message, weights_file, call):
    code, stdout, stderr = call(*arguments, "--weights", weights_file)
    assert code == 2 and message in stderr and stdout == ""
