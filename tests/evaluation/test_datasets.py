"""Every layout of the registry in miniature, with the traps that circulating copies hold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from scipy.io import savemat

from lorair_cli.errors import ImageError, UsageError
from lorair_cli.evaluation.datasets import Unreadable, builtin_pairs, how_to_get, locate, readable
from lorair_cli.evaluation.registry import load_registry
from lorair_cli.imaging.decode import read_photo

REGISTRY = load_registry()


def find(name, pairs=None):
    benchmark = REGISTRY.find(name)
    return benchmark if pairs is None else replace(benchmark, pairs=pairs)


def assert_paired(located, root, expected):
    """``expected``: input path -> truth path; the pictures that come out are those of these files."""
    found = list(located.read())
    assert len(found) == len(expected) == located.count
    for pair, (lq, gt) in zip(found, sorted(expected.items()), strict=True):
        assert np.array_equal(pair.lq, read_photo(root / lq).rgb)
        assert np.array_equal(pair.gt, read_photo(root / gt).rgb)


SAME_NAME = [
    b
    for b in REGISTRY.benchmark
    if b.layout.rule in ("same-name", "sorted") or b.name in ("raindrop-a", "realblur-j", "realblur-r")
]


@pytest.mark.parametrize("benchmark", SAME_NAME, ids=lambda b: b.name)
def test_pairs_of_one_name(benchmark, tree):
    lq, gt = benchmark.layout.input[0], benchmark.layout.target[0]
    names = (
        ["0/a.png", "1/a.png"]
        if benchmark.layout.files == "**/*" and benchmark.name == "lol-blur"
        else ["a.png", "b.png"]
    )
    expected = {f"{lq}/{name}": f"{gt}/{name}" for name in names}
    root = tree(*expected, *expected.values())
    (root / lq / "Thumbs.db").write_bytes(b"not a picture")
    (root / lq / ".DS_Store").write_bytes(b"nor this")
    (root / gt / "._a.png").write_bytes(b"nor this")
    located = locate(replace(benchmark, pairs=2), root)
    assert located.problems == ()
    assert_paired(located, root, expected)
    assert benchmark.pairs == 0 or f"2 of {benchmark.pairs} pictures" in locate(benchmark, root).problems[0]


def test_upper_and_lower_case_of_folders(tree):
    root = tree("rain100l/INPUT/1.png", "rain100l/INPUT/2.png", "rain100l/target/1.png", "rain100l/target/2.png")
    assert locate(find("Rain100L", 2), root).count == 2


def test_suffixes_of_input_and_truth_may_differ(tree):
    expected = {"REDS/val/blur_300/000_00000009.jpg": "REDS/val/sharp_300/000_00000009.png"}
    root = tree(*expected, *expected.values())
    assert_paired(locate(find("reds", 1), root), root, expected)


@pytest.mark.parametrize("copied", [False, True])
def test_outdoor_rain_many_inputs_share_a_truth(copied, tree):
    inputs = [
        f"Test1/in/im_{scene}_s{angle}_a0{light}.png"
        for scene in ("0301", "0302")
        for angle, light in ((80, 4), (85, 6))
    ]
    expected = {path: path.replace("/in/", "/gt/") if copied else f"Test1/gt/{path[9:16]}.png" for path in inputs}
    root = tree(*inputs, *sorted(set(expected.values())))
    located = locate(find("outdoor-rain", 4), root)
    assert located.problems == ()
    assert_paired(located, root, expected)


def test_raindrop_original_names(tree):
    expected = {f"test_a/data/{n}_rain.png": f"test_a/gt/{n}_clean.png" for n in (0, 10, 2)}
    root = tree(*expected, *expected.values())
    assert_paired(locate(find("raindrop-a", 3), root), root, expected)


def test_sots_pairs_by_the_text_before_the_first_underscore(tree):
    hazy = ["0001_0.8_0.2.jpg", "0001_1_0.12.jpg", "0010_0.9_0.16.jpg"]
    expected = {f"SOTS/outdoor/hazy/{n}": f"SOTS/outdoor/gt/{n[:4]}.png" for n in hazy}
    root = tree(*expected, *sorted(set(expected.values())), "SOTS/outdoor/gt/0099.png")
    located = locate(find("SOTS", 3), root)
    assert located.problems == ()  # a clear picture without a hazy one is how the set is
    assert_paired(located, root, expected)


@pytest.mark.parametrize("weather", ["rain", "fog", "snow"])
def test_weatherstream_scenes(weather, tree):
    scene = f"WeatherStream_test/3_{weather}_street"
    expected = {f"{scene}/degraded_{n}.png": f"{scene}/{weather}_gt.png" for n in (0, 1)}
    other = "fog" if weather != "fog" else "rain"
    root = tree(*expected, f"{scene}/{weather}_gt.png", f"WeatherStream_test/4_{other}/degraded_0.png")
    located = locate(find(f"weatherstream-{'haze' if weather == 'fog' else weather}"), root)
    assert_paired(located, root, expected)
    assert [p.name.split("/")[0] for p in located.read()] == [f"3_{weather}_street"] * 2


def test_realblur_official_tree(tree):
    expected = {
        f"RealBlur_J/scene{s}/blur/blur_{n}.png": f"RealBlur_J/scene{s}/gt/gt_{n}.png" for s in (1, 2) for n in (7, 8)
    }
    root = tree(*expected, *expected.values())
    located = locate(find("realblur-j", 4), root)
    assert located.problems == ()
    assert_paired(located, root, expected)


def test_the_reissued_rain100l_is_refused(tree):
    names = [f"{n}.png" for n in range(200)]
    root = tree(*(f"Rain100L/{kind}/{n}" for kind in ("input", "target") for n in names), size=(2, 2))
    assert "re-issued Rain100L" in locate(find("Rain100L"), root).problems[0]
    assert "re-issued Rain100L" in locate(find("derain-rain100l"), root).problems[0]


def test_the_2801st_picture_is_left_out(tree):
    base = "syn_rain/test/Test2800"
    root = tree(*(f"{base}/{kind}/{n}.jpg" for kind in ("input", "target") for n in ("926_10", "926_10(1)", "926_11")))
    located = locate(find("test2800", 2), root)
    assert located.count == 2 and located.problems == () and [p.name for p in located.read()] == ["926_10", "926_11"]


def test_an_unpaired_file_shifts_nothing_and_is_named(tree):
    inputs, targets = ["a", "b", "c"], ["a", "c", "d"]
    root = tree(*(f"eval15/low/{n}.png" for n in inputs), *(f"eval15/high/{n}.png" for n in targets))
    located = locate(find("LOL", 2), root)
    assert [p.name for p in located.read()] == ["a", "c"]
    assert located.problems == ("1 inputs without truth: b", "1 truths without input: d")


def test_pairing_by_position_only_for_daclip_and_never_with_a_gap(tree):
    lq, gt = "universal/val/snowy/LQ", "universal/val/snowy/GT"
    expected = {f"{lq}/x1.png": f"{gt}/p.png", f"{lq}/x2.png": f"{gt}/q.png"}
    root = tree(*expected, *expected.values())
    assert_paired(locate(find("daclip-snowy", 2), root), root, expected)
    tree(f"{lq}/x0.png")
    with pytest.raises(UsageError, match="3 inputs and 2 ground truths"):
        locate(find("daclip-snowy"), root)
    assert {b.name.split("-")[0] for b in REGISTRY.benchmark if b.layout.rule == "sorted"} == {"daclip"}


def test_two_files_of_one_name(tree):
    root = tree("eval15/low/a.png", "eval15/low/a.jpg", "eval15/high/a.png")
    with pytest.raises(UsageError, match="one name"):
        locate(find("lol"), root)


def test_bsd68_noise_is_one_stream_cut_to_whole_numbers(tree):
    """Against numpy's global generator, as the recipe is written: seed once, then sigma 15, 25, 50 in turn."""
    root = tree("CBSD68/b.png", "CBSD68/a.png", size=(37, 50))
    clean = [read_photo(root / f"CBSD68/{n}.png").rgb[2:34, 1:49].astype(float) for n in "ab"]  # 37x50 -> 32x48
    np.random.seed(0)
    for sigma in (15, 25, 50):
        found = list(locate(find(f"bsd68-{sigma}", 2), root).read())
        for pair, photo in zip(found, clean, strict=True):
            noisy = photo + np.random.randn(*photo.shape) * sigma
            assert np.array_equal(pair.lq, np.floor(np.clip(noisy, 0, 255))) and np.array_equal(pair.gt, photo)


