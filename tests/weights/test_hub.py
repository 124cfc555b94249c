"""Downloads by the real client, over HTTP, from a hub that stands on this machine and can be told to misbehave."""

import json
import os
import shutil
import stat
from functools import partial
from pathlib import Path

import cv2
import pytest
import skimage.data
import torch

from lorair_cli.settings import SETTINGS
from lorair_cli.weights.authors import convert_authors
from lorair_cli.weights.checkpoint import load_checkpoint
from lorair_cli.weights.manifest import describe_file

REPOSITORY = "shallowdream204/LoRA-IR"
NETWORK = f"{REPOSITORY}/setting1_ir.pth"
ROUTER = f"{REPOSITORY}/setting1_router.pth"
FETCH = """
import sys
from pathlib import Path
from lorair_cli.cli.console import print_error
from lorair_cli.errors import LorairError
from lorair_cli.weights.manifest import WeightFile
from lorair_cli.weights.store import find_weights
from lorair_cli.weights.hub import fetch

try:
    if len(sys.argv) == 2:
        print(*find_weights(sys.argv[1]))
    else:
        repository, _, name = sys.argv[1].rpartition("/")
        print(fetch(repository, "main", WeightFile(name, sys.argv[2], int(sys.argv[3]))))
except LorairError as error:
    print_error(error)
    sys.exit(1)
"""


OPEN = """
import sys
from pathlib import Path
from lorair_cli.errors import WeightsError
from lorair_cli.settings import SETTINGS
from lorair_cli.weights.authors import convert_authors
from lorair_cli.weights.checkpoint import load_checkpoint
from lorair_cli.weights.inspection import inspect
from lorair_cli.weights.store import find_weights

evil, disguised, network = map(Path, sys.argv[1:])
for attempt in (
    lambda: load_checkpoint(*find_weights("me/evil")),
    lambda: load_checkpoint(disguised),
    lambda: inspect(evil),
    lambda: inspect(disguised),
    lambda: convert_authors(network, evil, SETTINGS["4task"]),
):
    try:
        attempt()
    except WeightsError as error:
        print(error)
"""
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if shutil.which("setpriv") else ()
"""Before a command: root then may read and write no more than the files' modes allow."""
CAN_BE_DENIED = hasattr(os, "geteuid") and (os.geteuid() != 0 or bool(UNPRIVILEGED))
if CAN_BE_DENIED and os.geteuid() != 0:
    UNPRIVILEGED = ()


