from pathlib import Path

import pytest

from lorair_cli.errors import UsageError
from lorair_cli.restoration.inputs import Found, find_photos
from lorair_cli.restoration.plan import Job, plan_jobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    (photos / "inner").mkdir(parents=True)
    for name in ("b.PNG", "a.jpg", "notes.txt", "c.bmp", "inner/a.jpg"):
        (photos / name).write_bytes(b"x")
    return photos


def plan(words, output=None, recursive=False, **options):
    return plan_jobs(find_photos(words, recursive=recursive), None if output is None else str(output), **options)


def test_one_photo_to_one_file(folder, tmp_path):
    out = tmp_path / "new" / "out.png"
    assert plan([folder / "a.jpg"], out) == [Job(folder / "a.jpg", out)]


def test_folder_to_folder_keeps_names_and_suffixes(folder, tmp_path):
    jobs = plan([folder], tmp_path / "out")
    assert [j.target for j in jobs] == [tmp_path / "out" / n for n in ("a.jpg", "b.PNG", "c.bmp")]


def test_the_tree_is_kept(folder, tmp_path):
    targets = [j.target.relative_to(tmp_path / "out") for j in plan([folder], tmp_path / "out", recursive=True)]
    assert targets == [Path("a.jpg"), Path("b.PNG"), Path("c.bmp"), Path("inner/a.jpg")]


@pytest.mark.parametrize("output", ["out.d", "fresh.d/"])
def test_one_photo_into_a_folder(folder, tmp_path, output):
    (tmp_path / "out.d").mkdir()
    jobs = plan([folder / "a.jpg"], f"{tmp_path}/{output}")
    assert jobs[0].target == tmp_path / output / "a.jpg"


def test_without_output_beside_the_photo(folder):
    assert plan([folder / "a.jpg"])[0].target == folder / "a_restored.jpg"


def test_without_output_earlier_results_are_not_restored_again(folder):
    (folder / "a_restored.jpg").write_bytes(b"x")
    (folder / "a_restored_compare.jpg").write_bytes(b"x")
    jobs = plan([folder], existing="skip")
    assert [(j.source.name, j.skip) for j in jobs] == [("a.jpg", "exists already"), ("b.PNG", None), ("c.bmp", None)]
    assert [j.source.name for j in plan([f"{folder}/*.jpg"], existing="skip")] == ["a.jpg"]
    assert plan([folder / "a_restored.jpg"])[0].target.name == "a_restored_restored.jpg", "asked for by name"


@pytest.mark.parametrize(
    "format_, names",
    [("png", "a.png b.PNG c.png"), ("jpeg", "a.jpg b.jpg c.jpg"), ("tiff", "a.tif b.tif c.tif")],
)
def test_the_format_decides_the_suffix(folder, tmp_path, format_, names):
    assert [j.target.name for j in plan([folder], tmp_path / "out", format_=format_)] == names.split()


def test_formats_that_are_none_or_contradict_the_name(folder, tmp_path):
    with pytest.raises(UsageError, match="no format 'gif'"):
        plan([folder], tmp_path / "out", format_="gif")
    with pytest.raises(UsageError, match="no name for a file of format png"):
        plan([folder / "a.jpg"], tmp_path / "out.jpg", format_="png")
    assert plan([folder / "a.jpg"], tmp_path / "out.jpeg", format_="jpg")[0].target.name == "out.jpeg"


def test_collisions_are_refused_before_work(folder, tmp_path):
    with pytest.raises(UsageError, match="would both become"):
        plan([folder / "a.jpg", folder / "inner" / "a.jpg"], tmp_path / "out", existing="replace")
    (folder / "a.bmp").write_bytes(b"x")
    with pytest.raises(UsageError, match="would both become"):
        plan([folder], tmp_path / "out", format_="png")


def test_a_side_by_side_picture_is_an_output_too(folder, tmp_path):
    (folder / "a_compare.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"would both become .*a_compare\.jpg"):
        plan([folder], tmp_path / "out", compare=True)
    jobs = plan([folder / "a.jpg"], tmp_path / "out", compare=True)
    assert jobs[0].outputs == (tmp_path / "out" / "a.jpg", tmp_path / "out" / "a_compare.jpg")


def test_the_same_photo_twice_is_one_job(folder, tmp_path):
    assert len(plan([folder, folder / "a.jpg"], tmp_path / "out")) == 3
    again = folder / "b" / ".." / "a.jpg"
    assert plan([folder / "a.jpg", again], tmp_path / "out.jpg") == [Job(folder / "a.jpg", tmp_path / "out.jpg")]
    names = [job.source.name for job in plan([folder / "c.tif", folder / "a.jpg", folder / "c.tif"], tmp_path / "out")]
    assert names == ["c.tif", "a.jpg"]


def test_the_page_is_an_output_too(folder, tmp_path):
    page, out = tmp_path / "page.html", tmp_path / "out.png"
    assert plan([folder / "a.jpg"], out, page=page) == [Job(folder / "a.jpg", out)]
    with pytest.raises(UsageError, match="is an input"):
        plan([folder / "a.jpg"], out, page=folder / "a.jpg", existing="replace")
    with pytest.raises(UsageError, match="and the page would both become"):
        plan([folder / "a.jpg"], out, page=out)
    for target, wrong in ((out, out / "page.html"), (tmp_path / "x" / "out.png", tmp_path / "x")):
        with pytest.raises(UsageError, match="would be a file and a folder at once"):
            plan([folder / "a.jpg"], target, page=wrong)
    page.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"page\.html exists already") as caught:
        plan([folder / "a.jpg"], out, page=page)
    assert "--overwrite" in caught.value.hint
    with pytest.raises(UsageError, match=r"page\.html exists already") as caught:
        plan([folder / "a.jpg"], out, page=page, existing="skip")
    assert "--overwrite" not in caught.value.hint
    assert plan([folder / "a.jpg"], out, page=page, existing="replace") == [Job(folder / "a.jpg", out)]


