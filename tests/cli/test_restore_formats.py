"""AVIF, HEIC and camera raw through the whole command: what is written and kept, what is said without the extra."""

import sys

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image

from lorair_cli.imaging import avif
from lorair_cli.imaging.decode import read_photo
from lorair_cli.imaging.encode import write_photo
from lorair_cli.imaging.photo import Photo

CAT = np.ascontiguousarray(skimage.data.chelsea()[60:100, 90:146])
has_avif = pytest.mark.skipif(avif.PLUGIN is None, reason="this Pillow has no AVIF")


def dng(path):
    """A grey picture as a camera's raw file."""
    tags = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, (0, 1, 1, 2), True), (50706, 1, 4, (1, 4, 0, 0), True)]
    tags += [(272, 2, None, "Model", True), (50717, 3, 1, 4095, True), (50728, 5, 3, (1, 1, 1, 1, 1, 1), True)]
    sensor = np.linspace(100, 4000, 48 * 64).reshape(48, 64).astype(np.uint16)
    tifffile.imwrite(path, sensor, photometric=32803, metadata=None, extratags=tags)


def test_a_suffix_decides_the_format_and_lost_bits_are_told(lorair, tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (24, 24, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    (tmp_path / "deep.png").rename(tmp_path / "deep.jpg")
    called = lorair("restore", tmp_path / "deep.jpg", "-o", tmp_path / "out", "--json")
    assert called.code == 0 and any("JPEG is written with 8 bits" in note for note in called.rows[0]["notes"])
    assert (tmp_path / "out" / "deep.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_what_another_format_has_no_room_for_is_told(lorair, tmp_path):
    Image.fromarray(CAT).save(tmp_path / "a.jpg", comment="by hand")
    told, kept, stripped = (
        lorair("restore", tmp_path / "a.jpg", "-o", tmp_path / out, "--json", *more).rows[0]["notes"]
        for out, more in (("a.png", ()), ("b.jpg", ()), ("c.png", ("--strip-metadata",)))
    )
    assert [note for note in told if "PNG has no room" in note and "comment" in note]
    assert not any("no room" in note for note in (*kept, *stripped))


def test_jpe_is_jpeg(lorair, tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((24, 24, 3), np.uint8))
    (tmp_path / "a.jpg").rename(tmp_path / "a.jpe")
    assert lorair("restore", tmp_path / "a.jpe", "-o", tmp_path / "out").code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jpe"]


@has_avif
def test_avif_stays_avif(lorair, tmp_path):
    Image.fromarray(CAT).save(tmp_path / "a.avif", quality=90)
    called = lorair("restore", tmp_path, "-o", tmp_path / "out", "--json")
    assert called.code == 0 and called.rows[0]["notes"] == []
    assert read_photo(tmp_path / "out" / "a.avif").format == "AVIF"


@has_avif
def test_deep_avif_stays_deep_in_png_and_is_told_of_in_avif(lorair, tmp_path):
    source = tmp_path / "a.avif"
    _, data = cv2.imencode(".avif", CAT.astype(np.uint16) << 2, [cv2.IMWRITE_AVIF_DEPTH, 10])
    source.write_bytes(data.tobytes())
    assert lorair("restore", source, "-o", tmp_path / "out.png").code == 0
    assert read_photo(tmp_path / "out.png").bits == 16
    called = lorair("restore", source, "-o", tmp_path / "out.avif", "--json")
    assert called.code == 0 and "written with 8 bits" in called.rows[0]["notes"][0] and "a.avif: AVIF" in called.stderr


def test_heic_stays_heic_with_its_depth(lorair, tmp_path):
    pytest.importorskip("pillow_heif")
    write_photo(Photo(CAT.astype(np.uint16) * 257), tmp_path / "a.heic")
    called = lorair("restore", tmp_path, "-o", tmp_path / "out", "--json")
    photo = read_photo(tmp_path / "out" / "a.heic")
    assert called.code == 0 and photo.format == "HEIC" and photo.bits == 16 and photo.size == (56, 40)
    assert lorair("restore", tmp_path / "a.heic", "-o", tmp_path / "b.jpg").code == 0
    assert lorair("restore", tmp_path / "a.heic", "-o", tmp_path / "c", "--format", "avif").code == 0


def test_content_decides_a_heic_that_is_called_jpeg(lorair, tmp_path):
    pytest.importorskip("pillow_heif")
    write_photo(Photo(CAT), tmp_path / "a.heic")
    (tmp_path / "a.heic").rename(tmp_path / "phone.jpg")
    assert lorair("restore", tmp_path / "phone.jpg", "-o", tmp_path / "out.jpg").code == 0
    assert (tmp_path / "out.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_raw_becomes_a_16_bit_tiff(lorair, tmp_path):
    pytest.importorskip("rawpy")
    dng(tmp_path / "a.dng")
    called = lorair("restore", tmp_path, "-o", tmp_path / "out", "--json")
    assert called.code == 0 and called.rows[0]["output"].endswith("a.tif")
    photo = read_photo(tmp_path / "out" / "a.tif")
    assert photo.bits == 16 and b"Model" in photo.metadata.exif
    assert b"sRGB" in photo.metadata.icc.replace(b"\0", b"")
    piped = lorair("restore", "-", stdin=(tmp_path / "a.dng").read_bytes())
    assert piped.raw == (tmp_path / "out" / "a.tif").read_bytes()
    alone = lorair("restore", tmp_path / "a.dng", "-o", tmp_path / "alone.tif", "--only-if", "1")
    assert alone.code == 0 and read_photo(tmp_path / "alone.tif").format == "TIFF", "no raw file under another name"


def test_without_the_extra_each_is_named_with_the_remedy_and_the_others_go_on(lorair, tmp_path, monkeypatch):
    for name in ("pillow_heif", "rawpy"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "in").mkdir()
    Image.fromarray(CAT).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    dng(tmp_path / "in" / "c.dng")
    called = lorair("restore", tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert called.code == 1 and [row["status"] for row in called.rows] == ["ok", "failed", "failed"]
    assert (
        "b.heic: HEIC needs pillow-heif" in called.stderr and "c.dng: a camera's raw file needs rawpy" in called.stderr
    )
    assert called.stderr.count("Hint: pip install 'lorair[formats]'") == 2


def test_a_result_that_cannot_be_written_is_refused_before_any_work(lorair, tmp_path, monkeypatch):
    monkeypatch.setattr("lorair_cli.imaging.heif.is_installed", lambda: False)
    Image.fromarray(CAT).save(tmp_path / "a.png")
    for arguments in (("-o", tmp_path / "x.heic"), ("-o", tmp_path / "out", "--format", "heic")):
        called = lorair("restore", tmp_path / "a.png", *arguments)
        assert called.code == 2 and "HEIC cannot be written here" in called.stderr


def test_16_bits_that_heic_cuts_to_10_are_told(lorair, tmp_path):
    pytest.importorskip("pillow_heif")
    write_photo(Photo(CAT.astype(np.uint16) * 257), tmp_path / "a.png")
    called = lorair("restore", tmp_path / "a.png", "-o", tmp_path / "out.heic", "--json")
    assert "HEIC is written with 10 bits: --format png or tiff keeps them all" in called.rows[0]["notes"]
    again = lorair("restore", tmp_path / "out.heic", "-o", tmp_path / "again.heic", "--json")
    assert again.rows[0]["notes"] == []


def test_what_a_tiff_holds_beside_its_picture_is_told(lorair, tmp_path):
    more = np.concatenate([CAT, CAT[..., :2]], axis=2)
    tags = [(37724, 7, 2000, b"8BIM" * 500, True)]
    tifffile.imwrite(tmp_path / "a.tif", more, photometric="rgb", extrasamples=[0, 0], extratags=tags)
    called = lorair("restore", tmp_path / "a.tif", "-o", tmp_path / "out.tif", "--json")
    notes = called.rows[0]["notes"]
    assert "2 further channels beside the colours left out" in notes
    assert any("layers left out" in note for note in notes)
    with tifffile.TiffFile(tmp_path / "out.tif") as out:
        assert 37724 not in out.pages[0].tags
    left_alone = lorair("restore", tmp_path / "a.tif", "-o", tmp_path / "same.tif", "--only-if", "1", "--json")
    assert left_alone.rows[0]["notes"] == []  # the very bytes: nothing was left out
    assert (tmp_path / "same.tif").read_bytes() == (tmp_path / "a.tif").read_bytes()


@pytest.mark.parametrize(
    ("output", "said", "message"),
    [
        (("-o", "a.png"), ("--quality", "5"), "--quality means nothing to PNG"),
        (("-o", "a.webp"), ("--subsampling", "4:2:0"), "--subsampling means nothing to WEBP"),
        (("-o", "-", "--format", "tiff"), ("--quality", "5"), "--quality means nothing to TIFF"),
        (("-o", "out"), ("--quality", "5"), "--quality means nothing to BMP and PNG"),
    ],
)
def test_a_compression_that_no_result_has_is_refused(lorair, tmp_path, monkeypatch, output, said, message):
    monkeypatch.chdir(tmp_path)
    for name in ("1.png", "2.bmp"):
        Image.fromarray(CAT).save(name)
    photos = ("1.png", "2.bmp") if output == ("-o", "out") else ("1.png",)
    called = lorair("restore", *photos, *output, *said)
    assert called.code == 2 and message in called.stderr and len(list(tmp_path.iterdir())) == 2
    Image.fromarray(CAT).save("3.jpg")  # of several formats, the option is for those that it means something to
    if output == ("-o", "out"):
        assert lorair("restore", *photos, "3.jpg", *output, *said).code == 0


def test_a_quality_makes_a_lossless_webp_lossy(lorair, tmp_path):
    Image.fromarray(CAT).save(tmp_path / "a.webp", lossless=True)
    sizes = []
    for name, more in (("same.webp", ()), ("small.webp", ("--quality", "10"))):
        assert lorair("restore", tmp_path / "a.webp", "-o", tmp_path / name, *more).code == 0
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[1] < sizes[0] / 3
