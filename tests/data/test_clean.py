import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from lorair_cli.data import clean as module
from lorair_cli.data.clean import CleanPhotos
from lorair_cli.errors import TrainingError


def save(path, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((4, 4, 3), 9, np.uint8) if pixels is None else pixels
    assert cv2.imwrite(str(path), pixels if pixels.ndim == 2 else pixels[..., ::-1])


def names(photos, folder):
    return [path.relative_to(folder).as_posix() for path in photos.paths]


def test_photos_below_a_folder_are_found_in_the_order_of_their_names(tmp_path):
    for name in ("b/2.png", "a.jpg", "b/1.PNG", "c.webp"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a photo")
    assert names(CleanPhotos.find([tmp_path]), tmp_path) == ["a.jpg", "b/1.PNG", "b/2.png", "c.webp"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    for name in (".thumbnails/a.png", "._b.png", "b.png"):
        save(tmp_path / name)
    assert names(CleanPhotos.find([tmp_path]), tmp_path) == ["b.png"]


def test_the_order_does_not_depend_on_where_the_folder_lies(tmp_path):
    for place in ("x", ".hidden/y"):
        for name in ("b.png", "a-b/c.png", "a/d.png"):
            save(tmp_path / place / name)
    one, other = (CleanPhotos.find([tmp_path / place]) for place in ("x", ".hidden/y"))
    assert names(one, tmp_path / "x") == names(other, tmp_path / ".hidden/y")


def test_folders_keep_their_order_and_a_photo_comes_once(tmp_path):
    for name in ("z/1.png", "a/2.png"):
        save(tmp_path / name)
    found = CleanPhotos.find([tmp_path / "z", tmp_path / "a", tmp_path / "z"])
    assert names(found, tmp_path) == ["z/1.png", "a/2.png"]


def test_a_missing_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(TrainingError, match="nowhere: no such folder"):
        CleanPhotos.find([tmp_path / "nowhere"])
    with pytest.raises(TrainingError, match="holds no photos"):
        CleanPhotos.find([tmp_path])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_reading_gives_rgb(tmp_path, suffix):
    save(tmp_path / f"p{suffix}", np.full((8, 16, 3), (200, 100, 50), np.uint8))
    photo = CleanPhotos.find([tmp_path]).read(0)
    assert photo.shape == (8, 16, 3) and photo.dtype == np.uint8
    np.testing.assert_allclose(photo.mean((0, 1)), (200, 100, 50), atol=2)


def test_sixteen_bits_and_grey_become_eight_bit_rgb(tmp_path):
    save(tmp_path / "deep.png", np.full((4, 4, 3), 257 * 77, np.uint16))
    save(tmp_path / "grey.png", np.full((4, 4), 88, np.uint8))
    photos = CleanPhotos.find([tmp_path])
    assert (photos.read(0) == 77).all() and (photos.read(1) == 88).all()
    assert photos.read(1).shape == (4, 4, 3)


def truncated(path):
    save(path, skimage.data.astronaut())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_a_photo(path):
    path.write_text("<html>Not found</html>")


def empty(path):
    path.touch()


def gone(path):
    pass


@pytest.mark.parametrize("make", [truncated, not_a_photo, empty, gone])
def test_an_unreadable_photo_is_one_line_that_names_it(tmp_path, make):
    path = tmp_path / "broken.jpg"
    make(path)
    with pytest.raises(TrainingError) as caught:
        CleanPhotos((path,)).read(0)
    assert str(path) in caught.value.message and "\n" not in str(caught.value) and caught.value.hint


@given(count=st.integers(1, 40), most=st.integers(1, 50))
def test_a_spread_is_of_different_photos_in_order(count, most):
    photos = CleanPhotos(tuple(range(count)))  # type: ignore[arg-type]
    spread = photos.spread(most)
    assert len(spread) == min(count, most) and list(spread.paths) == sorted(set(spread.paths))
    gaps = np.diff((*spread.paths, count))
    assert spread.paths[0] == 0 and gaps.max() - gaps.min() <= 1


def test_decoded_photos_are_kept_as_far_as_memory_is_given(tmp_path):
    for name in "abc":
        save(tmp_path / f"{name}.png", np.full((8, 8, 3), ord(name), np.uint8))
    found = CleanPhotos.find([tmp_path])
    photos = CleanPhotos(found.paths, memory=2 * 8 * 8 * 3)
    for index in range(3):
        assert (photos.read(index) == ord("abc"[index])).all()
    with pytest.raises(ValueError, match="read-only"):
        photos.read(0)[0] = 0  # one sample must not change the next
    for path in found.paths:
        path.unlink()
    assert (photos.read(0) == ord("a")).all() and (photos.read(1) == ord("b")).all()
    with pytest.raises(TrainingError):
        photos.read(2)


def test_a_cache_keeps_decoded_copies_and_notices_a_changed_photo(tmp_path, monkeypatch):
    scene = skimage.data.chelsea()[:40, :50]
    save(tmp_path / "photos" / "a.png", scene)
    cache = tmp_path / "cache"
    photos = CleanPhotos(CleanPhotos.find([tmp_path / "photos"]).paths, cache=cache)
    assert (photos.read(0) == scene).all() and len(list(cache.iterdir())) == 1

    def never(path):
        raise AssertionError(f"{path} is decoded again")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_decode", never)
        again = CleanPhotos(photos.paths, cache=cache).read(0)
        assert (again == scene).all() and not again.flags.writeable
    save(tmp_path / "photos" / "a.png", scene[::-1, :30])
    assert photos.read(0).shape == (40, 30, 3)


def test_a_cache_that_cannot_be_used_is_one_line(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "file").write_text("in the way")
    photos = CleanPhotos((tmp_path / "a.png",), cache=tmp_path / "file")
    with pytest.raises(TrainingError, match=r"a\.png: no decoded copy in") as caught:
        photos.read(0)
    assert "\n" not in str(caught.value)
    photos = CleanPhotos((tmp_path / "a.png",), cache=tmp_path / "cache")
    photos.read(0)
    for left in (b"cut short", b""):
        next((tmp_path / "cache").iterdir()).write_bytes(left)
        with pytest.raises(TrainingError, match="no decoded copy"):
            photos.read(0)
    for other in (np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32), np.zeros((4, 5, 4), np.uint8)):
        np.save(next((tmp_path / "cache").iterdir()), other)
        with pytest.raises(TrainingError, match="is no decoded photo"):
            photos.read(0)
