from collections import Counter

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lorair_cli.data import pairs as module
from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.pairs import Sampling, SyntheticPairs
from lorair_cli.errors import TrainingError
from lorair_cli.settings import get_setting

VIEW = 16


def positions(h, w):
    """A photo that says of every pixel where it is: row in red, column in green."""
    rows, columns = np.indices((h, w), dtype=np.uint8)
    return np.stack([rows, columns, np.full_like(rows, 100)], axis=-1)


def in_folder(folder, **photos):
    for name, pixels in photos.items():
        cv2.imwrite(str(folder / f"{name}.png"), pixels[..., ::-1])
    return CleanPhotos.find([folder])


@pytest.fixture
def clean(tmp_path):
    scene = skimage.data.astronaut()
    return in_folder(tmp_path, a=scene[:96, :120], b=scene[200:300, 100:190])


@pytest.fixture
def quick(monkeypatch):
    """A negative in place of the degradations, where only the drawing matters."""
    monkeypatch.setattr(module, "degrade", lambda photo, *how: 1 - photo)


def stream(clean, setting="3task", seed=0, **sampling):
    options = {"photo_sides": (40, 56), "patch": 32, "patches": 2, "local_views": 3} | sampling
    return SyntheticPairs(clean, get_setting(setting), Sampling(**options), VIEW, seed)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_sample_is_a_function_of_seed_and_index(clean):
    forwards = [stream(clean)[i] for i in range(6)]
    source = stream(clean)
    backwards = [source[i] for i in reversed(range(6))][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert not any(same(a, b) for i, a in enumerate(forwards) for b in forwards[:i])
    assert not same(stream(clean, seed=1)[0], forwards[0])


def test_shapes_and_types(clean):
    sample = stream(clean)[0]
    assert sample.views.shape == (1 + 3, 3, VIEW, VIEW) and sample.views.dtype == torch.uint8
    assert sample.lq.shape == sample.gt.shape == (2, 3, 32, 32) and sample.lq.dtype == sample.gt.dtype == torch.uint8
    assert sample.label.dtype == torch.int64 and sample.label.shape == sample.strength.shape == ()
    assert sample.strength.dtype == torch.float32


def test_a_router_needs_no_patches(clean):
    sample = stream(clean, patches=0)[0]
    assert sample.lq.shape == sample.gt.shape == (0, 3, 32, 32)


def test_degradations_come_in_their_ratios(clean, quick):
    source = stream(clean, patches=0, local_views=1, ratios={"haze": 3.0, "noise": 0.0})
    setting, n = get_setting("3task"), 300
    counts = Counter(setting.degradations[int(source[i].label)] for i in range(n))
    assert counts["noise"] == 0 and counts["haze"] + counts["rain"] == n
    spread = (n * 0.75 * 0.25) ** 0.5
    assert abs(counts["haze"] - 0.75 * n) < 4 * spread


def test_ratios_that_leave_nothing_are_refused(clean):
    with pytest.raises(TrainingError, match="3task"):
        stream(clean, ratios={"rain": 0.0, "haze": 0.0, "noise": 0.0})


def test_the_untouched_share_is_left_as_it_is(clean, quick):
    n, share = 200, 0.3
    samples = [stream(clean, untouched=share, local_views=1)[i] for i in range(n)]
    left = [s for s in samples if s.strength == 0]
    assert abs(len(left) - share * n) < 4 * (n * share * (1 - share)) ** 0.5
    assert all(torch.equal(s.lq, s.gt) for s in left)
    assert all(not torch.equal(s.lq, s.gt) for s in samples if s.strength > 0)


def test_the_composite_share_gets_a_second_degradation_by_the_ratios(clean, quick):
    n, share = 300, 0.4
    source = stream(clean, composite=share, untouched=0.1, local_views=1, ratios={"noise": 0.0})
    samples = [source[i] for i in range(n)]
    both = [s for s in samples if s.second >= 0]
    expected = share * sum(bool(s.strength > 0) for s in samples)
    assert abs(len(both) - expected) < 4 * (expected * (1 - share)) ** 0.5
    assert {frozenset((int(s.label), int(s.second))) for s in both} == {frozenset((0, 1))}  # rain and haze, never noise
    assert all(0 < s.strength <= 1 and 0 <= s.second_strength <= 1 for s in both)
    assert all(s.second_strength == 0 for s in samples if s.second < 0)


def test_the_saved_share_went_through_jpeg_whatever_else_is_wrong(clean, monkeypatch):
    saved = []

    def remembered(photo, parameters):
        saved.append(photo)
        return 255 - photo

    monkeypatch.setattr(module.jpeg, "saved", remembered)
    monkeypatch.setattr(module, "degrade", lambda photo, *how: photo)  # so that only saving changes anything
    n, share = 200, 0.3
    source = stream(clean, saved=share, untouched=0.4, local_views=1)
    samples = [source[i] for i in range(n)]
    changed = [s for s in samples if not torch.equal(s.lq, s.gt)]
    assert len(changed) == len(saved)
    assert abs(len(changed) - share * n) < 4 * (n * share * (1 - share)) ** 0.5
    assert {bool(s.strength > 0) for s in changed} == {True, False}  # the untouched, too
    assert all(torch.equal(s.lq, 255 - s.gt) for s in changed)


def test_a_jpeg_is_not_saved_again(clean, quick, monkeypatch):
    monkeypatch.setattr(module.jpeg, "saved", lambda *how: pytest.fail("saved"))
    ratios = {name: float(name == "jpeg") for name in get_setting("10task").degradations}
    source = stream(clean, setting="10task", saved=1.0, untouched=0.0, ratios=ratios)
    assert all(source[i].strength > 0 for i in range(5))


def test_what_is_never_saved_is_drawn_as_ever(clean):
    assert all(same(stream(clean, saved=0.0)[i], stream(clean)[i]) for i in range(4))


def test_two_degradations_happen_in_the_order_of_a_photos_life(clean, monkeypatch):
    applied = []

    def remembered(photo, name, rng, strength, shares, scale):
        applied.append((name, strength))
        return photo

    monkeypatch.setattr(module, "degrade", remembered)
    source, names = stream(clean, composite=1.0, untouched=0.0), get_setting("3task").degradations
    seen = set()
    for index in range(40):
        applied.clear()
        sample = source[index]
        told = {names[sample.label]: float(sample.strength), names[sample.second]: float(sample.second_strength)}
        assert {name: pytest.approx(strength) for name, strength in applied} == told
        assert len(told) == 2
        seen.add(tuple(name for name, _ in applied))
    assert seen == {("haze", "rain"), ("haze", "noise"), ("rain", "noise")}


def test_without_another_degradation_there_is_no_second(clean, quick):
    source = stream(clean, composite=1.0, untouched=0.0, ratios={"haze": 0.0, "noise": 0.0})
    assert all(source[i].second == -1 for i in range(5))


def test_strengths_are_even(clean, quick):
    strengths = [float(stream(clean, untouched=0.0, patches=0)[i].strength) for i in range(120)]
    assert 0 < min(strengths) < 0.1 and 0.9 < max(strengths) <= 1 and abs(np.mean(strengths) - 0.5) < 0.1


def test_strengths_stay_in_the_range_of_their_degradation_as_a_second_one_too(clean, quick):
    options = {"untouched": 0.0, "patches": 0, "composite": 0.5, "ratios": {"noise": 0.0}}
    source = stream(clean, strengths={"rain": [0.2, 0.3]}, **options)
    found = {0: [], 1: []}  # rain, haze
    for sample in (source[i] for i in range(150)):
        found[int(sample.label)].append(float(sample.strength))
        if sample.second >= 0:
            found[int(sample.second)].append(float(sample.second_strength))
    assert 0.2 <= min(found[0]) < 0.22 and 0.28 < max(found[0]) <= 0.3
    assert min(found[1]) < 0.1 and max(found[1]) > 0.9


def test_a_veil_comes_as_often_as_it_is_asked_for(tmp_path):
    clean = in_folder(tmp_path, night=np.zeros((64, 64, 3), np.uint8))
    options = {
        "untouched": 0.0,
        "local_views": 1,
        "ratios": {"haze": 0.0, "noise": 0.0},
        "strengths": {"rain": [0.5, 0.5]},
    }
    without, always = (stream(clean, veils={"rain": p}, **options) for p in (0.0, 1.0))
    by_default = stream(clean, **options)
    hidden = [[bool((source[i].lq > 0).all()) for i in range(24)] for source in (without, by_default, always)]
    assert [sum(h) for h in hidden][::2] == [0, 24] and 2 < sum(hidden[1]) < 22
    assert all(same(without[i], by_default[i]) for i in range(24) if not hidden[1][i])


def test_what_is_asked_of_a_synthesis_reaches_its_degradation_alone(clean, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "degrade", lambda photo, *rest: asked.append(rest) or photo)
    tables = {"veils": {"rain": 0.2}, "mists": {"rain": 0.3}, "drizzles": {"rain": 0.4}, "distances": {"haze": 0.5}}
    source = stream(clean, untouched=0.0, scales=(0.5, 2.0), **tables)
    for index in range(60):
        _ = source[index]
    shares = {name: shares for name, _, _, shares, _ in asked}
    assert shares == {
        "rain": {"veiled": 0.2, "misty": 0.3, "drizzling": 0.4},
        "haze": {"distant": 0.5},
        "noise": {},
    }
    scales = sorted(scale for *_, scale in asked)
    assert 0.5 <= scales[0] < 0.6 and 1.7 < scales[-1] <= 2.0 and 0.8 < scales[30] < 1.25


def test_one_size_of_structures_draws_nothing(clean):
    same_size, by_default = stream(clean, scales=(1.0, 1.0)), stream(clean)
    assert all(same(same_size[i], by_default[i]) for i in range(3))


def test_lq_and_gt_patches_come_from_the_same_place(clean, monkeypatch):
    monkeypatch.setattr(module, "degrade", lambda photo, *how: photo * np.float32(0.5))
    for index in range(10):
        sample = stream(clean, untouched=0.0)[index]
        np.testing.assert_array_equal(sample.lq, (sample.gt.float() / 2 + 0.5).floor().to(torch.uint8))


def test_the_router_sees_the_degraded_photo_that_the_patches_are_cut_from(clean, monkeypatch):
    monkeypatch.setattr(module, "degrade", lambda photo, *how: np.full_like(photo, 0.2))
    sample = stream(clean, untouched=0.0)[0]
    assert (sample.views == 51).all() and (sample.lq == 51).all() and not (sample.gt == 51).all()


def test_patches_are_pieces_of_the_photo_mirrored_and_turned_but_never_mixed_up(tmp_path):
    clean = in_folder(tmp_path, positions=positions(100, 90))
    orders = set()
    for index in range(60):
        patch = stream(clean, untouched=1.0, smallest_scale=1.0)[index].gt[0].int()
        row, column = patch[0], patch[1]
        steps = [int(field.diff(dim=axis)[0, 0]) for field in (row, column) for axis in (0, 1)]
        assert sorted(map(abs, steps)) == [0, 0, 1, 1]
        for field, along in ((row, steps[:2]), (column, steps[2:])):
            assert all((field.diff(dim=axis) == step).all() for axis, step in enumerate(along))
        assert (patch[2] == 100).all()
        orders.add(tuple(steps))
    assert len(orders) >= 6, "mirrored and turned copies are rare or missing"


def test_a_photo_smaller_than_a_patch_is_mirrored_up_and_keeps_its_pixels(tmp_path):
    clean = in_folder(tmp_path, small=positions(20, 45))
    for index in range(12):
        sample = stream(clean, untouched=1.0)[index]
        assert sample.gt.shape == (2, 3, 32, 32)
        assert int(sample.gt[:, 0].max()) < 20 and int(sample.gt[:, 1].max()) < 45
        assert (sample.gt[:, 2] == 100).all()


def test_a_single_pixel_is_no_crash(tmp_path):
    clean = in_folder(tmp_path, dot=np.full((1, 1, 3), 7, np.uint8))
    for index in range(12):
        assert stream(clean)[index].lq.shape == (2, 3, 32, 32)


def test_shrinking_stays_within_its_limit(tmp_path):
    clean = in_folder(tmp_path, wide=positions(200, 250))
    steps = []
    for index in range(40):
        patch = stream(clean, untouched=1.0, smallest_scale=0.5)[index].gt[0].float()
        steps.append(max(abs(float(patch[0].diff(dim=axis).mean())) for axis in (0, 1)))
    assert 0.95 < min(steps) < 1.2 and 1.7 < max(steps) < 2.1


def test_a_broken_photo_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(TrainingError, match=r"broken\.png"):
        stream(CleanPhotos.find([tmp_path]))[0]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"photo_sides": (200, 100)}, "photo_sides"),
        ({"photo_sides": (64, 128), "patch": 96}, "photo_sides"),
        ({"smallest_scale": 0.0}, "smallest_scale"),
        ({"smallest_scale": 1.5}, "smallest_scale"),
        ({"patches": -1}, "patches"),
        ({"patch": 0}, "patch"),
        ({"local_views": 0}, "local_views"),
        ({"untouched": 1.1}, "untouched"),
        ({"ratios": {"fog": 1.0}}, "fog"),
        ({"ratios": {"rain": -1.0}}, "rain"),
        ({"ratios": {"rain": "much"}}, "rain"),
        ({"strengths": {"fog": (0, 1)}}, "fog"),
        ({"strengths": {"rain": (0.5, 0.2)}}, "rain"),
        ({"strengths": {"rain": (0, 1.5)}}, "rain"),
        ({"strengths": {"rain": (0, 0.5, 1)}}, "rain"),
        ({"strengths": {"rain": "01"}}, "rain"),
        ({"strengths": {"rain": 0.5}}, "rain"),
        ({"veils": {"haze": 0.5}}, "haze"),
        ({"veils": {"fog": 0.5}}, "fog"),
        ({"veils": {"snow": 1.5}}, "snow"),
        ({"veils": {"snow": True}}, "snow"),
        ({"mists": {"snow": 0.5}}, "snow is never misty"),
        ({"mists": {"rain": -0.5}}, "expected a probability"),
        ({"plains": {"rain": 0.5}}, "rain is never plain"),
        ({"drizzles": {"snow": 0.5}}, "snow is never drizzling"),
        ({"distances": {"haze": 2}}, "expected a probability"),
        ({"scales": (2.0, 1.0)}, "scales"),
        ({"scales": (0.0, 1.0)}, "scales"),
        ({"scales": (1.0, float("inf"))}, "scales"),
    ],
)
def test_a_sampling_that_cannot_be_is_refused_by_name(wrong, named):
    with pytest.raises(ValueError, match=named):
        Sampling(**wrong)
