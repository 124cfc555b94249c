import json

import pytest
import torch

import lorair_cli
from lorair_cli.cli import doctor as module
from lorair_cli.weights import manifest
from lorair_cli.weights.manifest import WeightFile


@pytest.fixture(autouse=True)
def a_small_photo(monkeypatch):
    monkeypatch.setattr(module, "HEIGHT", 64)


def test_it_tells_what_is_here_and_restores(lorair):
    called = lorair("doctor")
    lines = dict(line.split(maxsplit=1) for line in called.stdout.splitlines())
    assert called.code == 0 and lines["lorair"] == lorair_cli.__version__ and lines["torch"] == torch.__version__
    assert "cpu: asked for" in called.stdout and "GiB" in called.stdout
    assert "3task (compact), 768x64 in " in called.stdout


def test_as_json(lorair):
    facts = json.loads(lorair("doctor", "--json").stdout)
    assert facts["restoration"]["status"] == "ok" and facts["restoration"]["seconds"] > 0
    assert facts["memory"]["free_bytes"] > 2**20 and facts["choice"]["device"] == "cpu"
    assert facts["weights"]["cache"] and facts["weights"]["offline"] in (True, False)


def test_auto_says_why(script, weights_file):
    choice = json.loads(script("doctor", "--json", "--weights", weights_file).stdout)["choice"]
    assert (choice["device"] == "cuda") == torch.cuda.is_available()
    assert "CUDA" in choice["device_reason"] and "bfloat16" in choice["precision_reason"]


def test_missing_weights_are_a_problem_with_a_way_out_and_no_download(script, monkeypatch):
    monkeypatch.setattr("lorair_cli.weights.store.files_here", lambda entry: [])
    monkeypatch.setattr("lorair_cli.weights.hub.fetch", lambda *_, **__: pytest.fail("no download"))
    assert manifest.read_manifest(), "there is something that could be missing"
    called = script("doctor", "--device", "cpu", "--json")
    facts = json.loads(called.stdout)
    assert called.code == 1 and facts["restoration"]["status"] == "failed" and facts["versions"]
    assert called.stderr.startswith("Error: the compact weights of setting 10task are not on this machine")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device whose absence is tested")
def test_a_missing_device_is_an_error(script):
    assert script("doctor", "--device", "cuda").code == 1


def test_damaged_weights_are_a_problem_and_not_fetched_again(script, monkeypatch, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"cut")
    expected = WeightFile("weights.safetensors", "0" * 64, 1000)
    monkeypatch.setattr(
        "lorair_cli.weights.store.files_here", lambda entry: [(tmp_path / "weights.safetensors", expected)]
    )
    monkeypatch.setattr("lorair_cli.weights.store.obtain", lambda *_, **__: pytest.fail("no download"))
    called = script("doctor", "--device", "cpu")
    assert (
        called.code == 1 and "weights.safetensors: the compact weights of setting 10task are damaged" in called.stderr
    )
