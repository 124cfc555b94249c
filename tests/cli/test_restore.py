import json

import cv2
import numpy as np
import pytest
import skimage.data
from typer.testing import CliRunner

from lorair_cli.cli.main import app
from lorair_cli.errors import LorairError

runner = CliRunner()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.png"
    cv2.imwrite(str(path), skimage.data.chelsea()[:80, :96, ::-1])
    return path


def call(*arguments):
    """Like the ``lorair`` script, whose ``run`` turns a ``LorairError`` into its exit code."""
    result = runner.invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, LorairError):
        return result.exception.exit_code, result.stdout, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_one_photo(photo, weights_file, tmp_path):
    out = tmp_path / "out.jpg"
    code, stdout, _ = call("restore", photo, "-o", out, "--weights", weights_file, "--device", "cpu")
    assert code == 0 and cv2.imread(str(out)).shape == (80, 96, 3)
    assert "experts:" in stdout and f"wrote {out} (96x80" in stdout


def test_json_of_a_folder_with_a_bad_file(photo, weights_file, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    code, stdout, stderr = call("restore", tmp_path, "-o", tmp_path / "out", "--weights", weights_file, "--json")
    broken, cat = map(json.loads, stdout.splitlines())
    assert code == 1 and "broken.png" in stderr and "1 of 2 photos failed" in stderr
    assert broken["status"] == "failed" and broken["output"] is None and "broken.png" in broken["error"]
    assert cat["status"] == "ok" and sum(cat["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert cat["experts"].keys() <= cat["probabilities"].keys() and sum(cat["experts"].values()) == pytest.approx(1)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["cat.png"]


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--device", "cuda:99"], 1, "CUDA"),
        (["--setting", "11task"], 2, "no setting '11task'"),
        (["--weights", "nowhere.safetensors"], 1, "nowhere.safetensors"),
        (["--top-k", "9"], 2, "top-k 9"),
        (["--precision", "int8"], 2, "no precision 'int8'"),
    ],
)
def test_one_line_errors(photo, weights_file, tmp_path, arguments, code, message):
    if arguments[0] not in ("--weights", "--setting"):
        arguments = ["--weights", weights_file, *arguments]
    got, stdout, stderr = call("restore", photo, "-o", tmp_path / "out.png", *arguments)
    assert got == code and message in stderr and "\n" not in stderr.strip() and stdout == ""
    assert not (tmp_path / "out.png").exists()


def test_a_missing_photo(weights_file, tmp_path):
    code, _, stderr = call("restore", tmp_path / "none.png", "-o", tmp_path / "out.png", "--weights", weights_file)
    assert code == 1 and "none.png" in stderr


def test_classify_bars_json_and_csv(photo, weights_file):
    code, stdout, _ = call("classify", photo, "--weights", weights_file)
    assert code == 0 and stdout.count("%") == 3
    code, stdout, _ = call("classify", photo, photo, "--weights", weights_file, "--json")
    first, second = map(json.loads, stdout.splitlines())
    assert code == 0 and first == second and set(first["probabilities"]) == {"rain", "haze", "noise"}
    code, stdout, _ = call("classify", photo, "--weights", weights_file, "--csv")
    header, row = stdout.splitlines()
    assert header == "photo,rain,haze,noise"
    assert np.allclose([float(v) for v in row.split(",")[1:]], list(first["probabilities"].values()), atol=1e-6)


def test_classify_goes_on_after_a_bad_file(photo, weights_file, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    code, stdout, stderr = call("classify", tmp_path / "a.png", photo, "--weights", weights_file, "--csv")
    assert code == 1 and "a.png" in stderr and len(stdout.splitlines()) == 2


def test_classify_formats_exclude_each_other(photo):
    assert call("classify", photo, "--json", "--csv")[0] == 2