def test_an_empty_output_is_refused(folder):
    with pytest.raises(UsageError, match="an empty name"):
        plan([folder / "a.jpg"], "")


def test_what_cannot_be_looked_at_is_left_to_its_own_photo(folder, monkeypatch):
    def closed(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)  # as pathlib asks a folder that is closed
    long = folder / ("b" * 252 + ".png")
    assert plan([folder / "a.jpg", long], compare=True)[1].source == long


@pytest.mark.parametrize("existing", ["refuse", "skip", "replace"])
def test_an_input_is_never_an_output(folder, existing):
    with pytest.raises(UsageError, match="is an input"):
        plan([folder / "a.jpg"], folder / "a.jpg", existing=existing)
    with pytest.raises(UsageError, match="is an input"):
        plan([folder], folder, existing=existing)
    (folder / "link.jpg").symlink_to(folder / "a.jpg")
    with pytest.raises(UsageError, match="is an input"):
        plan([folder / "a.jpg"], folder / "link.jpg", existing=existing)


def test_existing_results_are_refused_skipped_or_replaced(folder, tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already"):
        plan([folder / "a.jpg"], out)
    assert plan([folder / "a.jpg"], out, existing="replace") == [Job(folder / "a.jpg", out)]
    assert plan([folder / "a.jpg"], out, existing="skip")[0].skip == "exists already"


def test_a_comparison_without_its_result_is_kept_where_results_are(folder, tmp_path):
    (tmp_path / "out_compare.png").write_bytes(b"old")
    out = tmp_path / "out.png"
    with pytest.raises(UsageError, match=r"out_compare\.png exists already"):
        plan([folder / "a.jpg"], out, compare=True)
    [job] = plan([folder / "a.jpg"], out, existing="skip", compare=True)
    assert job.outputs == (out,) and "out_compare.png exists already and is left as it is" in job.note
    out.write_bytes(b"old")
    assert plan([folder / "a.jpg"], out, existing="skip", compare=True)[0].skip == "exists already"
    (tmp_path / "out_compare.png").unlink()
    assert "without a comparison" in plan([folder / "a.jpg"], out, existing="skip", compare=True)[0].skip


def test_unwritable_suffix(folder, tmp_path):
    with pytest.raises(UsageError, match=r"cannot write \.gif"):
        plan([folder / "a.jpg"], tmp_path / "out.gif")


def test_several_photos_into_a_file_or_a_pipe(folder, tmp_path):
    (tmp_path / "out.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="is a file"):
        plan([folder], tmp_path / "out.png")
    with pytest.raises(UsageError, match="standard output"):
        plan([folder], "-")


def test_one_photo_into_a_file_that_says_no_format(folder, tmp_path):
    (tmp_path / "out").write_bytes(b"x")
    with pytest.raises(UsageError, match="its name says no format"):
        plan([folder / "a.jpg"], tmp_path / "out")


def test_pipes(tmp_path):
    assert plan_jobs([Found(None)], None) == plan_jobs([Found(None)], "-") == [Job(None, None)]
    assert plan_jobs([Found(None)], str(tmp_path / "a.png")) == [Job(None, tmp_path / "a.png")]
    assert plan_jobs([Found(tmp_path / "a.png")], "-") == [Job(tmp_path / "a.png", None)]
    with pytest.raises(UsageError, match="has no name"):
        plan_jobs([Found(None)], str(tmp_path))
    with pytest.raises(UsageError, match="--compare"):
        plan_jobs([Found(None)], None, compare=True)


def test_the_name_of_a_picture_is_no_folder_for_several(tmp_path):
    photos = [Found(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    with pytest.raises(UsageError, match="the name of one picture"):
        plan_jobs(photos, str(tmp_path / "both.png"))
    assert plan_jobs(photos, f"{tmp_path}/both.png/")[0].target == tmp_path / "both.png" / "a.jpg"
