import cv2
import numpy as np
import pytest
import skimage.data
import typer
from typer.testing import CliRunner

from lorair_cli.cli import data
from lorair_cli.data.contact_sheet import LABEL
from lorair_cli.errors import ImageError, UsageError

app = typer.Typer()
app.add_typer(data.app, name="data")


def preview(*arguments):
    return CliRunner().invoke(app, ["data", "preview", *map(str, arguments)])


def test_the_sample_photos_are_shown_without_any_argument_but_the_output(tmp_path):
    result = preview("-o", tmp_path / "sheet.png", "--side", 32, "--strength", 0.5)
    assert result.exit_code == 0 and result.stdout == f"{tmp_path / 'sheet.png'}\n"
    assert "4 photos" in result.stderr
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 11 * 32 and sheet.shape[0] > 4 * 32


def test_own_photos_strengths_and_seed(tmp_path):
    photo = tmp_path / "cat.png"
    cv2.imwrite(str(photo), skimage.data.chelsea()[..., ::-1])
    sheets = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.png"
        result = preview(photo, "-o", out, "--side", 48, "--seed", seed, "--strength", 0.2, "--strength", 0.9)
        assert result.exit_code == 0
        sheets.append(cv2.imread(str(out)))
    assert sheets[0].shape == (2 * (48 + LABEL) + LABEL, 11 * 48, 3)
    np.testing.assert_array_equal(sheets[0], sheets[1])
    assert (sheets[0] != sheets[2]).any()


def test_a_wrong_suffix_is_said_before_the_work(tmp_path):
    result = preview("-o", tmp_path / "sheet.gif")
    assert isinstance(result.exception, ImageError) and not list(tmp_path.iterdir())


def test_an_unreadable_photo_is_named(tmp_path):
    (tmp_path / "no.png").write_text("text")
    result = preview(tmp_path / "no.png", "-o", tmp_path / "sheet.png")
    assert isinstance(result.exception, ImageError) and "no.png" in result.exception.message
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize("arguments", [("--strength", 1.5), ("--side", 5), ("--seed", -1)])
def test_options_out_of_range_are_usage_errors(tmp_path, arguments):
    assert preview("-o", tmp_path / "sheet.png", *arguments).exit_code == 2


def test_nothing_is_replaced_unasked_and_a_photo_never(tmp_path):
    photo, out = tmp_path / "cat.png", tmp_path / "sheet.png"
    cv2.imwrite(str(photo), skimage.data.chelsea()[:64, :64])
    before = photo.read_bytes()
    small = ("--side", 32, "--strength", 0.5)
    assert preview(photo, "-o", out, *small).exit_code == 0
    again = preview(photo, "-o", out, *small)
    assert isinstance(again.exception, UsageError) and "exists already" in again.exception.message
    assert preview(photo, "-o", out, "--overwrite", *small).exit_code == 0
    itself = preview(photo, "-o", photo, "--overwrite", *small)
    assert isinstance(itself.exception, UsageError) and "is one of the photos" in itself.exception.message
    assert photo.read_bytes() == before
