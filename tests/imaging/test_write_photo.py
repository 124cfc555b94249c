"""A photo becomes a file, whole or not at all."""

from pathlib import Path

import pytest
from imaging.encode_samples import photo

from lorair_cli.errors import ImageError
from lorair_cli.imaging.decode import read_photo
from lorair_cli.imaging.encode import format_for, write_photo
from lorair_cli.imaging.photo import Metadata


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "tif", "tiff", "bmp"])
def test_the_suffix_names_the_format(tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    write_photo(photo(metadata=Metadata()), path)
    assert read_photo(path).format == format_for(path)
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["out", "out.gif", "out.png.exe"])
def test_unknown_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ImageError, match="cannot write this format"):
        write_photo(photo(), tmp_path / name)
    assert names(tmp_path) == []


def test_the_format_can_be_said(tmp_path):
    write_photo(photo(), tmp_path / "out", format_="PNG")
    assert read_photo(tmp_path / "out").format == "PNG"


@pytest.mark.usefixtures("full_disk")
def test_a_failing_disk_is_one_line_and_leaves_the_old_photo(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    with pytest.raises(ImageError, match=r"out\.png: cannot be written: No space left"):
        write_photo(photo(), path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out.png"]


def test_a_photo_the_format_cannot_hold_leaves_the_old_one(tmp_path):
    path = tmp_path / "out.jpg"
    path.write_bytes(b"old")
    with pytest.raises(ImageError, match=r"out\.jpg: JPEG has no transparency"):
        write_photo(photo(alpha=True), path)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("where", ["missing/out.png", "folder.png"])
def test_places_that_cannot_be_written(tmp_path, where):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="cannot be written"):
        write_photo(photo(), tmp_path / where)
    assert names(tmp_path) == ["folder.png"]
