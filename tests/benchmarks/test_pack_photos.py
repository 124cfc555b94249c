"""A pack holds every photo of its folders, small enough and close to what it was."""

from pathlib import Path

import numpy as np
import pack_photos
import pytest
from gains import psnr
from PIL import Image

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.contact_sheet import sample_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name, pixels in sample_photos()[:2]:
        Image.fromarray(pixels[:160, :200]).save(tmp_path / "photos" / "deep" / f"{name}.png")
    return tmp_path / "photos"


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["pack_photos.py", *words])
    return pack_photos.main()


def test_every_photo_is_packed_within_the_size_and_close_to_what_it_was(photos, tmp_path, monkeypatch, capsys):
    pack = tmp_path / "pack"
    assert _run(monkeypatch, str(photos), "-o", str(pack), "--megabytes", "0.03") == 0
    before, after = CleanPhotos.find([photos]), CleanPhotos.find([pack])
    assert [p.relative_to(pack) for p in after.paths] == [
        Path("photos") / p.relative_to(photos).with_suffix(".avif") for p in before.paths
    ]
    assert sum(p.stat().st_size for p in after.paths) <= 0.03e6
    for i in range(len(before)):
        assert psnr(np.array(after.read(i)), np.array(before.read(i))) > 30
    assert "2 photos" in capsys.readouterr().out


def test_more_room_gives_a_higher_quality(photos):
    found = CleanPhotos.find([photos])
    assert pack_photos.highest_quality(found, 0.02) < pack_photos.highest_quality(found, 0.2)


def test_photos_that_cannot_fit_and_folders_that_are_there_are_refused(photos, tmp_path, monkeypatch, capsys):
    assert _run(monkeypatch, str(photos), "-o", str(tmp_path / "pack"), "--megabytes", "0.0001") == 1
    assert "do not fit" in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()
    assert _run(monkeypatch, str(photos), "-o", str(photos)) == 1


def test_photos_that_would_become_one_file_are_refused(photos, tmp_path, monkeypatch, capsys):
    name = next((photos / "deep").iterdir())
    Image.new("RGB", (64, 64)).save(name.with_suffix(".jpg"))
    assert _run(monkeypatch, str(photos), "-o", str(tmp_path / "pack")) == 1
    assert "ending" in capsys.readouterr().err
    assert _run(monkeypatch, str(photos), str(photos / "deep"), "-o", str(tmp_path / "pack")) == 1
    assert _run(monkeypatch, str(tmp_path / "nowhere"), "-o", str(tmp_path / "pack")) == 1
    assert "no such folder" in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()
