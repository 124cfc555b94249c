import json
import sys

import cv2
import numpy as np
import pytest
import skimage.data
from typer.testing import CliRunner

from lorair_cli.cli.main import app
from lorair_cli.data.catalogue import load_catalogue
from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.degrading import MADE, Degrading, made_of, write_pairs
from lorair_cli.data.pairs import Sampling, SyntheticPairs
from lorair_cli.data.real import ATTITUDES, MixedPairs, RealPairs, find_sets, noisy
from lorair_cli.errors import TrainingError
from lorair_cli.lock import locked
from lorair_cli.settings import SETTINGS, get_setting

SAMPLING = Sampling(photo_sides=(40, 48), patch=32, patches=2, local_views=1, untouched=0.0)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index in range(2):
        cv2.imwrite(str(folder / f"{index}.png"), skimage.data.chelsea()[60 * index : 60 * index + 70, 90:170])
    return CleanPhotos.find([folder])


@pytest.fixture(scope="module")
def folders(clean, tmp_path_factory):
    """For each setting, a folder that ``write_pairs`` filled."""
    root = tmp_path_factory.mktemp("sets")
    for setting in SETTINGS.values():
        write_pairs(clean, setting, root / setting.name, Degrading(side=64))
    return root


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_folder_in_which_somebody_makes_pairs_is_left_alone(clean, tmp_path):
    with locked(tmp_path), pytest.raises(TrainingError, match="somebody else makes pairs there"):
        write_pairs(clean, get_setting("3task"), tmp_path, Degrading(side=64))
    assert not list(tmp_path.iterdir())
    write_pairs(clean, get_setting("3task"), tmp_path, Degrading(side=64))


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_written_is_found_again_whole(folders, clean, setting):
    located = find_sets([folders / setting], get_setting(setting))
    assert [one.set.degradation for one in located] == list(get_setting(setting).degradations)
    for one in located:
        assert len(one.pairs) == len(clean) and not (one.without_truth or one.without_input or one.leaked)
        for _, lq, gt in one.pairs:
            before, after = cv2.imread(str(lq)), cv2.imread(str(gt))
            assert before.shape == after.shape == (64, 64, 3) and (before != after).any() == bool(one.set.target)


def test_a_stopped_call_goes_on_and_makes_the_same(tmp_path, folders, clean):
    setting = get_setting("5task")
    write_pairs(clean, setting, tmp_path, Degrading(side=64))
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.png"))
    assert all((tmp_path / f).read_bytes() == (folders / "5task" / f).read_bytes() for f in files)
    lost, kept = tmp_path / files[0], tmp_path / files[-1]
    content, when = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    write_pairs(clean, setting, tmp_path, Degrading(side=64))
    assert lost.read_bytes() == content and kept.stat().st_mtime_ns == when


def test_copies_differ(tmp_path, clean):
    write_pairs(clean, get_setting("3task-real"), tmp_path, Degrading(copies=2, side=64))
    (rain, *_) = find_sets([tmp_path], get_setting("3task-real"))
    assert len(rain.pairs) == 4
    assert (
        len({lq.read_bytes() for _, lq, _ in rain.pairs}) == 4 and len({gt.read_bytes() for *_, gt in rain.pairs}) == 2
    )


def real(folders, setting="5task", mode="native", **changes):
    from dataclasses import replace

    chosen = get_setting(setting)
    return RealPairs(find_sets([folders / setting], chosen), chosen, replace(SAMPLING, **changes), 16, mode)


def mixed(folders, clean, share, setting="5task", **changes):
    from dataclasses import replace

    chosen, sampling = get_setting(setting), replace(SAMPLING, real=share, **changes)
    made = None if clean is None else SyntheticPairs(clean, chosen, sampling, 16, 0)
    return MixedPairs(real(folders, setting, **changes), made, chosen, sampling, 0)


