from pathlib import Path

import pytest

from lorair_cli.errors import UsageError
from lorair_cli.restoration.plan import Job, find_photos, plan_jobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("b.PNG", "a.jpg", "notes.txt", "c.bmp"):
        (photos / name).write_bytes(b"x")
    (photos / "inner").mkdir()
    return photos


def test_a_folder_stands_for_its_photos_in_order(folder):
    assert [p.name for p in find_photos([folder])] == ["a.jpg", "b.PNG", "c.bmp"]


def test_a_file_is_taken_whatever_its_suffix(folder):
    assert find_photos([folder / "notes.txt"]) == [folder / "notes.txt"]


def test_one_photo_to_one_file(folder, tmp_path):
    out = tmp_path / "new" / "out.png"
    assert plan_jobs([folder / "a.jpg"], out, overwrite=False) == [Job(folder / "a.jpg", out)]


def test_folder_to_folder_keeps_names_and_suffixes(folder, tmp_path):
    jobs = plan_jobs([folder], tmp_path / "out", overwrite=False)
    assert [j.target for j in jobs] == [tmp_path / "out" / n for n in ("a.jpg", "b.PNG", "c.bmp")]


def test_one_photo_into_an_existing_folder(folder, tmp_path):
    (tmp_path / "out.d").mkdir()
    assert plan_jobs([folder / "a.jpg"], tmp_path / "out.d", overwrite=False)[0].target == tmp_path / "out.d" / "a.jpg"


def test_without_output_beside_the_photo(folder):
    assert plan_jobs([folder / "a.jpg"], None, overwrite=False)[0].target == folder / "a_restored.jpg"


def test_collisions_are_refused_before_work(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="would both become"):
        plan_jobs([folder, other], tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_an_output(folder, overwrite):
    with pytest.raises(UsageError, match="is an input"):
        plan_jobs([folder / "a.jpg"], folder / "a.jpg", overwrite=overwrite)
    with pytest.raises(UsageError, match="is an input"):
        plan_jobs([folder], folder, overwrite=overwrite)


def test_existing_results_need_overwrite(folder, tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already"):
        plan_jobs([folder / "a.jpg"], out, overwrite=False)
    assert plan_jobs([folder / "a.jpg"], out, overwrite=True)[0].target == out


def test_unwritable_suffix(folder, tmp_path):
    with pytest.raises(UsageError, match=r"cannot write \.gif"):
        plan_jobs([folder / "a.jpg"], tmp_path / "out.gif", overwrite=False)


def test_several_photos_into_a_file(folder, tmp_path):
    (tmp_path / "out.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="is a file"):
        plan_jobs([folder], tmp_path / "out.png", overwrite=False)


def test_an_empty_folder_and_nothing(tmp_path):
    with pytest.raises(UsageError, match="holds no photos"):
        find_photos([tmp_path])
    with pytest.raises(UsageError, match="no photo given"):
        find_photos([])
