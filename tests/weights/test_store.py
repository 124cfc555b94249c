import os
from dataclasses import replace
from pathlib import Path

import pytest

from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.settings import SETTINGS
from lorair_cli.weights import integrity
from lorair_cli.weights import manifest as manifest_module
from lorair_cli.weights.checkpoint import load_checkpoint, save_checkpoint
from lorair_cli.weights.loading import load_weights
from lorair_cli.weights.manifest import Entry, Source, WeightFile, describe_file, read_manifest
from lorair_cli.weights.store import find_weights, locate


def entry(setting, scale, files, source=None):
    return Entry(
        setting=setting,
        scale=scale,
        format="lorair",
        source=source or Source("bundled"),
        files=tuple(files),
        licence="Apache-2.0",
        degradations=SETTINGS[setting].degradations,
        trained_on="nothing",
        paper="table 2, PSNR 32.42 dB",
    )


@pytest.fixture
def bundle(tmp_path, tiny_checkpoint):
    """A folder with one bundled file, and the manifest that lists it."""
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, tiny_checkpoint)
    return tmp_path, {"compact-3task": entry("3task", "compact", [describe_file(path)])}


def test_a_scale_that_is_none_is_wrong_usage():
    with pytest.raises(UsageError, match="no scale 'huge'"):
        locate("10task", "huge")


def test_a_bundled_checkpoint_is_found_and_loads(bundle, tiny_checkpoint):
    folder, manifest = bundle
    paths = locate("3task", "compact", manifest=manifest, bundled=folder)
    assert paths == [folder / "tiny.safetensors"]
    assert load_checkpoint(paths[0]).info == tiny_checkpoint.info


def test_several_files_keep_their_order(tmp_path):
    files = []
    for name in ("z.safetensors", "a.safetensors"):
        (tmp_path / name).write_bytes(name.encode())
        files.append(describe_file(tmp_path / name))
    manifest = {"compact-3task": entry("3task", "compact", files)}
    assert [p.name for p in locate("3task", "compact", manifest=manifest, bundled=tmp_path)] == [f.name for f in files]


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "html"])
def test_a_damaged_file_is_refused_by_name(bundle, damage):
    folder, manifest = bundle
    path = folder / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes({"flip": data, "cut": data[:-5], "grow": data + b"x", "html": b"<html></html>"}[damage])
    with pytest.raises(WeightsError, match=r"tiny\.safetensors: damaged") as error:
        locate("3task", "compact", manifest=manifest, bundled=folder)
    assert error.value.hint == "install lorair again" and "\n" not in str(error.value)


def test_a_file_damaged_after_the_first_look_is_seen(bundle):
    folder, manifest = bundle
    path = folder / "tiny.safetensors"
    locate("3task", "compact", manifest=manifest, bundled=folder)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match="damaged, wrong SHA-256"):
        locate("3task", "compact", manifest=manifest, bundled=folder)


def test_a_file_is_hashed_once(bundle, monkeypatch):
    folder, manifest = bundle
    calls = []
    monkeypatch.setattr(integrity, "describe_file", lambda path: calls.append(path) or describe_file(path))
    for _ in range(3):
        locate("3task", "compact", manifest=manifest, bundled=folder)
    assert len(calls) == 1


def test_a_missing_file_is_named(bundle):
    folder, manifest = bundle
    (folder / "tiny.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"tiny\.safetensors: cannot be read.*install lorair again"):
        locate("3task", "compact", manifest=manifest, bundled=folder)


def test_a_file_that_is_not_pinned_yet_is_said_so(tmp_path):
    manifest = {"compact-3task": entry("3task", "compact", [WeightFile("new.safetensors", "", 0)])}
    (tmp_path / "new.safetensors").write_bytes(b"anything")
    with pytest.raises(WeightsError, match=r"not in this build.*--weights FILE"):
        locate("3task", "compact", manifest=manifest, bundled=tmp_path)


@pytest.mark.parametrize("setting", sorted(SETTINGS.keys() - {"4task"}))
def test_paper_weights_of_the_other_settings_were_never_published(setting):
    with pytest.raises(WeightsError, match=f"paper weights of setting {setting} were never published") as error:
        locate(setting, "paper")
    assert "--scale compact" in error.value.hint
    assert f"lorair train --setting {setting} --scale paper" in error.value.hint


def test_the_way_on_names_what_there_is(bundle):
    folder, manifest = bundle
    with pytest.raises(WeightsError) as error:
        locate("3task", "paper", manifest=manifest, bundled=folder)
    assert error.value.hint.startswith("use `--scale compact`, or train them")
    with pytest.raises(WeightsError, match="compact weights of setting 5task are not part of this version") as error:
        locate("5task", "compact", manifest=manifest, bundled=folder)
    assert error.value.hint.startswith("use `--setting 3task --scale compact`, or train them")
    with pytest.raises(WeightsError) as error:
        locate("5task", "compact", manifest={}, bundled=folder)
    assert error.value.hint.startswith("train them")


def test_an_unknown_setting_is_a_usage_error():
    with pytest.raises(UsageError, match="no setting '6task'"):
        locate("6task", "compact")


def test_an_installed_package_carries_its_own_manifest(tmp_path, monkeypatch):
    package = tmp_path / "lorair_cli" / "weights"
    package.mkdir(parents=True)
    monkeypatch.setattr(manifest_module, "__file__", str(package / "manifest.py"))
    assert manifest_module.manifest_path() == tmp_path / "weights.toml"  # a source checkout
    (package / "weights.toml").write_text("")
    assert manifest_module.manifest_path() == package / "weights.toml"
    assert read_manifest() == {}


def test_bundled_files_of_the_manifest_are_here_once_they_are_pinned():
    for name, listed in read_manifest().items():
        if listed.source.kind == "bundled" and all(f.published for f in listed.files):
            info = load_weights(listed.setting, listed.scale).info
            assert (info.setting, info.scale, info.degradations) == (listed.setting, listed.scale, listed.degradations)
            assert replace(info, licence=listed.licence) == info, name


def test_a_name_is_a_setting_a_file_a_folder_or_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "odd").write_text("")
    assert find_weights("mine") == [Path("mine/model.safetensors")]
    assert find_weights("odd") == [Path("odd")]
    assert find_weights("a/none.safetensors") == [Path("a/none.safetensors")]  # the reader says that it is missing
    assert find_weights(Path("owner/name")) == [Path("owner/name")]  # a path is never a repository
    with pytest.raises(WeightsError, match="paper weights of setting 10task were never published"):
        find_weights("10task", "paper")
    for name in ("11task", "a/b/c"):
        with pytest.raises(UsageError, match="no setting, file or hub repository"):
            find_weights(name)