def test_input_and_truth_are_cut_from_one_place(folders):
    source = real(folders)
    for label in range(5):
        for seed in range(4):
            sample = source.draw(label, np.random.default_rng(seed))
            assert int(sample.label) == label and float(sample.strength) == -1
            assert sample.lq.shape == sample.gt.shape == (2, 3, 32, 32) and not (sample.lq == sample.gt).all()
    snow = get_setting("5task").index("snow")  # snow leaves most pixels as they are
    sample = source.draw(snow, np.random.default_rng(0))
    assert float((sample.lq.float() - sample.gt.float()).abs().median()) < 40


def test_pairs_are_never_shrunk(folders):
    """That would change the degradation. Photos made on the fly may be."""
    source = real(folders, photo_sides=(36, 40), turned=0.0, patches=1, smallest_scale=0.5)
    truths = [source.truths.read(i) for i in source.truth_of]
    known = [
        np.lib.stride_tricks.sliding_window_view(one, (32, 32), axis=(0, 1))
        for truth in truths
        for one in (truth, truth[:, ::-1])
    ]
    for seed in range(8):
        sample = source.draw(0, np.random.default_rng(seed))
        assert any((windows == sample.gt[0].numpy()).all((2, 3, 4)).any() for windows in known)


def test_noise_is_cut_to_whole_levels_and_not_rounded():
    grey = np.full((200, 200, 3), 128, np.uint8)
    before = grey.copy()
    change = noisy(grey, 15, np.random.default_rng(0)).astype(float) - grey
    assert change.mean() == pytest.approx(-0.5, abs=0.2) and change.std() == pytest.approx(15, abs=0.2)
    assert (grey == before).all()
    assert noisy(np.full((200, 200, 3), 255, np.uint8), 15, np.random.default_rng(0)).min() > 128, "no number wraps"


def test_noise_is_added_to_clean_photos_and_cut_to_whole_levels(folders):
    source, label = real(folders, "3task", photo_sides=(64, 64)), get_setting("3task").index("noise")
    spreads = set()
    for seed in range(30):
        sample = source.draw(label, np.random.default_rng(seed))
        spreads.add(min((15, 25, 50), key=lambda s: abs(s - float((sample.lq.float() - sample.gt.float()).std()))))
    assert spreads == {15, 25, 50}


def test_the_untouched_share_is_the_truth_itself(folders):
    sample = real(folders, untouched=1.0).draw(0, np.random.default_rng(0))
    assert (sample.lq == sample.gt).all() and float(sample.strength) == 0


def test_views_of_whole_photos_have_a_key_that_tells_them(folders):
    source, seen = real(folders, mode="resize", photo_sides=(64, 64), turned=0.75), {}
    for seed in range(60):
        sample = source.draw(0, np.random.default_rng(seed))
        key = int(sample.key)
        assert 0 <= key < 2 * 5 * ATTITUDES
        assert key not in seen or (seen[key] == sample.views).all()
        seen[key] = sample.views
    assert len(seen) == 2 * ATTITUDES
    assert int(real(folders, photo_sides=(64, 64)).draw(0, np.random.default_rng(0)).key) == -1
    for sides in ((40, 48), (63, 63)):
        parts = real(folders, mode="resize", photo_sides=sides)
        assert {int(parts.draw(0, np.random.default_rng(seed)).key) for seed in range(8)} == {-1}, "a part is no whole"


def test_degradations_are_drawn_alike_and_sources_in_their_share(folders, clean):
    source, n = mixed(folders, clean, 0.25, patches=0), 300
    samples = [source[i] for i in range(n)]
    is_real = [float(s.strength) == -1 for s in samples]
    assert abs(sum(is_real) - 0.25 * n) < 4 * (n * 0.25 * 0.75) ** 0.5
    counts = np.bincount([int(s.label) for s in samples], minlength=5)
    assert abs(counts - n / 5).max() < 4 * (n * 0.2 * 0.8) ** 0.5
    again = source[17]
    assert all((a == b).all() for a, b in zip(again, samples[17], strict=True))


