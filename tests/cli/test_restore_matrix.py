"""Real small files of every kind through the whole command: what is kept, byte for byte where it can be."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from lorair_cli.imaging import avif

CAT = np.ascontiguousarray(skimage.data.chelsea()[60:100, 90:146])
ALPHA = (np.arange(40 * 56) % 256).astype(np.uint8).reshape(40, 56)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
DESCRIPTION, ORIENTATION, GPS = 270, 274, 34853


def exif(orientation):
    tags = Image.Exif()
    tags[DESCRIPTION], tags[ORIENTATION] = "a cat", orientation
    tags.get_ifd(GPS)[1] = "N"
    return tags


def wide_profile(name):
    """An RGB profile with the red of another colour space, as cameras and phones embed them."""
    red = {"display-p3": (0.5151, 0.2412, -0.0011), "adobe-rgb": (0.6097, 0.3111, 0.0195)}[name]
    profile = bytearray(SRGB)
    entry = profile.index(b"rXYZ")  # tag table: name, offset, size; the value starts after 8 bytes
    (offset,) = struct.unpack_from(">I", profile, entry + 4)
    struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in red))
    return bytes(profile)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_eight_orientations(lorair, tmp_path, orientation, suffix):
    source, out = tmp_path / f"a.{suffix}", tmp_path / f"out.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(CAT).save(source, exif=exif(orientation), **lossless)
    assert lorair("restore", source, "-o", out, "--strength", "0").code == 0
    with Image.open(source) as before, Image.open(out) as after:
        tags = after.getexif()
        assert tags[ORIENTATION] == 1 and tags[DESCRIPTION] == "a cat" and tags.get_ifd(GPS)[1] == "N"
        upright = {5: 5, 6: 4, 7: 6, 8: 2, 2: 0, 3: 3, 4: 1}.get(orientation)  # Pillow's numbers for transpose
        expected = before if upright is None else before.transpose(upright)
        difference = np.abs(np.asarray(expected).astype(int) - np.asarray(after))
        assert difference.mean() < (3 if suffix == "jpg" else 1e-9)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("name", ["display-p3", "adobe-rgb"])
def test_profiles_stay_byte_for_byte(lorair, tmp_path, suffix, name):
    source, out = tmp_path / f"a.{suffix}", tmp_path / f"out.{suffix}"
    Image.fromarray(CAT).save(source, icc_profile=wide_profile(name))
    assert lorair("restore", source, "-o", out).code == 0
    with Image.open(out) as after:
        assert after.info["icc_profile"] == wide_profile(name)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_xmp_and_dpi(lorair, tmp_path, suffix):
    source, out = tmp_path / f"a.{suffix}", tmp_path / f"out.{suffix}"
    options = {"xmp": XMP, "dpi": (300, 300)}
    if suffix == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"pnginfo": info, "dpi": (300, 300)}
    elif suffix == "tif":
        options = {"tiffinfo": {700: XMP}, "dpi": (300, 300)}
    elif suffix == "webp":
        options = {"xmp": XMP}
    Image.fromarray(CAT).save(source, **options)
    assert lorair("restore", source, "-o", out).code == 0
    with Image.open(out) as after:
        found = after.info.get("xmp") or after.info.get("XML:com.adobe.xmp")
        assert (found.encode() if isinstance(found, str) else found) == XMP
        if suffix != "webp":
            assert [round(float(v)) for v in after.info["dpi"]] == [300, 300]


def test_strip_metadata_leaves_colours_only(lorair, tmp_path):
    source, out = tmp_path / "a.jpg", tmp_path / "out.jpg"
    Image.fromarray(CAT).save(source, exif=exif(6), xmp=XMP, dpi=(300, 300), icc_profile=SRGB, comment=b"secret")
    assert lorair("restore", source, "-o", out, "--strip-metadata").code == 0
    with Image.open(out) as after:
        assert after.size == (40, 56), "turned upright before the tag went"
        assert after.info["icc_profile"] == SRGB and not dict(after.getexif())
    raw = out.read_bytes()
    assert not any(word in raw for word in (b"secret", b"a cat", b"adobe:ns", b"Exif"))


def test_cmyk_becomes_rgb_and_says_so(lorair, tmp_path):
    source, out = tmp_path / "a.jpg", tmp_path / "out.png"
    Image.fromarray(CAT).convert("CMYK").save(source, quality=95)
    called = lorair("restore", source, "-o", out, "--strength", "0")
    assert called.code == 0 and "CMYK" in called.stderr
    after = cv2.imread(str(out))[..., ::-1]
    assert after.shape == CAT.shape and np.abs(after.astype(int) - CAT).mean() < 4


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_alpha_is_kept_exactly(lorair, tmp_path, suffix):
    source, out = tmp_path / f"a.{suffix}", tmp_path / f"out.{suffix}"
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    Image.fromarray(np.dstack([CAT, ALPHA])).save(source, **options)
    assert lorair("restore", source, "-o", out).code == 0
    with Image.open(out) as after:
        assert after.mode == "RGBA" and np.array_equal(np.asarray(after)[..., 3], ALPHA)
        assert (np.asarray(after)[..., :3] != CAT).any()


def test_grey_with_alpha_stays_grey_with_alpha(lorair, tmp_path):
    Image.fromarray(np.dstack([CAT[..., 0], ALPHA])).save(tmp_path / "a.png")
    assert lorair("restore", tmp_path / "a.png", "-o", tmp_path / "out.png").code == 0
    with Image.open(tmp_path / "out.png") as after:
        assert after.mode == "LA" and np.array_equal(np.asarray(after)[..., 1], ALPHA)


def test_palette_with_transparency(lorair, tmp_path):
    palette = Image.fromarray(CAT).quantize(16)
    palette.save(tmp_path / "a.png", transparency=3)
    assert lorair("restore", tmp_path / "a.png", "-o", tmp_path / "out.png", "--strength", "0").code == 0
    with Image.open(tmp_path / "a.png") as before, Image.open(tmp_path / "out.png") as after:
        assert after.mode == "RGBA" and np.array_equal(np.asarray(before.convert("RGBA")), np.asarray(after))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_stay(lorair, tmp_path, channels, suffix):
    pixels = (CAT[..., :channels].astype(np.uint16) * 257 + np.arange(56, dtype=np.uint16)[None, :, None]).squeeze()
    source, same, out = (tmp_path / f"{name}.{suffix}" for name in ("a", "same", "out"))
    if suffix == "tif":
        tifffile.imwrite(source, pixels)
    else:
        cv2.imwrite(str(source), pixels[..., ::-1] if channels == 3 else pixels)
    assert lorair("restore", source, "-o", same, "--strength", "0").code == 0
    assert lorair("restore", source, "-o", out).code == 0
    read = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (source, same, out)]
    assert np.array_equal(read[0], read[1])
    assert read[2].dtype == np.uint16 and read[2].shape == read[0].shape and (read[2] % 257 != 0).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 600), (600, 3)])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_extreme_shapes(lorair, tmp_path, size, suffix):
    source, out = tmp_path / f"a.{suffix}", tmp_path / f"out.{suffix}"
    Image.new("RGB", size, (90, 120, 60)).save(source)
    assert lorair("restore", source, "-o", out).code == 0
    with Image.open(out) as after:
        assert after.size == size and after.mode == "RGB"


def test_compression_follows_the_source_unless_said(lorair, tmp_path):
    source = tmp_path / "a.jpg"
    Image.fromarray(CAT).save(source, quality=94, subsampling=2)
    Image.fromarray(CAT).save(tmp_path / "half.jpg", quality=50, subsampling=1)
    assert lorair("restore", source, "-o", tmp_path / "same.jpg").code == 0
    said = ("--quality", "50", "--subsampling", "4:2:2")
    assert lorair("restore", source, "-o", tmp_path / "said.jpg", *said).code == 0

    def compression(name):
        with Image.open(tmp_path / name) as image:
            return image.quantization, image.layer

    assert compression("same.jpg") == compression("a.jpg")
    assert compression("said.jpg") == compression("half.jpg")
    assert lorair("restore", source, "-o", tmp_path / "x.jpg", "--subsampling", "4:1:1").code == 2


def test_progressive_jpeg(lorair, tmp_path):
    Image.fromarray(CAT).save(tmp_path / "a.jpg", progressive=True)
    assert lorair("restore", tmp_path / "a.jpg", "-o", tmp_path / "out.jpg").code == 0


def animated(path):
    frames = [Image.fromarray(CAT), Image.fromarray(CAT[::-1].copy())]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def huge_png(path):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    checksum = struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + checksum + b"\0\0\0\x04IDATxxxxxxxx")


def truncated_jpeg(path):
    buffer = io.BytesIO()
    Image.fromarray(CAT).save(buffer, "JPEG", quality=95)
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])


def two_in_one_heic(path):
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_bytes("RGB", (56, 40), CAT.tobytes())
    file.add_frombytes("RGB", (56, 40), CAT[::-1].tobytes())
    file.save(path, save_all=True)


def sequence_heic(path):
    pytest.importorskip("pillow_heif")
    path.write_bytes(b"\0\0\0\x10ftyphevc\0\0\0\0" + b"\0\0\0\x08moov")


needs_avif = pytest.mark.skipif(avif.PLUGIN is None, reason="this Pillow has no AVIF")


def test_the_other_pictures_of_a_multi_picture_jpeg_are_not_dropped_in_silence(lorair, tmp_path):
    frames = [Image.fromarray(CAT), Image.fromarray(CAT[::-1].copy())]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    called = lorair("restore", tmp_path / "a.jpg", "-o", tmp_path / "out.jpg", "--json")
    assert called.code == 0 and "only the main picture" in called.rows[0]["notes"][0]
    assert "a.jpg: only the main picture" in called.stderr


@pytest.mark.parametrize(
    "name, make, reason",
    [
        ("a.png", animated, "animation of 2 frames"),
        ("a.webp", animated, "animation of 2 frames"),
        ("a.tif", animated, "TIFF of 2 pages"),
        ("a.gif", animated, "a GIF"),
        pytest.param("a.avif", animated, "animation of 2 frames", marks=needs_avif),
        ("a.heic", two_in_one_heic, "a HEIC of 2 pictures"),
        ("a.heic", sequence_heic, "a HEIC sequence"),
        ("a.jpg", truncated_jpeg, "damaged"),
        ("a.png", huge_png, "megapixels"),
        ("a.png", lambda path: path.write_bytes(b""), "empty"),
        ("a.png", lambda path: path.write_text("<html>"), "a web page"),
        ("a.png", lambda path: path.mkdir(), "holds no photos"),
        ("a.png", lambda path: None, "No such file"),
    ],
)
def test_what_cannot_be_restored_is_refused_by_name(lorair, tmp_path, name, make, reason):
    make(tmp_path / name)
    called = lorair("restore", tmp_path / name, "-o", tmp_path / "out.png")
    assert called.code == (2 if "holds no photos" in reason else 1)
    lines = [line for line in called.stderr.splitlines() if line.startswith("Error")]
    assert len(lines) == 1 and name in lines[0] and reason in lines[0] and called.stdout == ""
    assert not (tmp_path / "out.png").exists()
