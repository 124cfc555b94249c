"""What experts are shown of a photo, and that the mean of it all is what comes out."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration import passes as module
from lorair_cli.restoration import work
from lorair_cli.restoration.blending import holes_filled
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.copies import FARTHER, Copy
from lorair_cli.restoration.distance import AFAR, LARGE, carried_over, from_afar
from lorair_cli.restoration.tiled import TiledNetwork, Way

SCENE = cv2.resize(skimage.data.coffee(), (1200, 800), interpolation=cv2.INTER_CUBIC)
ITSELF, MIRRORED = Copy(), Copy(mirrored=True)
ALL_WAYS = [ITSELF, MIRRORED, Copy(upside_down=True), Copy(mirrored=True, upside_down=True)]
ON_ITS_SIDE = [copy._replace(on_its_side=True) for copy in ALL_WAYS]
SMALLER = [Copy(FARTHER), Copy(FARTHER, mirrored=True)]


def turned(rgb, copy):
    axes = [0] * copy.upside_down + [1] * copy.mirrored
    flipped = np.flip(rgb, axes)
    return np.ascontiguousarray(np.transpose(flipped, (1, 0, 2)) if copy.on_its_side else flipped)


def turned_back(rgb, copy):
    axes = [0] * copy.upside_down + [1] * copy.mirrored
    return np.flip(np.transpose(rgb, (1, 0, 2)) if copy.on_its_side else rgb, axes)


def by_hand(looking, photo, expert, copies):
    """The mean of what the network makes of these copies, in floats of 255."""
    routing = looking.told(looking.route(photo), {expert: 1.0})
    results = []
    for copy in copies:
        rgb = turned(photo.rgb, copy)
        given = rgb if copy.side is None else from_afar(rgb, copy.side)
        result, _ = looking.require_network().restore(given, routing, looking.tile, Way("float32"), None)
        result = result if copy.side is None else carried_over(rgb, given, result)
        if expert == "inpainting":
            result = holes_filled(rgb, result)
        results.append(to_float(turned_back(result, copy)))
    return 255 * np.mean(results, axis=0)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("expert", "height", "copies"),
    [
        ("haze", FARTHER, [ITSELF, MIRRORED]),
        ("haze", FARTHER + 1, [ITSELF, *SMALLER]),
        ("shadow", LARGE + 1, [Copy(AFAR), *SMALLER]),
        ("raindrop", FARTHER + 1, [ITSELF, MIRRORED]),
        ("raindrop", LARGE + 1, [Copy(AFAR), Copy(AFAR, mirrored=True)]),
        ("blur", 120, [*ALL_WAYS, *ON_ITS_SIDE]),
        ("rain", 120, ALL_WAYS),
        ("snow", 120, ALL_WAYS),
        ("noise", 120, ALL_WAYS),
        ("noise", LARGE + 1, [ITSELF]),
        ("inpainting", 120, [ITSELF, MIRRORED]),
        ("jpeg", 120, [ITSELF]),
        ("low-light", 120, ALL_WAYS),
    ],
)
def test_the_result_is_the_mean_of_several_copies(looking, expert, height, copies):
    photo = Photo(np.ascontiguousarray(SCENE[:height, : height + 40]))
    result = looking.restore(photo, choices=Choices(experts={expert: 1.0}, passes=None))
    # Rounded once, at the end.
    assert np.abs(result.photo.rgb - by_hand(looking, photo, expert, copies)).max() <= 0.51
    once = looking.restore(photo, choices=Choices(experts={expert: 1.0}, passes=1))
    assert np.array_equal(once.photo.rgb, looking.restore(photo, choices=Choices(experts={expert: 1.0})).photo.rgb)
    assert once.tiles <= result.tiles


def test_streaks_that_are_seen_from_afar_only_are_repaired_on_all_copies_of_the_small_one(looking, monkeypatch):
    monkeypatch.setattr(work, "belongs_afar", lambda *_: True)
    photo, copies = Photo(SCENE), [copy._replace(side=AFAR) for copy in ALL_WAYS]
    with torch.inference_mode():
        expected = by_hand(looking, photo, "rain", copies)
    result = looking.restore(photo, choices=Choices(experts={"rain": 1.0}, passes=None))
    assert np.abs(result.photo.rgb - expected).max() <= 1.01


def test_copies_after_memory_ran_out_do_not_begin_with_large_tiles_again(looking, monkeypatch):
    original, wide = TiledNetwork._restore_tile, []

    def short_of_memory(self, network, rgb, prior):
        if max(rgb.shape) > 128:
            wide.append(rgb.shape)
            raise MemoryError
        return original(self, network, rgb, prior)

    monkeypatch.setattr(TiledNetwork, "_restore_tile", short_of_memory)
    photo = Photo(np.ascontiguousarray(SCENE[:120, :160]))
    result = looking.restore(photo, choices=Choices(experts={"rain": 1.0}, passes=None))
    assert len(wide) == 1 and result.tiles == 2 * len(ALL_WAYS)
    again = looking.restore(photo, choices=Choices(experts={"rain": 1.0}, passes=None))
    assert len(wide) == 2 and np.array_equal(again.photo.rgb, result.photo.rgb)  # another photo, another try


def test_what_is_only_tried_is_tried_once(looking, monkeypatch):
    """The second choice is refused: one tile for it, one for each copy of the first, which is kept."""
    photo = Photo(np.ascontiguousarray(SCENE[:120, :160]))
    first = looking.told(looking.route(photo), {"noise": 1.0})
    monkeypatch.setattr(looking, "route", lambda photo: first)
    monkeypatch.setattr(module, "second_choice", lambda *_: "blur")
    monkeypatch.setattr(module, "takes_over", lambda *_: False)
    result = looking.restore(photo, choices=Choices(passes=None))
    assert [e.degradation for e in result.passes[0].experts] == ["noise"]
    assert result.tiles == 1 + len(ALL_WAYS)


def test_a_grey_photo_stays_grey_when_its_copies_are_mixed(looking):
    grey = np.repeat(SCENE[:120, :160, :1], 3, axis=2)
    result = looking.restore(Photo(grey, grey=True), choices=Choices(experts={"noise": 1.0}, passes=None)).photo.rgb
    assert np.ptp(result, axis=2).max() == 0


@pytest.mark.parametrize(
    "copy", [*ALL_WAYS, *ON_ITS_SIDE, Copy(64), Copy(64, mirrored=True, upside_down=True, on_its_side=True)]
)
def test_a_copy_that_was_left_alone_leaves_the_photo_alone(copy):
    smooth = cv2.resize(SCENE, (150, 100), interpolation=cv2.INTER_AREA)
    given = copy.of(smooth)
    assert np.abs(copy.back(smooth, given, given).astype(int) - smooth).max() <= 1
    brighter = from_float(np.clip(to_float(given) + 0.1, 0, 1), np.uint8)
    back = to_float(copy.back(smooth, given, brighter))
    assert np.mean(np.abs(back - np.clip(to_float(smooth) + 0.1, 0, 1))) < 0.005


def test_an_expert_with_a_trace_of_the_mixture_has_no_say_in_copies_nor_in_what_is_filled(looking):
    photo = Photo(np.ascontiguousarray(SCENE[:120, :160]))
    for expert, copies in (("noise", ALL_WAYS), ("inpainting", [ITSELF, MIRRORED])):
        mixed = {expert: 0.98, "jpeg": 0.02}
        result = looking.restore(photo, choices=Choices(experts=mixed, passes=None))
        assert result.tiles == len(copies)
    raw = looking.restore(photo, choices=Choices(experts=mixed, passes=1)).photo.rgb
    filled = looking.restore(photo, choices=Choices(experts=mixed, passes=None)).photo.rgb
    kept = [np.mean((rgb == photo.rgb).all(axis=2)) for rgb in (raw, filled)]
    assert kept[1] >= kept[0] and not np.array_equal(raw, filled)