def test_real_pairs_alone_must_have_every_degradation(folders, clean, tmp_path):
    with pytest.raises(TrainingError, match="no training set of setting 10task"):
        find_sets([folders / "5task"], get_setting("10task"))
    chosen = get_setting("5task")
    some = [one for one in find_sets([folders / "5task"], chosen) if one.set.degradation != "haze"]
    pairs = RealPairs(some, chosen, SAMPLING, 16, "native")
    with pytest.raises(TrainingError, match="no pairs of haze") as caught:
        MixedPairs(pairs, None, chosen, SAMPLING, 0)
    assert "--clean" in (caught.value.hint or "")
    made = SyntheticPairs(clean, chosen, SAMPLING, 16, 0)
    source = MixedPairs(pairs, made, chosen, SAMPLING, 0)
    labels = {int(source[i].label): float(source[i].strength) for i in range(40)}
    assert labels[0] >= 0, "haze is made on the fly"


def test_a_truth_of_another_size_is_named(folders, tmp_path, clean):
    write_pairs(clean, get_setting("4task"), tmp_path, Degrading(side=64))
    (snow, *_) = find_sets([tmp_path], get_setting("4task"))
    for _, lq, _ in snow.pairs:
        cv2.imwrite(str(lq), np.zeros((64, 60, 3), np.uint8))
    with pytest.raises(TrainingError, match=r"snow_0000\d\.png: its truth has another size"):
        RealPairs([snow], get_setting("4task"), SAMPLING, 16, "native").draw(0, np.random.default_rng(0))


def test_pairs_made_with_other_options_are_refused(tmp_path, clean):
    setting = get_setting("5task")
    write_pairs(clean, setting, tmp_path, Degrading(side=64))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(TrainingError, match="made with another strength, seed"):
        write_pairs(clean, setting, tmp_path, Degrading(side=64, strength=0.5, seed=3))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_photo_keeps_its_number_when_others_come_and_go(tmp_path, clean):
    """A number is one photo, or the truth of one would lie beside the input of another."""
    setting, options = get_setting("3task-real"), Degrading(side=64, copies=2)
    write_pairs(CleanPhotos(clean.paths[1:]), setting, tmp_path, options)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    write_pairs(clean, setting, tmp_path, options)  # sorts in front of the other
    (rain, *_) = find_sets([tmp_path], setting)
    assert {path: path.read_bytes() for path in before} == before and len(rain.pairs) == 4
    assert len({gt.read_bytes() for *_, gt in rain.pairs}) == 2
    write_pairs(CleanPhotos(clean.paths[:1]), setting, tmp_path, options)
    assert {path: path.read_bytes() for path in before} == before


def photo(folder, name, at):
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / name), skimage.data.chelsea()[at : at + 70, 90:170])
    return folder


def lies_there(out, setting="3task-real"):
    """Input and truth of each pair of the first set, by name."""
    (first, *_) = find_sets([out], get_setting(setting))
    return {name: (lq.read_bytes(), gt.read_bytes()) for name, lq, gt in first.pairs}


def test_a_photo_is_known_by_what_it_holds(tmp_path):
    """Cameras count from 1 in every folder, and a file that was moved is no other photo."""
    setting, options, out = get_setting("3task-real"), Degrading(side=64), tmp_path / "sets"
    one, other = photo(tmp_path / "one", "1.png", 0), photo(tmp_path / "other", "1.png", 60)
    assert set(write_pairs(CleanPhotos.find([one]), setting, out, options).values()) == {1}
    first = lies_there(out)
    assert set(write_pairs(CleanPhotos.find([other]), setting, out, options).values()) == {2}
    both = lies_there(out)
    assert len(both) == 2 and first.items() < both.items() and len({gt for _, gt in both.values()}) == 2
    (one / "1.png").rename(one / "9.png")
    for folders in ([one, other], [other, one, photo(tmp_path / "copy", "2.png", 0)]):
        assert set(write_pairs(CleanPhotos.find(folders), setting, out, options).values()) == {2}
        assert lies_there(out) == both


