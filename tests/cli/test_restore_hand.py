"""The user's hand: experts by name, strength, a least confidence, passes; and the pictures to look at."""

import html
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from lorair_cli.errors import ImageError
from lorair_cli.imaging.decode import read_photo
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.page import open_page
from lorair_cli.restoration.restorer import Restorer

CAT = np.ascontiguousarray(skimage.data.chelsea()[:64, :80])


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(CAT).save(path)
    return path


def restored(lorair, photo, *arguments):
    """The row and the pixels of one run."""
    out = photo.with_name("out.png")
    called = lorair("restore", photo, "-o", out, "--overwrite", "--json", *arguments)
    assert called.code == 0, called.stderr
    return called.rows[0], cv2.imread(str(out))[..., ::-1].astype(int)


def test_experts_by_name_replace_the_routers_choice(lorair, photo):
    row, by_router = restored(lorair, photo)
    (routed,) = row["experts"]
    others = [name for name in row["probabilities"] if name != routed]
    row, by_hand = restored(lorair, photo, "--expert", f"{others[0]}=0.7,{others[1]}=0.3")
    assert row["experts"] == {others[0]: 0.7, others[1]: 0.3} and (by_hand != by_router).any()
    _, same = restored(lorair, photo, "--expert", routed)
    assert np.array_equal(same, by_router), "the same expert with weight 1 is the same restoration"


def test_strength_goes_from_the_photo_to_the_result(lorair, photo):
    pixels = {share: restored(lorair, photo, "--strength", share)[1] for share in ("0", "0.5", "1")}
    assert np.array_equal(pixels["0"], CAT) and (pixels["1"] != CAT).any()
    assert np.abs(pixels["0.5"] - (CAT + pixels["1"]) / 2).max() <= 0.5


def test_a_photo_without_a_clear_finding_is_left_alone_byte_for_byte(lorair, photo, tmp_path):
    row, _ = restored(lorair, photo)
    least = max(row["probabilities"].values())
    source = tmp_path / "odd.jpg"
    Image.fromarray(CAT).save(source, quality=31, comment=b"nobody writes it like this")
    called = lorair("restore", source, "-o", tmp_path / "out.jpg", "--only-if", "1.0")
    assert called.code == 0 and (tmp_path / "out.jpg").read_bytes() == source.read_bytes()
    assert "left alone" in called.stdout
    row, pixels = restored(lorair, photo, "--only-if", least + 0.001)
    assert row["status"] == "unchanged" and row["experts"] == {} and np.array_equal(pixels, CAT)
    row, pixels = restored(lorair, photo, "--only-if", least - 0.001)
    assert row["status"] == "ok" and (pixels != CAT).any()


def test_a_photo_left_alone_still_follows_what_was_said_about_its_file(lorair, photo, tmp_path):
    Image.fromarray(CAT).save(tmp_path / "a.jpg", comment=b"secret")
    alone = ("--only-if", "1.0")
    lorair("restore", tmp_path / "a.jpg", "-o", tmp_path / "b.jpg", "--strip-metadata", *alone)
    assert b"secret" not in (tmp_path / "b.jpg").read_bytes()
    lorair("restore", photo, "-o", tmp_path / "c.bmp", *alone)
    assert np.array_equal(cv2.imread(str(tmp_path / "c.bmp"))[..., ::-1], CAT)


def test_passes_restore_the_result_again_with_a_new_look(lorair, photo, tmp_path):
    row, twice = restored(lorair, photo, "--passes", "2")
    assert len(row["passes"]) == 2
    lorair("restore", photo, "-o", tmp_path / "first.png", "--passes", "1")
    _, again = restored(lorair, tmp_path / "first.png", "--passes", "1")
    assert np.array_equal(again, twice)


def test_the_expert_that_took_anothers_place_is_the_one_that_is_told(lorair, photo, tmp_path, monkeypatch):
    chosen = next(iter(restored(lorair, photo)[0]["experts"]))
    instead = "haze" if chosen != "haze" else "rain"
    rules = {"second_choice": instead, "takes_over": True, "finds_more": False, "may_be_scratched": False}
    for rule, answer in rules.items():
        monkeypatch.setattr(f"lorair_cli.restoration.passes.{rule}", lambda *seen, answer=answer: answer)
    monkeypatch.setattr("lorair_cli.restoration.restorer.can_check", lambda *seen: True)
    row, _ = restored(lorair, photo, "--report", tmp_path / "page.html")
    assert row["experts"] == {instead: 1.0}
    page = (tmp_path / "page.html").read_text()
    assert [line.split("</td>")[0] for line in page.splitlines() if "expert 1.00" in line] == [f"<tr><td>{instead}"]


