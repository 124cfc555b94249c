import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from lorair_cli.imaging import files
from lorair_cli.imaging.files import atomic_write, printable, remove_stale

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions, links and pipes as POSIX has them")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def test_writes_new_files_and_replaces_old_ones(tmp_path):
    path = tmp_path / "out.bin"
    write(path, b"one")
    write(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["out.bin"]


def test_the_file_is_not_there_before_the_end(tmp_path):
    path = tmp_path / "out.bin"
    with atomic_write(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        assert [p.parent for p in tmp_path.iterdir()] == [tmp_path]
    assert path.read_bytes() == b"half"


@pytest.mark.usefixtures("full_disk")
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out.bin"]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, real=real, name=name: (calls.append(name), real(*args))[1])
    write(tmp_path / "out.bin", b"new")
    assert calls[:2] == ["fsync", "replace"]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_new_files_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write(tmp_path / "out.bin", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.bin").stat().st_mode) == 0o666 & ~umask


@posix
def test_replaced_files_keep_their_permissions(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@posix
def test_links_are_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "real" / "out.bin")
    write(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real" / "out.bin").read_bytes() == b"new"
    assert names(tmp_path / "real") == ["out.bin"]


@posix
def test_devices_pipes_and_folders_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(OSError, match=r"is a folder|not a regular file"):
            write(path, b"new")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["pipe"]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "missing" / "out.bin", b"new")


@posix
def test_the_longest_name_a_file_system_takes(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    write(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_file_that_is_being_written_is_not_stale(tmp_path):
    (tmp_path / ".lorair-0123456789abcdef.tmp").write_bytes(b"of a process that was killed")
    (tmp_path / ".lorair-notes.txt").write_bytes(b"not ours")
    with atomic_write(tmp_path / "out.bin") as file:
        file.write(b"half")
        remove_stale(tmp_path)
    assert names(tmp_path) == [".lorair-notes.txt", "out.bin"] and (tmp_path / "out.bin").read_bytes() == b"half"
    remove_stale(tmp_path / "missing")


@posix
@pytest.mark.parametrize("may_replace", [True, False])
def test_nor_is_a_whole_file_before_it_has_its_name(tmp_path, monkeypatch, may_replace):
    real = files._publish
    monkeypatch.setattr(files, "_publish", lambda *how: (remove_stale(tmp_path), real(*how)))
    with atomic_write(tmp_path / "out.bin", replace=may_replace) as file:
        file.write(b"whole")
    assert names(tmp_path) == ["out.bin"] and (tmp_path / "out.bin").read_bytes() == b"whole"


@pytest.mark.parametrize("links", [True, False])
def test_of_two_writers_that_may_not_replace_the_first_one_stays(tmp_path, monkeypatch, links):
    path = tmp_path / "out.bin"
    if not links:
        refused = OSError(errno.EPERM, "Operation not permitted")
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(refused))
    with pytest.raises(FileExistsError), atomic_write(path, replace=False) as late:
        late.write(b"second")
        with atomic_write(path, replace=False) as early:
            early.write(b"first")
    assert names(tmp_path) == ["out.bin"] and path.read_bytes() == b"first"


@posix
def test_links_and_pipes_of_such_a_name_are_left_alone(tmp_path):
    (tmp_path / "theirs").write_bytes(b"x")
    (tmp_path / ".lorair-a.tmp").symlink_to(tmp_path / "theirs")
    os.mkfifo(tmp_path / ".lorair-b.tmp")
    remove_stale(tmp_path)
    assert names(tmp_path) == [".lorair-a.tmp", ".lorair-b.tmp", "theirs"]


@posix
def test_a_file_that_another_process_tidied_away_at_once_is_made_anew(tmp_path, monkeypatch):
    made = []
    real = os.open

    def overtaken(path, *rest):
        descriptor = real(path, *rest)
        if ".lorair-" in str(path) and not made:
            Path(path).unlink()
            made.append(path)
        return descriptor

    monkeypatch.setattr(os, "open", overtaken)
    write(tmp_path / "out.bin", b"new")
    assert made and names(tmp_path) == ["out.bin"] and (tmp_path / "out.bin").read_bytes() == b"new"


def test_printable_keeps_one_line():
    assert printable("Zürich 日本.png") == "Zürich 日本.png"
    assert printable("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\udcff"