def as_before(out):
    """Rewrite the list in a folder of pairs as earlier versions wrote it."""
    made = json.loads((out / MADE).read_text())
    (out / MADE).write_text(json.dumps({"options": made["options"], "photos": made["photos"]}))


def test_a_list_of_names_alone_is_not_gone_on_with(tmp_path, clean):
    setting, options = get_setting("3task"), Degrading(side=64)
    write_pairs(clean, setting, tmp_path, options)
    as_before(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(TrainingError, match="holds pairs made by an earlier version") as caught:
        write_pairs(clean, setting, tmp_path, options)
    assert "\n" not in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert CliRunner().invoke(app, ["data", "check", str(tmp_path), "--setting", "3task"]).exit_code == 0


def test_a_damaged_list_is_one_line(tmp_path, clean):
    write_pairs(clean, get_setting("3task"), tmp_path, Degrading(side=64))
    made = json.loads((tmp_path / MADE).read_text())
    for digests in (made["digests"][:1], made["digests"][:1] * 2):
        (tmp_path / MADE).write_text(json.dumps({**made, "digests": digests}))
        with pytest.raises(TrainingError, match="digests are not one for each photo"):
            write_pairs(clean, get_setting("3task"), tmp_path, Degrading(side=64))


def test_a_broken_photo_that_was_taken_out_is_not_waited_for(tmp_path, clean):
    setting, options, out = get_setting("3task"), Degrading(side=64, copies=2), tmp_path / "sets"
    photos = photo(tmp_path / "photos", "a.png", 0)
    (photos / "b.png").write_bytes(b"broken")
    photo(photos, "c.png", 30)
    with pytest.raises(TrainingError, match=r"b\.png"):
        write_pairs(CleanPhotos.find([photos]), setting, out, options)
    check = ["data", "check", str(out), "--setting", "3task"]
    assert CliRunner().invoke(app, check).exit_code == 1, "two pairs of each photo were to be made"
    (photos / "b.png").unlink()
    assert set(write_pairs(CleanPhotos.find([photos]), setting, out, options).values()) == {4}
    assert CliRunner().invoke(app, check).exit_code == 0
    (photos / "a.png").unlink()  # its pairs stay, and are still to be there
    assert set(write_pairs(CleanPhotos.find([photos]), setting, out, options).values()) == {4}
    next(out.rglob("*.png")).unlink()
    assert CliRunner().invoke(app, check).exit_code == 1


def test_a_set_that_was_not_made_is_not_judged_by_what_was(tmp_path, clean):
    write_pairs(clean, get_setting("3task"), tmp_path, Degrading(side=64))
    own = {one.set.name for one in find_sets([tmp_path], get_setting("3task"))}
    write_pairs(CleanPhotos(clean.paths[:1]), get_setting("4task"), tmp_path, Degrading(side=64))
    assert {name: count for name, count in made_of(tmp_path).items() if name in own} == dict.fromkeys(own, 2)
    low_light = next(one for one in load_catalogue().of_setting("5task") if one.degradation == "low-light")
    for place in (low_light.input[0], low_light.target[0]):
        (tmp_path / place).mkdir(parents=True)
        for index in range(3):
            photo(tmp_path / place, f"{index}.png", 10 * index)
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path)])
    assert f"3 of {low_light.pairs} pairs" in result.stdout and result.stdout.count(", all well") == 6


def test_no_pairs_among_the_clean_photos(clean):
    (folder,) = {path.parent for path in clean.paths}
    result = CliRunner().invoke(
        app, ["data", "degrade", str(folder), "-o", str(folder / "pairs"), "--setting", "3task"]
    )
    assert "would be taken for such" in str(result.exception.hint) and not (folder / "pairs").exists()


def test_what_was_made_passes_its_own_check(clean, tmp_path):
    write_pairs(clean, get_setting("3task"), tmp_path, Degrading(side=64))
    check = ["data", "check", str(tmp_path), "--setting", "3task"]
    assert CliRunner().invoke(app, check).exit_code == 0
    next(tmp_path.rglob("*.png")).unlink()
    assert CliRunner().invoke(app, check).exit_code == 1
