"""``lorair restore`` and ``classify``: files, folders, pipes and lists in, and what is printed about them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from lorair_cli.restoration.restorer import Restorer
from lorair_cli.weights.checkpoint import save_checkpoint

CAT = np.ascontiguousarray(skimage.data.chelsea()[:80, :96])


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(CAT).save(path)
    return path


@pytest.fixture
def tree(tmp_path):
    """Three photos in two folders."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.jpg", "deep/a.png")):
        Image.fromarray(CAT[index : index + 40, :48]).save(tmp_path / "in" / name)
    return tmp_path / "in"


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_one_photo(lorair, photo, tmp_path):
    out = tmp_path / "out.jpg"
    called = lorair("restore", photo, "-o", out)
    assert called.code == 0 and cv2.imread(str(out)).shape == (80, 96, 3)
    assert "experts:" in called.stdout and f"wrote {out} (96x80" in called.stdout


def test_a_folder_with_a_bad_file_as_json(lorair, photo, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    called = lorair("restore", tmp_path, "-o", tmp_path / "out", "--json")
    broken, cat = called.rows
    assert called.code == 1 and "broken.png" in called.stderr and "1 of 2 photos failed" in called.stderr
    assert broken["status"] == "failed" and broken["output"] is None and "broken.png" in broken["error"]
    assert cat["status"] == "ok" and sum(cat["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert cat["experts"].keys() <= cat["probabilities"].keys() and sum(cat["experts"].values()) == pytest.approx(1)
    assert files_below(tmp_path / "out") == ["cat.png"]


def test_a_tree_is_kept(lorair, tree, tmp_path):
    assert lorair("restore", tree, "-r", "-o", tmp_path / "out").code == 0
    assert files_below(tmp_path / "out") == ["a.png", "b.jpg", "deep/a.png"]
    assert cv2.imread(str(tmp_path / "out" / "deep" / "a.png")).shape == (40, 48, 3)


def test_results_inside_the_folder_are_not_restored_again(lorair, tree):
    for _ in range(2):
        assert lorair("restore", tree, "-r", "-o", tree / "out", "--overwrite").code == 0
    assert files_below(tree / "out") == ["a.png", "b.jpg", "deep/a.png"]


def test_photos_named_like_results_are_passed_by_aloud(lorair, tree):
    (tree / "a.png").rename(tree / "grandma_restored.png")
    called = lorair("restore", tree, "--dry-run")
    assert "grandma_restored.png" in called.stderr and "grandma" not in called.stdout


def test_patterns_that_no_shell_expanded(lorair, tree, tmp_path):
    called = lorair("restore", f"{tree}/*.png", "-o", tmp_path / "out", "--json")
    assert called.code == 0 and [row["input"] for row in called.rows] == [str(tree / "a.png")]


def test_a_list_from_standard_input(lorair, tree, tmp_path):
    listed = b"\0".join(os.fsencode(tree / name) for name in ("b.jpg", "deep/a.png"))
    called = lorair("restore", "--from-file", "-", "-o", tmp_path / "out", "--json", stdin=listed)
    assert called.code == 0 and files_below(tmp_path / "out") == ["a.png", "b.jpg"]
    (tmp_path / "list.txt").write_text(f"{tree / 'a.png'}\n")
    assert lorair("classify", "--from-file", tmp_path / "list.txt", "--csv").stdout.count("a.png") == 1
    assert lorair("restore", "--from-file", tmp_path / "none.txt").code == 2
    assert lorair("restore", "-", "--from-file", "-").code == 2


def test_pipe_in_and_out(lorair, photo, tmp_path):
    lorair("restore", photo, "-o", tmp_path / "out.png")
    called = lorair("restore", "-", stdin=photo.read_bytes())
    assert called.code == 0 and called.raw == (tmp_path / "out.png").read_bytes()
    assert "experts:" in called.stderr
    as_jpeg = lorair("restore", photo, "-o", "-", "--format", "jpeg")
    assert as_jpeg.code == 0 and as_jpeg.raw[:3] == b"\xff\xd8\xff"
    assert lorair("restore", "-", "-o", tmp_path / "x.png", stdin=b"not a photo").code == 1
    assert lorair("restore", "-", "--json", stdin=photo.read_bytes()).code == 2
    assert lorair("classify", "-", "--csv", stdin=photo.read_bytes()).stdout.count("-,0.") == 1


def test_existing_results(lorair, photo, tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    assert lorair("restore", photo, "-o", out).code == 2 and out.read_bytes() == b"old"
    called = lorair("restore", photo, "-o", out, "--skip-existing", "--json")
    assert called.code == 0 and out.read_bytes() == b"old"
    assert called.rows[0]["status"] == "skipped" and "exists already" in called.rows[0]["reason"]
    assert lorair("restore", photo, "-o", out, "--overwrite", "--skip-existing").code == 2
    assert lorair("restore", photo, "-o", out, "--overwrite").code == 0 and out.read_bytes() != b"old"


def test_collisions_are_refused_before_any_work(lorair, tree, tmp_path):
    called = lorair("restore", tree / "a.png", tree / "deep" / "a.png", "-o", tmp_path / "out")
    assert called.code == 2 and "would both become" in called.stderr and not (tmp_path / "out").exists()


def test_dry_run(lorair, tree, tmp_path, monkeypatch):
    monkeypatch.setattr(Restorer, "from_pretrained", lambda *_, **__: pytest.fail("nothing is to be loaded"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"old")
    called = lorair("restore", tree, "-o", tmp_path / "out", "--dry-run", "--skip-existing")
    assert called.code == 0 and files_below(tmp_path / "out") == ["a.png"]
    skipped, planned = called.stdout.splitlines()
    assert skipped.endswith("a.png (skipped, exists already)")
    assert planned == f"{tree / 'b.jpg'} -> {tmp_path / 'out' / 'b.jpg'}"
    rows = lorair("restore", tree, "-o", tmp_path / "new", "--dry-run", "--json").rows
    assert [row["status"] for row in rows] == ["planned", "planned"]
    page = tmp_path / "page.html"
    called = lorair("restore", tree / "a.png", "-o", tmp_path / "new", "--dry-run", "--compare", "--report", page)
    assert called.stdout.strip().endswith(f"a.png, {tmp_path / 'new' / 'a_compare.png'}") and str(page) in called.stderr


def test_a_dry_run_fails_as_the_real_one_would_where_that_costs_nothing(lorair, script, tree, tmp_path):
    arguments = ("restore", tree / "a.png", tree / "nothere.png", "-o", tmp_path / "new", "--json")
    dry, real = lorair(*arguments, "--dry-run"), lorair(*arguments)
    assert dry.code == real.code == 1 and [row["status"] for row in dry.rows] == ["planned", "failed"]
    assert {name: dry.rows[1][name] for name in real.rows[1]} == real.rows[1]
    called = script("restore", tree / "a.png", "-o", tmp_path / "x.png", "--expert", "fog=1", "--dry-run")
    assert called.code == 2 and "there is no expert 'fog'" in called.stderr
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a_compare.png").write_bytes((tree / "a.png").read_bytes())
    kept = ("-o", tmp_path / "kept", "--compare", "--skip-existing", "--dry-run", "--json")
    row = lorair("restore", tree / "a.png", *kept).rows[0]
    assert row["status"] == "planned" and "a_compare.png exists already" in row["notes"][0]


def test_formats(lorair, tree, tmp_path):
    assert lorair("restore", tree, "-o", tmp_path / "out", "--format", "webp").code == 0
    assert files_below(tmp_path / "out") == ["a.webp", "b.webp"]
    assert (tmp_path / "out" / "a.webp").read_bytes()[8:12] == b"WEBP"


def test_sixty_photos_five_of_them_bad(lorair, tmp_path):
    (tmp_path / "in").mkdir()
    bad = {f"{index:02}.png" for index in (0, 7, 31, 32, 59)}
    for index in range(60):
        path = tmp_path / "in" / f"{index:02}.png"
        Image.fromarray(CAT[index % 40 : index % 40 + 16, :16]).save(path)
        if path.name in bad:
            path.write_bytes(path.read_bytes()[: 10 + index])
    called = lorair("restore", tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert called.code == 1 and len(files_below(tmp_path / "out")) == 55
    rows = called.rows
    assert [Path(row["input"]).name for row in rows] == [f"{index:02}.png" for index in range(60)]
    assert {Path(row["input"]).name for row in rows if row["status"] == "failed"} == bad
    summary = called.stderr[called.stderr.index("55 restored") :]
    assert "5 failed in" in summary and "5 of 60 photos failed" in summary
    assert all(summary.count(name) == 1 for name in bad), "named once more at the end"


def test_alone_or_in_a_batch_the_pixels_are_the_same(lorair, tree, tmp_path):
    lorair("restore", tree, "-r", "-o", tmp_path / "all")
    lorair("restore", tree / "deep" / "a.png", "-o", tmp_path / "one.png")
    assert (tmp_path / "all" / "deep" / "a.png").read_bytes() == (tmp_path / "one.png").read_bytes()


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--top-k", "9"], 2, "top-k 9"),
        (["--precision", "int8"], 2, "no precision 'int8'"),
        (["--expert", "fog=1"], 2, "no expert 'fog'"),
        (["--expert", "haze=much"], 2, "'haze=much'"),
        (["--format", "gif"], 2, "no format 'gif'"),
    ],
)
def test_one_line_errors(lorair, photo, tmp_path, arguments, code, message):
    called = lorair("restore", photo, "-o", tmp_path / "out.png", *arguments)
    assert called.code == code and message in called.stderr and called.stdout == ""
    error, *hint = called.stderr.splitlines()
    assert error.startswith("Error: ") and all(line.startswith("Hint: ") for line in hint) and len(hint) <= 1
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["--device", "cuda:99"], 1, "CUDA"),
        (["--setting", "11task"], 2, "'11task'"),
        (["--weights", "nowhere.safetensors"], 1, "nowhere.safetensors"),
    ],
)
def test_what_is_not_there_is_named(script, photo, weights_file, tmp_path, arguments, code, message):
    if arguments[0] == "--device":
        arguments = [*arguments, "--weights", weights_file]
    called = script("restore", photo, "-o", tmp_path / "out.png", *arguments)
    assert called.code == code and message in called.stderr and not (tmp_path / "out.png").exists()


def test_classify_bars_json_and_csv(lorair, photo):
    called = lorair("classify", photo)
    assert called.code == 0 and called.stdout.count("%") == 3
    called = lorair("classify", photo, photo, "--json")
    first, second = called.rows
    assert called.code == 0 and first == second and set(first["probabilities"]) == {"rain", "haze", "noise"}
    called = lorair("classify", photo, "--csv")
    header, row = called.stdout.splitlines()
    assert header == "photo,rain,haze,noise"
    assert np.allclose([float(v) for v in row.split(",")[1:]], list(first["probabilities"].values()), atol=1e-6)


def test_classify_goes_on_after_a_bad_file(lorair, photo, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    called = lorair("classify", tmp_path / "a.png", photo, "--csv")
    assert called.code == 1 and "a.png" in called.stderr and len(called.stdout.splitlines()) == 2


def test_classify_formats_exclude_each_other(lorair, photo):
    assert lorair("classify", photo, "--json", "--csv").code == 2


def test_json_parses_for_every_photo_name(lorair, tmp_path):
    name = 'we"ird\n\x1b[2J é.png'
    Image.fromarray(CAT[:16, :16]).save(tmp_path / name)
    called = lorair("restore", tmp_path / name, "-o", tmp_path / "out", "--json")
    assert called.code == 0 and json.loads(called.stdout)["output"].endswith(name)
    assert "\x1b" not in lorair("restore", tmp_path / name, "-o", tmp_path / "o2").stdout


def test_a_router_alone_classifies_and_says_that_it_cannot_restore(script, checkpoint, photo, tmp_path):
    """What the first stage of training leaves, and what `lorair train` then proposes to do with it."""
    alone = tmp_path / "router.safetensors"
    save_checkpoint(alone, replace(checkpoint, network={}))
    called = script("classify", photo, "--weights", alone, "--device", "cpu", "--json")
    assert called.code == 0 and sum(called.rows[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    called = script("restore", photo, "-o", tmp_path / "out.png", "--weights", alone, "--device", "cpu")
    assert called.code == 1 and called.stderr.splitlines()[-2].startswith("Error: these weights are a router alone")


def test_a_result_that_came_meanwhile_makes_a_photo_one_to_skip(lorair, tree, tmp_path, monkeypatch):
    """Two runs may share a folder: what the other has done is no failure, and not done again."""
    restored, restore = [], Restorer.restore

    def meanwhile(self, photo, *how, **more):
        restored.append(photo)
        for name in ("a.png", "b.jpg"):
            (tmp_path / "out").mkdir(exist_ok=True)
            (tmp_path / "out" / name).write_bytes(b"the other's")
        return restore(self, photo, *how, **more)

    monkeypatch.setattr(Restorer, "restore", meanwhile)
    called = lorair("restore", tree, "-o", tmp_path / "out", "--skip-existing", "--json")
    assert called.code == 0 and [row["status"] for row in called.rows] == ["skipped", "skipped"]
    assert (tmp_path / "out" / "a.png").read_bytes() == b"the other's"


def test_a_sidecar_is_told_of(lorair, photo, tmp_path):
    photo.with_suffix(".xmp").write_text("<x:xmpmeta/>")
    notes = lorair("restore", photo, "-o", tmp_path / "out.png", "--json").rows[0]["notes"]
    assert notes == [f"{photo.stem}.xmp, its sidecar, is left where it is and not read"]


def test_a_setting_that_is_none_is_refused_even_beside_weights(lorair, photo, tmp_path):
    for command in (["restore", photo, "-o", tmp_path / "o.png"], ["classify", photo], ["doctor"]):
        assert "no setting" in lorair(*command, "--setting", "nosuch").stderr
