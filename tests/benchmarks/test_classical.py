"""The classical tools do what they are for, and the table says of them what a calculation by hand says."""

import sys
from types import SimpleNamespace

import classical
import classical_tools as tools
import cv2
import numpy as np
import pytest
import skimage.data
from independent_recipe import DEGRADATION_OF, RECIPES, degrade

from lorair_cli.errors import LorairError

PHOTO = np.ascontiguousarray(skimage.data.coffee()[60:188, 160:320])


def psnr(a, b):
    return 20 * np.log10(255 / np.sqrt(np.mean((np.rint(np.asarray(a, float)) - b) ** 2)))


def gain(tool, recipe, photo=PHOTO):
    lq = np.rint(degrade(photo.astype(np.float32) / 255, recipe, 1) * 255).astype(np.uint8)
    before = lq.copy()
    result = tool(lq)
    assert result.shape == photo.shape and np.array_equal(lq, before)
    assert 0 <= result.min() <= result.max() <= 1
    return psnr(result * 255, photo) - psnr(lq, photo)


@pytest.mark.parametrize(
    "tool, recipe, least",
    [
        (tools.non_local_means, "noise-25", 4),
        (tools.bilateral, "jpeg-10", 0.1),
        (tools.total_variation, "jpeg-10", 0.1),
        (tools.dark_channel, "haze", 2),
        (tools.clahe, "low-light", 1),
        (tools.equalised, "low-light", 2),
        (tools.gamma, "low-light", 2),
        (tools.median, "rain-heavy", 0.5),
        (tools.guided, "rain", 0.5),
        (tools.guided, "snow", 0.3),
        (tools.fast_marching, "inpainting", 6),
        (tools.navier_stokes, "inpainting", 6),
    ],
)
def test_tools_that_help(tool, recipe, least):
    assert gain(tool, recipe) > least


@pytest.mark.parametrize("tool, least", [(tools.unsharp, 0.5), (tools.wiener_filter, 0.5), (tools.lucy, 1)])
def test_deconvolution_undoes_the_blur_that_it_assumes(tool, least):
    lq = cv2.GaussianBlur(PHOTO, (0, 0), tools.KERNEL)
    assert psnr(tool(lq) * 255, PHOTO) - psnr(lq, PHOTO) > least


@pytest.mark.parametrize("sigma", [5, 25])
def test_the_noise_that_is_found(sigma):
    noisy = np.clip(np.random.default_rng(0).normal(128, sigma, (120, 160, 3)), 0, 255).round().astype(np.uint8)
    assert tools.noise_level(noisy) == pytest.approx(sigma, rel=0.1)


def test_the_guided_filter_keeps_an_edge_and_smooths_what_is_flat():
    step = np.where(np.arange(80) < 40, 0.2, 0.8) * np.ones((60, 1))
    noisy = step + np.random.default_rng(0).normal(0, 0.02, step.shape)
    smooth = tools.guided_filter(noisy, noisy, 3, 0.01)
    assert np.std(smooth[10:-10, 10:30]) < 0.01
    assert np.diff(smooth[10:-10, 38:42].mean(axis=0)).max() > 0.5


def test_the_dark_channel_finds_a_known_haze():
    """Colourful squares, one with a black colour in every window, under an even haze of transmission 0.5."""
    rng = np.random.default_rng(0)
    squares = np.kron(rng.integers(0, 256, (20, 24, 3)), np.ones((6, 6, 1)))
    squares[::3, ::3] = 0
    hazy = np.rint(squares * 0.5 + 230 * 0.5).astype(np.uint8)
    hazy[:30, :30] = 230  # the sky, which tells the airlight
    restored = tools.dark_channel(hazy)[40:, 40:] * 255
    assert psnr(restored, squares[40:, 40:]) > psnr(hazy[40:, 40:], squares[40:, 40:]) + 10


def test_bm3d_gets_the_noise_level_and_says_when_it_is_missing(monkeypatch):
    noisy = np.clip(np.random.default_rng(0).normal(128, 30, (90, 90, 3)), 0, 255).round().astype(np.uint8)
    asked = []
    stub = SimpleNamespace(bm3d_rgb=lambda image, sigma: asked.append(sigma) or image)
    monkeypatch.setitem(sys.modules, "bm3d", stub)
    assert np.array_equal(np.rint(tools.bm3d(noisy) * 255), noisy) and asked == [pytest.approx(30 / 255, rel=0.1)]
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(tools.ToolMissingError, match="pip install bm3d"):
        tools.bm3d(noisy)