class Canary:
    """Unpickled by an ordinary reader, this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def fails(process, *words):
    """One line that names the file and the reason, one with the remedy, and an exit code."""
    assert process.returncode == 1 and process.out == "", process.err
    error, hint = process.err.splitlines()
    assert error.startswith("Error: ") and hint.startswith("Hint: ") and len(hint) > 10
    for word in words:
        assert word in error, error
    return hint


def leftovers(cache):
    """Files of the cache that hold content, whole or in part."""
    return [p for p in cache.rglob("*") if p.is_file() and ("blobs" in p.parts or "snapshots" in p.parts)]


def test_the_authors_weights_are_downloaded_converted_and_used(hub, program, authors_files, tmp_path):
    photo = tmp_path / "cat.png"
    cv2.imwrite(str(photo), skimage.data.chelsea()[:40, :56, ::-1])
    restored = tmp_path / "restored.png"
    restore = ("restore", photo, "-o", restored, "--setting", "4task", "--scale", "paper", "--device", "cpu")
    first = program(*restore, HF_TOKEN="hf_secret")
    assert first.returncode == 0 and cv2.imread(str(restored)).shape == (40, 56, 3), first.err
    assert "%|" not in first.err  # no progress bar where there is no terminal
    assert {asked["Authorization"] for _, asked in hub.requests} == {"Bearer hf_secret"}

    [path] = program("weights", "path", "paper-4task").out.splitlines()
    assert Path(path).is_relative_to(tmp_path / "cache")
    converted = load_checkpoint(Path(path))
    assert (converted.info.setting, converted.info.scale, converted.info.licence) == ("4task", "paper", "Apache-2.0")
    sources = [written(tmp_path / name, content) for name, content in authors_files.items()]
    assert [f["sha256"] for f in converted.info.provenance["files"]] == [describe_file(s).sha256 for s in sources]
    expected = convert_authors(*sources, SETTINGS["4task"])
    for part in ("network", "router"):
        found, wanted = getattr(converted, part), getattr(expected, part)
        assert found.keys() == wanted.keys() and all(torch.equal(v, found[k]) for k, v in wanted.items())

    hub.requests.clear()
    assert program("weights", "download", "paper-4task", HF_HUB_OFFLINE="1").out == f"{path}\n"
    listed = [json.loads(line) for line in program("weights", "list", "--json").out.splitlines()]
    [entry] = [e for e in listed if e["name"] == "paper-4task"]
    assert entry["state"] == "here" and entry["total_bytes"] == Path(path).stat().st_size
    assert hub.requests == []  # what is here and good is used without asking

    content = Path(path).read_bytes()
    Path(path).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    verified = program("weights", "verify", "paper-4task")
    hint = fails(verified, path, "damaged, wrong SHA-256")
    assert "lorair weights download paper-4task" in hint
    assert program("weights", "download", "paper-4task").out.strip() == path
    assert Path(path).read_bytes() == content  # made anew, the same to the byte
    assert program("weights", "verify", "paper-4task").out == "paper-4task: ok\n"


def written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size, resumed", [(1 << 20, False), (12 << 20, True)])
def test_a_cut_connection_is_taken_up_again(hub, program, size, resumed):
    key = "me/mine/model.safetensors"
    hub.files[key] = bytes(i % 251 for i in range(4096)) * (size // 4096)
    hub.fault = "cut"
    process = program("me/mine", script=FETCH)
    assert process.returncode == 0, process.err
    assert Path(process.out.strip()).read_bytes() == hub.files[key]
    _, second = [asked for command, asked in hub.requests if command == "GET"]
    assert (second["Range"] is not None) == resumed  # the client writes in steps of 10 MB


@pytest.mark.parametrize(
    "fault, reason",
    [
        ("truncated", "arrived incomplete, the wrong size"),
        ("flipped", "arrived damaged, wrong SHA-256"),
        ("always cut", "cannot be downloaded"),
        ("html", "arrived incomplete, the wrong size"),
        ("wrong size", "arrived incomplete, the wrong size"),
        ("portal", "does not answer like a hub"),
        ("no sha256", "gives no SHA-256"),
        ("404 file", "no such file in the repository"),
        ("404 repository", "no such repository"),
        ("down", "cannot be downloaded"),
        ("offline", "not in the cache, and HF_HUB_OFFLINE is set"),
        ("no folder", "cannot be written"),
    ],
)
def test_each_failure_is_one_line_and_leaves_nothing(hub, program, tmp_path, fault, reason):
    environment = {}
    if fault == "404 file":
        del hub.files[NETWORK]
    elif fault == "404 repository":
        hub.files.clear()
    elif fault == "down":
        environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    elif fault == "offline":
        environment["HF_HUB_OFFLINE"] = "1"
    elif fault == "no folder":
        (tmp_path / "file").write_text("a cache cannot be made below a file")
        environment["HF_HOME"] = str(tmp_path / "file" / "cache")
    else:
        hub.fault = fault
    fails(program("weights", "download", "paper-4task", **environment), NETWORK, reason)
    assert leftovers(tmp_path / "cache") == []


def test_a_file_damaged_in_the_cache_is_replaced_or_refused(hub, program, authors_files):
    path = Path(program(NETWORK, "", "0", script=FETCH).out.strip())
    path.resolve().write_bytes(b"x" + authors_files["setting1_ir.pth"][1:])
    fails(program(NETWORK, "", "0", script=FETCH, HF_HUB_OFFLINE="1"), str(path), "is damaged", "HF_HUB_OFFLINE")
    assert program(NETWORK, "", "0", script=FETCH).returncode == 0
    assert path.read_bytes() == authors_files["setting1_ir.pth"]


def test_the_hubs_own_sha256_is_recorded_and_holds(hub, program, authors_files):
    path = program(NETWORK, "", "0", script=FETCH).out
    hub.files[NETWORK] = b"something else under the same name"
    assert program(NETWORK, "", "0", script=FETCH).out == path  # what was recorded is used on
    assert Path(path.strip()).read_bytes() == authors_files["setting1_ir.pth"]


def test_a_pin_refuses_another_file_and_needs_no_hub(hub, program, tmp_path):
    described = describe_file(written(tmp_path / "setting1_ir.pth", hub.files[NETWORK]))
    pin = described.sha256, str(described.bytes)
    hint = fails(program(ROUTER, *pin, script=FETCH), ROUTER, "another file than the one this version knows")
    assert "update lorair" in hint
    plain = "import sys, huggingface_hub as hub; print(hub.hf_hub_download(*sys.argv[1:]))"
    path = program(REPOSITORY, "setting1_ir.pth", script=plain).out  # as `hf download` leaves it in the cache
    assert program(NETWORK, *pin, script=FETCH, HF_HUB_OFFLINE="1").out == path


def test_two_processes_at_once(program, tmp_path):
    both = [program("weights", "download", "paper-4task", wait=False) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    load_checkpoint(Path(outputs[0][0].strip())).build_network()
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.suffix in (".tmp", ".incomplete")]


@pytest.mark.skipif(not CAN_BE_DENIED, reason="nothing is read-only for this user")
def test_a_cache_that_became_read_only_still_serves(program, tmp_path):
    program = partial(program, before=UNPRIVILEGED)
    path = program(NETWORK, "", "0", script=FETCH).out
    folders = [p for p in (tmp_path / "cache").rglob("*") if p.is_dir()]
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert program(NETWORK, "", "0", script=FETCH).out == path
        assert "HF_HOME" in fails(program(ROUTER, "", "0", script=FETCH), ROUTER, "cannot be written")
    finally:
        for folder in folders:
            folder.chmod(stat.S_IRWXU)


@pytest.mark.skipif(not CAN_BE_DENIED, reason="nothing is read-only for this user")
def test_a_conversion_that_cannot_be_kept_says_so(program, tmp_path):
    for key in (NETWORK, ROUTER):
        program(key, "", "0", script=FETCH)
    folder = tmp_path / "cache" / "assets" / "lorair" / "shallowdream204--LoRA-IR" / "main"
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        process = program("weights", "download", "paper-4task", before=UNPRIVILEGED)
        assert "HF_HOME" in fails(process, str(folder / "paper-4task.safetensors"), "cannot be written")
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_proxy_is_used(hub, program, authors_files):
    elsewhere = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.endpoint, "http_proxy": hub.endpoint}
    process = program(NETWORK, "", "0", script=FETCH, **elsewhere)
    assert process.returncode == 0, process.err
    assert Path(process.out.strip()).read_bytes() == authors_files["setting1_ir.pth"]


def test_a_name_the_hub_cannot_have_is_one_line(program):
    fails(program("me/a--b", script=FETCH), "me/a--b/model.safetensors", "no such names")


def test_somebodys_own_repository_is_followed(hub, program, weights_file):
    mine = "me/my-lorair"
    hub.files[f"{mine}/model.safetensors"] = weights_file.read_bytes()
    first = program(mine, script=FETCH)
    assert Path(first.out.strip()).read_bytes() == weights_file.read_bytes()
    hub.files[f"{mine}/model.safetensors"] = b"trained longer"
    second = program(mine, script=FETCH)
    assert Path(second.out.strip()).read_bytes() == b"trained longer"
    assert program(mine, script=FETCH, HF_HUB_OFFLINE="1").out == second.out  # the newest one seen


def test_what_another_program_has_put_into_the_cache_serves(hub, program, tmp_path):
    mine = "me/my-lorair"
    hub.files[f"{mine}/model.safetensors"] = b"trained long"
    fetched = Path(program(mine, script=FETCH).out.strip())
    (notes,) = (p for p in tmp_path.rglob("model.safetensors.json") if "assets" in p.parts)
    notes.unlink()
    refs = fetched.parents[2] / "refs"  # what a download by the name of a branch writes
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(hub.commit)
    again = program(mine, script=FETCH, HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and Path(again.out.strip()) == fetched
    fetched.resolve().write_bytes(b"trained lost")
    fails(program(mine, script=FETCH, HF_HUB_OFFLINE="1"), "model.safetensors", "damaged")


def test_code_in_a_downloaded_or_local_file_does_not_run(hub, program, authors_files, tmp_path):
    canary, evil = tmp_path / "canary", tmp_path / "evil.pth"
    torch.save({"params": {"intro.conv.weight": Canary(canary)}}, evil)
    good = tmp_path / "router.pth"
    good.write_bytes(authors_files["setting1_router.pth"])
    cv2.imwrite(str(tmp_path / "photo.png"), skimage.data.chelsea()[:40, :56])
    hub.files[NETWORK] = evil.read_bytes()
    out = tmp_path / "out.png"
    for arguments in (
        ("weights", "download", "paper-4task"),
        ("weights", "convert", evil, good, "-o", tmp_path / "out.safetensors"),
        ("restore", tmp_path / "photo.png", "-o", out, "--weights", evil),
    ):
        process = program(*arguments)
        assert process.returncode == 1 and process.err.startswith("Error: ") and ".pth" in process.err
        assert "Traceback" not in process.err and not canary.exists()
    assert not out.exists() and not (tmp_path / "out.safetensors").exists()
    disguised, network = tmp_path / "disguised.safetensors", tmp_path / "network.pth"
    disguised.write_bytes(evil.read_bytes())
    network.write_bytes(authors_files["setting1_ir.pth"])
    hub.files["me/evil/model.safetensors"] = evil.read_bytes()
    process = program(evil, disguised, network, script=OPEN)
    assert process.returncode == 0, process.err
    named = ["model.safetensors", "disguised.safetensors", "evil.pth", "disguised.safetensors", "evil.pth"]
    lines = process.out.splitlines()
    assert len(lines) == 5 and all(name in line for name, line in zip(named, lines, strict=True)), lines
    assert not canary.exists()
    torch.load(evil, weights_only=False)  # the trap itself works
    assert canary.exists()