def test_what_is_no_picture_keeps_its_position(tree):
    root = tree(*(f"eval15/{kind}/{n}.png" for kind in ("low", "high") for n in "abc"))
    (root / "eval15/high/b.png").write_bytes(b"no picture")
    first, second, third = locate(find("lol", 3), root).read()
    assert (first.name, third.name) == ("a", "c") and isinstance(second, Unreadable) and second.name == "b"
    told = []
    pairs = list(readable([first, second, third], lambda *what: told.append(what)))
    assert pairs == [first, third] and told == [("b", second.error)] and "b.png" in second.error.message
    with pytest.raises(ImageError, match=r"b\.png"):
        list(readable([first, second]))


@pytest.mark.parametrize("name", ["bsd68-25", "dicm"])
def test_what_is_no_picture_stops_no_set_of_inputs_alone(name, tree):
    folder = find(name).layout.input[0]
    root = tree(f"{folder}/a.png", f"{folder}/b.png")
    (root / folder / "a.png").write_bytes(b"no picture")
    first, second = locate(find(name, 2), root).read()
    assert isinstance(first, Unreadable) and first.name == "a" and second.name == "b" and second.lq.std() > 0


def test_sets_without_truth(tree):
    for name in ("real-rain", "dicm", "mef", "npe", "snow100k-realistic"):
        benchmark = find(name)
        folder = benchmark.layout.input[0]
        located = locate(replace(benchmark, pairs=1), tree(f"{folder}/a.jpg"))
        assert located.problems == () and next(located.read()).gt is None