def test_every_degradation_of_the_recipes_has_a_tool():
    assert {d for tool in tools.TOOLS for d in tool.degradations} == {DEGRADATION_OF[name] for name in RECIPES}


@pytest.fixture
def folders(tmp_path):
    """Two clean photos, and the same two darker by 20 and 10 levels as pairs."""
    for kind, offsets in (("clean", (0, 0)), ("rain/input", (20, 10)), ("rain/target", (0, 0))):
        (tmp_path / kind).mkdir(parents=True)
        for index, offset in enumerate(offsets):
            photo = np.clip(PHOTO[index : index + 70, :90], 30, 225) - offset
            cv2.imwrite(str(tmp_path / kind / f"{index}.png"), photo[..., ::-1])
    return tmp_path


@pytest.fixture
def run(folders, weights_file, capsys):
    def call(*words):
        common = ["--weights", weights_file, "--device", "cpu", "--precision", "float32", "--results"]
        classical.main([str(w) for w in (*words, *common, folders / "runs" / "r.jsonl")])
        out, err = capsys.readouterr()
        lines = [line[2:-2].split(" | ") for line in out.splitlines() if line.startswith("| ")]
        return out, err, [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]

    return call


def test_pairs_with_the_input_the_restorer_and_the_tools(run, folders, monkeypatch):
    half = tools.Tool("half way", ("rain",), lambda image: (image + 5.0) / 255)
    monkeypatch.setattr(classical, "TOOLS", (half,))
    out, err, rows = run("--pairs", "rain", folders / "rain/input", folders / "rain/target")
    assert "protocol rgb" in out and "weights" in out and "rain, half way: 2 photos" in err
    assert [row["tool"] for row in rows] == ["none (the input)", "lorair", "half way"]
    levels = [20 * np.log10(255 / offset) for offset in (20, 10, 15, 5)]
    assert float(rows[0]["PSNR"]) == pytest.approx(np.mean(levels[:2]), abs=0.01)
    assert float(rows[2]["PSNR"]) == pytest.approx(np.mean(levels[2:]), abs=0.01)
    ours = float(rows[1]["PSNR"])
    assert float(rows[2]["ours ahead by"]) == pytest.approx(ours - np.mean(levels[2:]), abs=0.011)
    assert rows[1]["ours ahead by"] == "" and rows[2]["ours better on"].endswith("%")


def test_a_second_run_measures_nothing_again(run, folders, monkeypatch):
    calls = []
    monkeypatch.setattr(
        classical, "TOOLS", (tools.Tool("counted", ("rain",), lambda image: calls.append(1) or image / 255),)
    )
    arguments = ["--pairs", "rain", folders / "rain/input", folders / "rain/target"]
    first = run(*arguments, "--limit", 1)[2]
    again = run(*arguments, "--limit", 1)[2]
    assert len(calls) == 1 and again == first
    assert run(*arguments)[2][0]["photos"] == "2" and len(calls) == 2


def test_clean_photos_under_every_recipe_of_one_degradation(run, folders, monkeypatch):
    def absent(image):
        raise tools.ToolMissingError("install it")

    monkeypatch.setattr(classical, "TOOLS", (tools.Tool("absent", ("noise",), absent),))
    _, err, rows = run("--clean", folders / "clean", "--only", "noise", "--limit", 1, "--protocol", "daclip-rgb")
    names = [f"clean: noise-{s}" for s in (15, 25, 50)]
    assert [row["pictures"] for row in rows if row["tool"] == "lorair"] == names and len(rows) == 6
    assert err.count("absent is left out: install it") == 3


@pytest.mark.parametrize(
    "words, error",
    [
        ([], SystemExit),
        (["--clean", "clean", "--limit", "0"], SystemExit),
        (["--clean", "nowhere"], LorairError),
        (["--pairs", "fog", "rain/input", "rain/target"], LorairError),
        (["--pairs", "rain", "clean", "runs"], LorairError),
        (["--clean", "clean", "--protocol", "no-reference"], LorairError),
        (["--clean", "clean", "--results", "clean/0.png"], LorairError),
    ],
)
def test_wrong_usage(words, error, folders, monkeypatch, capsys):
    monkeypatch.chdir(folders)
    with pytest.raises(error):
        classical.main(words)
    assert capsys.readouterr().out == ""
