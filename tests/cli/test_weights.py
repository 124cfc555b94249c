import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.weights import hub, manifest, store
from lorair_cli.weights.checkpoint import load_checkpoint, save_checkpoint
from lorair_cli.weights.manifest import describe_file

COMMAND = "weights"


@pytest.fixture
def bundle(weights_file, tmp_path, monkeypatch):
    """A project whose manifest lists one bundled file, one that is not published yet, and one on the hub."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    path = folder / "tiny.safetensors"
    path.write_bytes(weights_file.read_bytes())
    table = """
[{name}]
setting = "{setting}"
scale = "{scale}"
format = "lorair"
source = {source}
files = [{{ name = "{file}", sha256 = "{sha256}", bytes = {bytes} }}]
licence = "Apache-2.0"
degradations = {degradations}
trained_on = "nothing"
paper = "table {number}"
"""
    three = {"setting": "3task", "degradations": '["rain", "haze", "noise"]', "number": 2}
    four = {"setting": "4task", "degradations": '["snow", "rain", "raindrop"]', "number": 1}
    described = asdict(describe_file(path))
    described["file"] = described.pop("name")
    later = {"file": "later.safetensors", "sha256": "", "bytes": 0}
    bundled, remote = '{ kind = "bundled" }', '{ kind = "hub", repository = "a/b", revision = "main" }'
    text = table.format(name="compact-3task", scale="compact", source=bundled, **three, **described)
    text += table.format(name="compact-4task", scale="compact", source=bundled, **four, **later)
    text += table.format(name="paper-4task", scale="paper", source=remote, **four, **later)
    (tmp_path / "weights.toml").write_text(text)
    monkeypatch.setattr(manifest, "manifest_path", lambda: tmp_path / "weights.toml")
    monkeypatch.setattr(store, "BUNDLED", folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return path


def test_list_says_what_is_here(bundle, call):
    code, stdout, _ = call("list")
    assert code == 0
    assert "compact-3task: bundled, " in stdout and " MB, Apache-2.0" in stdout
    assert "the paper's table 2" in stdout and "the paper's table 1" in stdout
    assert "compact-4task: not in this build" in stdout and "paper-4task: not downloaded" in stdout
    code, stdout, _ = call("list", "--json")
    entries = {entry["name"]: entry for entry in map(json.loads, stdout.splitlines())}
    assert [entry["state"] for entry in entries.values()] == ["bundled", "not in this build", "not downloaded"]
    assert entries["compact-3task"]["total_bytes"] == bundle.stat().st_size
    assert entries["paper-4task"]["total_bytes"] is None
    assert entries["paper-4task"]["source"]["repository"] == "a/b"


def test_verify_tells_good_from_damaged_and_missing(bundle, call):
    code, stdout, _ = call("verify")
    assert code == 0
    assert stdout.splitlines() == ["compact-3task: ok", "compact-4task: not here", "paper-4task: not here"]
    assert call("verify", "paper-4task")[0] == 1  # asked for by name
    data = bytearray(bundle.read_bytes())
    data[-1] ^= 1
    bundle.write_bytes(data)
    code, stdout, stderr = call("verify", "compact-3task", "--json")
    assert code == 1 and f"{bundle}: damaged, wrong SHA-256" in stderr
    assert json.loads(stdout)["status"] == "failed" and str(bundle) in json.loads(stdout)["error"]


def test_verify_misses_what_came_with_the_package(bundle, call):
    bundle.unlink()
    for names in ((), ("compact-3task",)):
        code, _, stderr = call("verify", *names)
        assert code == 1 and f"compact-3task: {bundle.name} is missing" in stderr and "install lorair again" in stderr


def test_path_prints_where_files_lie(bundle, call):
    assert call("path", "compact-3task") == (0, f"{bundle}\n", "")
    code, stdout, error = call("path", "paper-4task")
    assert code == 1 and stdout == "" and "lorair weights download paper-4task" in error
    assert call("download", "compact-3task") == (0, f"{bundle}\n", "")


@pytest.mark.parametrize("command", ["download", "verify", "path"])
def test_an_unknown_name_is_wrong_usage(bundle, command, call):
    code, _, error = call(command, "compact-5task")
    assert code == 2 and "no weights 'compact-5task'" in error and "compact-3task" in error


def test_info_of_a_checkpoint(weights_file, checkpoint, call):
    code, stdout, _ = call("info", weights_file)
    assert code == 0 and "degradations: rain, haze, noise" in stdout and "network.intro.weight 8x12x3x3" in stdout
    code, stdout, _ = call("info", weights_file, "--json")
    found = json.loads(stdout)
    assert found["format"] == "lorair" and found["bytes"] == weights_file.stat().st_size
    assert found["sha256"] == describe_file(weights_file).sha256
    assert found["description"]["network"]["experts"] == 3
    assert found["tensors"]["router.head.bias"] == [3]
    parts = [*checkpoint.network.values(), *checkpoint.router.values()]
    assert found["parameters"] == sum(tensor.numel() for tensor in parts)


def test_info_knows_the_names_of_the_list(call):
    code, stdout, _ = call("info", "compact-10task", "--json")
    assert code == 0 and json.loads(stdout)["description"]["setting"] == "10task"
    code, _, error = call("info", "compact-99task")
    assert code == 1 and "compact-99task: no such file" in error


def test_info_of_what_is_no_checkpoint(tmp_path, call):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"<html></html>")
    code, stdout, error = call("info", path)
    assert code == 1 and stdout == "" and str(path) in error and len(error.splitlines()) == 2  # and what to do


def test_export_writes_a_checkpoint_that_restores(weights_file, tmp_path, call):
    path = tmp_path / "rain.safetensors"
    arguments = "export", "--weights", weights_file, "--mixture", "rain, noise=0.5", "-o", path
    code, stdout, stderr = call(*arguments)
    assert (code, stdout) == (0, f"{path}\n") and "largest difference" in stderr
    folded = load_checkpoint(path).info
    assert folded.network.experts == 0
    assert folded.provenance["folded"] == pytest.approx({"rain": 2 / 3, "haze": 0, "noise": 1 / 3})
    code, _, error = call(*arguments)
    assert code == 2 and "exists already" in error
    assert call(*arguments, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    "mixture, message",
    [
        ("snow=1", "know no 'snow'"),
        ("rain=much", "'rain=much' is not the weight"),
        ("rain=", "'rain=' is not the weight"),
        ("rain=-1", "positive"),
        ("rain=0.7,rain=0.3", "named twice"),
        ("", "'' is not the weight"),
    ],
)
def test_a_wrong_mixture_is_wrong_usage(weights_file, tmp_path, mixture, message, call):
    code, _, error = call("export", "--weights", weights_file, "--mixture", mixture, "-o", tmp_path / "x.safetensors")
    assert code == 2 and message in error and not (tmp_path / "x.safetensors").exists()


def test_combine_takes_experts_and_writes_16_bits(checkpoint, weights_file, tmp_path, call):
    apart, path = tmp_path / "apart.safetensors", tmp_path / "all.safetensors"
    network = {k: v + 1 if k.endswith(EXPERT_TENSORS) else v for k, v in checkpoint.network.items()}
    save_checkpoint(apart, replace(checkpoint, network=network))
    arguments = "combine", weights_file, "--experts", f"rain, noise={apart}", "-o", path, "--half"
    code, stdout, _ = call(*arguments)
    assert (code, stdout) == (0, f"{path}\n") and path.stat().st_size < 0.6 * weights_file.stat().st_size
    for key, tensor in load_checkpoint(path).network.items():
        if key.endswith(EXPERT_TENSORS):
            grown = (tensor - checkpoint.network[key]).flatten(1).mean(1)
            assert grown.tolist() == pytest.approx([1, 0, 1], abs=1e-2), key
    code, _, error = call(*arguments)
    assert code == 2 and "exists already" in error
    assert call(*arguments, "--overwrite", "--share", "0.25")[0] == 0
    grown = load_checkpoint(path).network["intro.expert_b"] - checkpoint.network["intro.expert_b"]
    assert grown.flatten(1).mean(1).tolist() == pytest.approx([0.25, 0, 0.25], abs=1e-2)
    code, _, error = call(*arguments, "--overwrite", "--share", "2")
    assert code == 2 and "share 2 is not" in error


def test_combine_takes_a_router(checkpoint, weights_file, tmp_path, call):
    further, path = tmp_path / "router.safetensors", tmp_path / "all.safetensors"
    router = {k: v + 1 if k.startswith("head.") else v for k, v in checkpoint.router.items()}
    save_checkpoint(further, replace(checkpoint, network={}, router=router))
    assert call("combine", weights_file, "--router", further, "-o", path)[:2] == (0, f"{path}\n")
    result = load_checkpoint(path)
    assert torch.equal(result.router["head.bias"], router["head.bias"])
    assert result.network.keys() == checkpoint.network.keys()


def test_combine_writes_experts_alone_which_join_again(checkpoint, weights_file, tmp_path, call):
    apart, own, path = (tmp_path / f"{name}.safetensors" for name in ("apart", "own", "all"))
    network = {k: v + 1 if k.endswith(EXPERT_TENSORS) else v for k, v in checkpoint.network.items()}
    save_checkpoint(apart, replace(checkpoint, network=network))
    assert call("combine", weights_file, "--experts", f"rain={apart}", "--alone", "3task", "-o", own)[0] == 0
    assert own.stat().st_size < 0.5 * weights_file.stat().st_size
    assert call("combine", weights_file, "--experts", f"rain={own}", "-o", path)[0] == 0
    assert torch.equal(load_checkpoint(path).network["intro.expert_b"][0], network["intro.expert_b"][0])
    code, _, error = call("export", "--weights", own, "--mixture", "rain", "-o", tmp_path / "x.safetensors")
    assert code == 1 and "experts alone" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--alone", "3task"), "nothing to take"),
        (("--alone", "3task", "--router", "x.safetensors"), "no router"),
        (("--alone", "fog", "--experts", "rain=x.safetensors"), "no setting 'fog'"),
    ],
)
def test_experts_alone_need_experts_and_a_setting(weights_file, tmp_path, arguments, message, call):
    code, _, error = call("combine", weights_file, *arguments, "-o", tmp_path / "own.safetensors")
    assert code == 2 and message in error


def test_a_share_of_a_router_is_wrong_usage(weights_file, tmp_path, call):
    arguments = ("--router", weights_file, "--share", "0.5", "-o", tmp_path / "half.safetensors")
    code, _, error = call("combine", weights_file, *arguments)
    assert code == 2 and "a router is taken whole" in error and not (tmp_path / "half.safetensors").exists()


def test_combine_of_nothing_is_wrong_usage(weights_file, tmp_path, call):
    code, _, error = call("combine", weights_file, "-o", tmp_path / "all.safetensors")
    assert code == 2 and "nothing to take is named" in error and not (tmp_path / "all.safetensors").exists()


@pytest.mark.parametrize("text", ["rain", "=x.safetensors", "rain="])
def test_combine_asks_for_names_and_a_file(weights_file, tmp_path, text, call):
    path = tmp_path / "all.safetensors"
    code, _, error = call("combine", weights_file, "--experts", text, "-o", path)
    assert code == 2 and "is not NAMES=FILE" in error and not path.exists()


def test_convert_asks_for_a_router_where_none_was_published(tmp_path, call):
    code, _, error = call("convert", tmp_path / "ir.pth", "--setting", "5task", "-o", tmp_path / "x.safetensors")
    assert code == 2 and "no router of setting 5task was published" in error


def test_info_and_convert_of_the_authors_files(tmp_path, monkeypatch, call):
    shapes = Path(__file__).parents[1] / "fixtures" / "official"
    for name in ("ir", "router"):
        named = json.loads((shapes / f"{name}_shapes.json").read_text())
        state = {key: torch.rand(shape) for key, shape in named.items()}
        torch.save({"params": state} if name == "ir" else state, tmp_path / f"{name}.pth")
    network, router = (json.loads(call("info", tmp_path / f"{name}.pth", "--json")[1]) for name in ("ir", "router"))
    assert network["format"] == "authors' network" and network["description"]["network"]["experts"] == 3
    assert router["format"] == "authors' router" and router["description"]["router"]["classes"] == 3
    # Without a router, the published one of the setting is fetched; this one belongs to another network.
    asked = []
    monkeypatch.setattr(hub, "fetch", lambda *arguments: asked.append(arguments) or tmp_path / "router.pth")
    code, _, error = call("convert", tmp_path / "ir.pth", "-o", tmp_path / "x.safetensors")
    assert code == 1 and "wants a prior of 384 numbers" in error and not (tmp_path / "x.safetensors").exists()
    [(repository, revision, file)] = asked
    assert (repository, revision, file.name) == ("shallowdream204/LoRA-IR", "main", "setting1_router.pth")


@pytest.mark.parametrize("what", ["export", "combine"])
def test_a_missing_folder_is_said_before_the_work(call, tmp_path, what):
    own = tmp_path / "own.safetensors"
    own.write_bytes(b"no weights: it must not come to reading them")
    words = ["--mixture", "rain=1", "--weights", own] if what == "export" else [own, "--experts", f"rain={own}"]
    code, _, error = call(what, *words, "-o", tmp_path / "nowhere" / "out.safetensors")
    assert code == 2 and "nowhere: there is no such folder" in error.replace("\n", "")