def test_passes_end_when_nothing_is_left(checkpoint, photo):
    restorer = Restorer(checkpoint, device="cpu", precision="float32")
    loaded = read_photo(photo)
    sure = [d.confidence for d in restorer.restore(loaded, choices=Choices(passes=3)).passes]
    least = next((c for c in sure[1:] if c < sure[0]), None)
    if least is None:
        pytest.skip("the random router never becomes less sure of this photo")
    between = (sure[0] + least) / 2
    result = restorer.restore(loaded, choices=Choices(passes=3, only_if=between))
    assert 1 <= len(result.passes) < 3 and not result.untouched


@pytest.mark.parametrize(
    "arguments",
    [("--strength", "1.5"), ("--only-if", "2"), ("--passes", "0"), ("--passes", "many"), ("--quality", "0")],
)
def test_values_out_of_range_are_usage_errors(lorair, photo, tmp_path, arguments):
    assert lorair("restore", photo, "-o", tmp_path / "out.png", *arguments).code == 2


def test_side_by_side(lorair, photo, tmp_path):
    assert lorair("restore", photo, "-o", tmp_path / "out.png", "--compare").code == 0
    pair, result = (cv2.imread(str(tmp_path / name))[..., ::-1] for name in ("out_compare.png", "out.png"))
    assert np.array_equal(pair[:, :80], CAT) and np.array_equal(pair[:, -80:], result)
    assert (pair[:, 80:-80] == 255).all() and pair.shape[1] > 160


def test_the_page_holds_every_photo_and_nothing_from_elsewhere(lorair, photo, tmp_path):
    evil = tmp_path / '<img src=x onerror="alert(1)">&.png'
    shutil.copy(photo, evil)
    (tmp_path / "broken.png").write_bytes(b"")
    page = tmp_path / "page.html"
    arguments = ("restore", photo, evil, tmp_path / "broken.png", "-o", tmp_path / "out", "--report", page)
    assert lorair(*arguments).code == 1
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 3 and text.count('type="range"') == 2 and "failed: " in text
    assert evil.name not in text and html.escape(str(evil)) in text
    assert set(re.findall(r'src="([^"]{11})', text)) == {"data:image/"} and "http" not in text.replace("http-equiv", "")
    assert re.search(r"expert 1\.00", text)
    assert lorair(*arguments, "--skip-existing").code == 2, "a page is not replaced unasked"


def test_the_page_is_whole_or_absent(lorair, photo, tmp_path):
    called = lorair("restore", photo, "-o", tmp_path / "out.png", "--report", photo / "page.html")  # a file, no folder
    assert called.code == 2 and "page.html" in called.stderr and not (tmp_path / "out.png").exists()


def test_a_page_that_appeared_meanwhile_stays(tmp_path):
    page = tmp_path / "page.html"
    with pytest.raises(ImageError, match=r"page\.html: appeared meanwhile"), open_page(page):
        page.write_text("mine")
    assert page.read_text() == "mine"
    with open_page(page, replace=True):
        pass
    assert page.read_text().startswith("<!")


def test_what_fails_in_the_batch_is_not_the_pages_fault(tmp_path):
    full = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left") as caught, open_page(tmp_path / "page.html"):
        raise full
    assert caught.value is full and not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="file is no folder"), open_page(tmp_path / "file" / "page.html"):
        pass


def test_the_page_may_lie_among_the_results(lorair, photo, tmp_path):
    assert (
        lorair("restore", photo, "-o", tmp_path / "new" / "out.png", "--report", tmp_path / "new" / "page.html").code
        == 0
    )
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["out.png", "page.html"]


CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_the_slider_moves_in_a_browser(lorair, photo, tmp_path):
    lorair("restore", photo, "-o", tmp_path / "out.png", "--report", tmp_path / "page.html")
    move = """<script>
        const slider = document.querySelector(".pair input"), after = document.querySelector(".after");
        const clip = () => getComputedStyle(after).clipPath, before = clip();
        slider.value = 20; slider.dispatchEvent(new Event("input"));
        document.title = before + " to " + clip() + " of " + after.naturalWidth;
        </script></body>"""
    text = (tmp_path / "page.html").read_text(encoding="utf-8").replace("</body>", move)
    (tmp_path / "moved.html").write_text(text, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    command.append((tmp_path / "moved.html").as_uri())
    opened = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    title = re.search("<title>(.*)</title>", opened.stdout)[1]
    assert title == "inset(0px 0px 0px 50%) to inset(0px 0px 0px 20%) of 80"


def test_a_comparison_that_cannot_be_written_is_no_failure_of_the_result(lorair, tmp_path):
    wide = np.broadcast_to(CAT[:1, :1], (24, 8300, 3)).copy()
    cv2.imwrite(str(tmp_path / "wide.webp"), wide)
    called = lorair("restore", tmp_path / "wide.webp", "-o", tmp_path / "out.webp", "--compare", "--json")
    (row,) = called.rows
    assert called.code == 0 and row["status"] == "ok" and "compare" not in row
    assert any("no comparison" in note and "16383" in note for note in row["notes"])
    assert (tmp_path / "out.webp").is_file() and not (tmp_path / "out_compare.webp").exists()
