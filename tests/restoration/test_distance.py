from dataclasses import replace

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lorair_cli.imaging.arrays import to_float
from lorair_cli.imaging.photo import Photo
from lorair_cli.model.routing import Routing
from lorair_cli.restoration import passes as module
from lorair_cli.restoration import work
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.distance import AFAR, LARGE, belongs_afar, carried_over, from_afar, is_large
from lorair_cli.restoration.tiled import Way

SCENE = cv2.resize(skimage.data.coffee(), (1200, 800), interpolation=cv2.INTER_CUBIC)


def psnr(one, other):
    return -10 * np.log10(np.mean((to_float(one) - to_float(other)) ** 2))


def test_a_large_photo_is_known_by_its_short_side():
    assert is_large(np.zeros((LARGE + 1, LARGE + 1, 3), np.uint8))
    assert not is_large(np.zeros((5000, LARGE, 3), np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_copy_has_the_means_of_the_photo(dtype):
    photo = SCENE.astype(dtype) * (257 if dtype == np.uint16 else 1)
    small = from_afar(photo)
    assert small.shape == (AFAR, 768, 3) and small.dtype == dtype
    assert np.abs(to_float(small).mean((0, 1)) - to_float(photo).mean((0, 1))).max() < 1 / 255


@pytest.mark.parametrize(("height", "width"), [(641, 641), (700, 1901), (3000, 650)])
def test_nothing_changed_on_the_copy_is_nothing_changed(height, width):
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    small = from_afar(photo)
    assert np.abs(carried_over(photo, small, small).astype(int) - photo).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_veil_is_lifted_from_the_photo_as_from_its_copy_with_all_detail(dtype):
    white = np.iinfo(dtype).max
    grain = np.random.default_rng(1).normal(0, 6, SCENE.shape)  # finer than the copy shows
    clean = (np.clip(SCENE * 0.8 + 20 + grain, 0, 255) / 255 * white).astype(dtype)
    veiled = np.rint(clean * 0.5 + 0.4 * white).astype(dtype)
    lifted = carried_over(veiled, from_afar(veiled), from_afar(clean))
    assert lifted.dtype == dtype and psnr(veiled, clean) < 15 < 32 < psnr(lifted, clean)
    fine = [to_float(p) - cv2.blur(to_float(p), (3, 3)) for p in (clean, veiled, lifted)]
    assert np.std(fine[1]) < 0.55 * np.std(fine[0]) < 0.8 * np.std(fine[2])


def test_a_spot_is_removed_where_it_is():
    spotted, (y, x) = SCENE.copy(), (500, 900)
    cv2.circle(spotted, (x, y), 40, (250, 250, 250), -1)
    removed = carried_over(spotted, from_afar(spotted), from_afar(SCENE))
    spot = np.s_[y - 30 : y + 30, x - 30 : x + 30]
    assert psnr(spotted[spot], SCENE[spot]) < 12 and psnr(removed[spot], SCENE[spot]) > 24
    away = np.s_[:400]
    assert np.abs(removed[away].astype(int) - SCENE[away]).max() <= 1


@pytest.mark.parametrize(
    ("names", "near", "far", "afar"),
    [
        (["haze"], 0.9, 0.1, True),
        (["shadow", "raindrop"], 0.4, 0.1, True),
        (["rain"], 0.49, 0.5, True),
        (["rain"], 0.5, 0.9, False),
        (["rain"], 0.4, 0.45, False),
        (["noise"], 0.1, 1.0, False),
        (["haze", "noise"], 0.1, 1.0, False),
        ([], 0.1, 1.0, False),
    ],
)
def test_what_lies_over_the_scene_is_repaired_from_afar_and_rain_if_only_seen_from_there(names, near, far, afar):
    every = ("haze", "shadow", "raindrop", "rain", "noise")
    assert belongs_afar(names, dict.fromkeys(every, near), dict.fromkeys(every, far)) is afar


@torch.inference_mode()
def test_the_papers_pass_is_at_full_size_and_noise_always(looking):
    photo = Photo(SCENE)
    by_itself, paper = (looking.restore(photo, choices=Choices(experts={"haze": 1.0}, passes=p)) for p in (None, 1))
    assert paper.tiles >= 1 and not np.array_equal(by_itself.photo.rgb, paper.photo.rgb)
    routing = looking.told(looking.route(photo), {"haze": 1.0})
    restored, _ = looking.require_network().restore(SCENE, routing, 0, Way("float32"), None)
    assert np.array_equal(paper.photo.rgb, restored)
    noise = [looking.restore(photo, choices=Choices(experts={"noise": 1.0}, passes=p)).photo.rgb for p in (1, None)]
    assert np.array_equal(*noise)


@pytest.mark.parametrize("surer", [0, 1])
def test_the_surer_of_two_looks_counts_be_it_from_near_or_afar(looking, monkeypatch, surer):
    logits = [torch.zeros(10), torch.zeros(10)]
    logits[surer][4], logits[1 - surer][2] = 5.0, 3.0
    looks = [Routing(one, torch.zeros(8), torch.eye(10)[int(one.argmax())]) for one in logits]
    monkeypatch.setattr(looking, "_look", lambda rgb: looks[0 if rgb is SCENE else 1])
    seen = looking.route(Photo(SCENE))
    assert torch.equal(seen.logits, logits[surer]) and seen.selected == [4]
    assert seen.looks is not None and all(map(torch.equal, seen.looks, (look.probabilities for look in looks)))


@pytest.mark.parametrize("scratched", [False, True])
def test_scratches_of_a_large_photo_are_looked_for_on_its_copy(looking, monkeypatch, scratched):
    seen = []
    monkeypatch.setattr(module, "may_be_scratched", lambda before: True)
    monkeypatch.setattr(module, "are_scratches", lambda *both: seen.append(both) or scratched)
    filled = looking.restore(Photo(SCENE), choices=Choices(experts={"inpainting": 1.0}, passes=None))
    result = looking.restore(Photo(SCENE), choices=Choices(passes=None))
    ((before, after),) = seen
    assert np.array_equal(before, from_afar(SCENE)) and after.shape == before.shape
    assert np.array_equal(result.photo.rgb, filled.photo.rgb) is scratched


@torch.inference_mode()
@pytest.mark.parametrize("wet", [False, True])
def test_rain_on_a_large_photo_is_looked_for_and_repaired_on_its_copy(looking, monkeypatch, wet):
    seen = []
    monkeypatch.setattr(module, "may_be_scratched", lambda before: False)
    monkeypatch.setattr(module, "may_be_rainy", lambda before: True)
    monkeypatch.setattr(work, "further_copies", lambda *_: ())
    monkeypatch.setattr(module, "are_streaks", lambda *both: seen.append(both) or wet)
    look, noisy = looking.route, looking.told(looking.route(Photo(SCENE)), {"noise": 1.0})
    monkeypatch.setattr(looking, "route", lambda photo: noisy if photo.rgb is SCENE else look(photo))
    result = looking.restore(Photo(SCENE), choices=Choices(passes=None))
    ((before, after),) = seen
    assert np.array_equal(before, from_afar(SCENE))
    told = looking.told(noisy, {"rain": 1.0})
    small, _ = looking.require_network().restore(from_afar(SCENE), told, 0, Way("float32"), None)
    dry = carried_over(SCENE, from_afar(SCENE), small)
    assert np.array_equal(after, small)
    assert np.array_equal(result.photo.rgb, dry) is wet


def test_sharpening_tells_nothing_of_a_large_photo(looking, monkeypatch):
    monkeypatch.setattr(module, "least_sharpening_instead", lambda before: pytest.fail("asked"))
    looking.restore(Photo(SCENE), choices=Choices(passes=None))


@torch.inference_mode()
def test_of_two_looks_the_surer_one_counts(looking):
    near, far = (looking._look(rgb).probabilities for rgb in (SCENE, from_afar(SCENE)))
    seen = looking.route(Photo(SCENE))
    assert seen.looks is not None and [float(p.max()) for p in seen.looks] == [float(near.max()), float(far.max())]
    assert float(seen.probabilities.max()) == max(float(near.max()), float(far.max()))
    assert looking.route(Photo(SCENE[:LARGE])).looks is None


def test_a_router_that_shrinks_photos_itself_looks_once(looking):
    looking.info = replace(looking.info, router=replace(looking.info.router, view_mode="resize"))
    assert looking.route(Photo(SCENE)).looks is None
