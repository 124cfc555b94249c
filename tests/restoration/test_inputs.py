import glob
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorair_cli.errors import UsageError
from lorair_cli.imaging.patterns import matching
from lorair_cli.restoration.inputs import Found, find_photos, read_list

NAMES = ("b.PNG", "a.jpg", "notes.txt", "._a.jpg", "in/c.webp", "in/deep/d.tif", ".hidden/e.png")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / "t" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "t" / name).write_bytes(b"x")
    (tmp_path / "t" / "in" / "back").symlink_to(tmp_path / "t")
    os.mkfifo(tmp_path / "t" / "pipe.png")
    return tmp_path / "t"


def names(found, tree):
    return [photo.path.relative_to(tree).as_posix() for photo in found]


def test_a_folder_stands_for_its_photos_in_order(tree):
    found = find_photos([str(tree)])
    assert names(found, tree) == ["a.jpg", "b.PNG"] and {photo.below for photo in found} == {Path()}


def test_recursion_keeps_the_tree_and_passes_by_links_and_hidden_things(tree):
    found = find_photos([str(tree)], recursive=True)
    assert names(found, tree) == ["a.jpg", "b.PNG", "in/c.webp", "in/deep/d.tif"]
    assert [photo.below for photo in found][2:] == [Path("in"), Path("in/deep")]


def test_the_folder_of_the_results_is_left_out(tree):
    assert len(find_photos([str(tree)], recursive=True, leave_out=tree / "in" / "deep")) == 3


def test_a_file_is_taken_whatever_its_suffix_even_if_missing(tree):
    assert find_photos([str(tree / "notes.txt"), "none.png"]) == [Found(tree / "notes.txt"), Found(Path("none.png"))]


def test_patterns_that_the_shell_left_alone(tree):
    assert names(find_photos([f"{tree}/*.jpg"]), tree) == ["a.jpg"]
    assert names(find_photos([f"{tree}/in/**/*.tif"]), tree) == ["in/deep/d.tif"]
    with pytest.raises(UsageError, match="nothing fits"):
        find_photos([f"{tree}/*.gif"])


def test_patterns_go_through_links_but_never_in_circles(tree, tmp_path):
    for number in range(3):  # all ways through these, 40 links long at most, would take years
        (tree / f"circle{number}").symlink_to(tree)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "f.tif").write_bytes(b"x")
    (tree / "in" / "linked").symlink_to(tmp_path / "else")
    found = find_photos([f"{tree}/**/*.tif"])
    assert sorted(names(found, tree)) == ["in/deep/d.tif", "in/linked/f.tif"]
    everything = names(find_photos([f"{tree}/in/**"]), tree)
    assert {"in/c.webp", "in/deep/d.tif", "in/linked/f.tif"} <= set(everything)


PATTERNS = ("**", "**/*", "**/*.tif", "in/**/d.tif", "*/**", "**/**/*.webp", "**/in/**/*.tif", "i**/*.webp", "*.jpg")


@given(st.sampled_from(PATTERNS))
def test_patterns_mean_what_they_mean_elsewhere(pattern):
    with TemporaryDirectory() as folder:
        for name in NAMES:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(b"x")
        for root, wanted in ((Path(folder), pattern), (None, f"{glob.escape(folder)}/{pattern}")):
            expected = glob.glob(wanted, root_dir=root, recursive=True)  # noqa: PTH207
            assert {Path(name) for name in matching(wanted, root)} == {Path(name) for name in expected}


def test_a_pattern_that_reaches_everywhere_does_not_mean_the_results(tree):
    pattern = f"{tree}/**/*.[wt]*"
    assert names(find_photos([pattern]), tree) == ["in/c.webp", "in/deep/d.tif", "notes.txt"]
    assert names(find_photos([pattern], leave_out=tree / "in" / "deep"), tree) == ["in/c.webp", "notes.txt"]
    inside = f"{tree}/in/deep/**/*.tif"
    assert names(find_photos([inside], leave_out=tree / "in"), tree) == ["in/deep/d.tif"], "asked for by name"


def test_what_was_named_is_told_from_what_was_found(tree):
    assert [photo.named for photo in find_photos([str(tree / "a.jpg")])] == [True]
    assert {photo.named for photo in find_photos([str(tree), f"{tree}/*.jpg"])} == {False}


@pytest.mark.parametrize("words", [[""], ["a.jpg", ""]])
def test_an_empty_name_is_refused(words):
    with pytest.raises(UsageError, match="an empty name is no photo"):
        find_photos(words)


def test_a_name_with_brackets_is_a_name_if_there_is_such_a_file(tree):
    (tree / "x[1].png").write_bytes(b"x")
    (tree / "x1.png").write_bytes(b"x")
    assert names(find_photos([str(tree / "x[1].png")]), tree) == ["x[1].png"]
    (tree / "x[1].png").unlink()
    assert names(find_photos([str(tree / "x[1].png")]), tree) == ["x1.png"]
    assert names(find_photos([tree / "x[1].png"]), tree) == ["x[1].png"], "from a list, names are no patterns"


def test_standard_input_goes_alone(tree):
    assert find_photos(["-"]) == [Found(None)]
    assert find_photos([Path("-")]) == [Found(Path("-"))]
    with pytest.raises(UsageError, match="no other"):
        find_photos(["-", str(tree)])


def test_nothing_to_do(tmp_path):
    with pytest.raises(UsageError, match="holds no photos"):
        find_photos([str(tmp_path)])
    with pytest.raises(UsageError, match="no photo given"):
        find_photos([])


@pytest.mark.parametrize(
    "data, names",
    [
        (b"a.jpg\nb c.png\n", ["a.jpg", "b c.png"]),
        (b"a.jpg\r\n\r\nb.png", ["a.jpg", "b.png"]),
        (b"a\nb.jpg\0c.png\0", ["a\nb.jpg", "c.png"]),
        ("ä.jpg\n".encode(), ["ä.jpg"]),
        (b"\xff.jpg\n", [os.fsdecode(b"\xff.jpg")]),
        (b"", []),
    ],
)
def test_lists_of_names(data, names):
    assert read_list(data) == [Path(name) for name in names]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_lists_that_windows_writes(encoding):
    assert read_list("a.jpg\r\nsub/ö.png\r\n".encode(encoding)) == [Path("a.jpg"), Path("sub/ö.png")]


def test_a_broken_list_in_utf_16_is_refused():
    with pytest.raises(UsageError, match="UTF-16"):
        read_list(b"\xff\xfea")


def test_what_looks_like_a_photo_and_is_passed_by_is_counted(tmp_path):
    for name in ("a.png", "b.gif", "c.GIF", "notes.txt", "d.psd"):
        (tmp_path / name).touch()
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    passed = Counter()
    assert [found.path.name for found in find_photos([tmp_path], passed_by=passed)] == ["a.png"]
    assert passed == {".gif": 2, ".psd": 1, "broken link": 1}


def test_a_closed_folder_below_is_a_photo_that_fails(tmp_path, monkeypatch):
    (tmp_path / "a.png").touch()
    closed = tmp_path / "lost+found"
    closed.mkdir()
    iterdir = Path.iterdir

    def guarded(folder):
        if folder == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", guarded)
    assert [found.path for found in find_photos([tmp_path], recursive=True)] == [tmp_path / "a.png", closed]
    with pytest.raises(UsageError, match="Permission denied"):
        find_photos([closed])