@pytest.mark.parametrize("name", ["toled", "poled"])
def test_arrays(name, tmp_path):
    lq, gt = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 6, 3)).astype(np.uint8)
    folder = tmp_path / "UDC_val_test" / name
    folder.mkdir(parents=True)
    savemat(folder / f"{name}_test_display.mat", {"test_display": lq})
    savemat(folder / f"{name}_test_gt.mat", {"test_gt": gt})
    pairs = list(locate(find(name, 3), tmp_path).read())
    assert all(np.array_equal(p.lq, lq[i]) and np.array_equal(p.gt, gt[i]) for i, p in enumerate(pairs))
    savemat(folder / f"{name}_test_gt.mat", {"test_gt": gt[:2]})
    with pytest.raises(UsageError, match="unlike shapes"):
        locate(find(name), tmp_path)
    savemat(folder / f"{name}_test_gt.mat", {"test_gt": gt}, do_compression=True)
    whole = bytearray((folder / f"{name}_test_gt.mat").read_bytes())
    whole[len(whole) // 2] ^= 255
    (folder / f"{name}_test_gt.mat").write_bytes(whole)
    with pytest.raises(ImageError, match="MATLAB"):
        locate(find(name), tmp_path)
    (folder / f"{name}_test_gt.mat").write_text("<html>")
    with pytest.raises(ImageError, match="MATLAB"):
        locate(find(name), tmp_path)


def test_missing_sets_say_where_to_get_them(tmp_path):
    for benchmark in REGISTRY.benchmark:
        if benchmark.obtain:
            assert locate(benchmark, tmp_path) is None
            text = how_to_get(benchmark, REGISTRY, tmp_path)
            assert REGISTRY.sources[benchmark.obtain] in text and str(tmp_path / benchmark.layout.input[0]) in text
            assert all(str(tmp_path / t) in text for t in benchmark.layout.target[:1])


def test_inputs_without_the_folder_of_truths(tree):
    root = tree("Rain100H/input/1.png")
    assert locate(find("Rain100H"), root) is None
    first = how_to_get(find("Rain100H"), REGISTRY, root).splitlines()[0]
    assert first == f"derain-rain100h: {root / 'Rain100H/input'} is there, its ground truth is not."


def test_folders_may_be_links(tree, tmp_path):
    """Rain100H and Rain100L share their truths, so copies exist that keep them once."""
    root = tree("elsewhere/input/1.png", "elsewhere/target/1.png", "Rain100H/none/x.png")
    (root / "Rain100L").symlink_to(root / "elsewhere", target_is_directory=True)
    (root / "Rain100H" / "input").symlink_to(root / "elsewhere" / "input", target_is_directory=True)
    (root / "Rain100H" / "target").symlink_to(root / "elsewhere" / "target", target_is_directory=True)
    for name in ("Rain100L", "Rain100H"):
        assert [p.name for p in locate(find(name, 1), root).read()] == ["1"]


def test_folders_of_scenes_may_be_links(tree):
    root = tree("elsewhere/degraded_0.png", "elsewhere/rain_gt.png", "WeatherStream_test/none/x.png")
    (root / "WeatherStream_test" / "3_rain_street").symlink_to(root / "elsewhere", target_is_directory=True)
    located = locate(find("weatherstream-rain"), root)
    assert [p.name for p in located.read()] == ["3_rain_street/degraded_0"]


def test_a_set_of_which_nothing_fits_together_is_an_error(tree):
    root = tree("Rain100H/input/1.png", "Rain100H/target/2.png")
    with pytest.raises(UsageError, match=r"not one input has a truth in .*: 1 inputs without truth: 1; 1 truths"):
        locate(find("Rain100H"), root)


def test_builtin_pairs_are_the_sample_photos_the_same_every_time():
    first, again = list(builtin_pairs("noise")), list(builtin_pairs("noise"))
    assert [p.name for p in first] == ["astronaut", "coffee", "chelsea", "rocket"]
    assert np.array_equal(first[2].gt, skimage.data.chelsea())
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.lq, b.lq) and not np.array_equal(a.lq, a.gt)
    assert locate(find("builtin-noise"), Path()).count == 4
