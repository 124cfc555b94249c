import copy
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lorair_cli.errors import DeviceError, ImageError, UsageError
from lorair_cli.imaging.arrays import without_colour
from lorair_cli.imaging.photo import Photo
from lorair_cli.model.routing import convinced, mixture_weights
from lorair_cli.restoration import restorer as module
from lorair_cli.restoration import tiled
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.memory import LARGEST_TILE
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.restoration.tiled import TiledNetwork

COFFEE = np.ascontiguousarray(skimage.data.coffee()[:190, :270])
CAT = np.ascontiguousarray(skimage.data.chelsea()[:150, :201])


@pytest.fixture(scope="module")
def restorer(checkpoint):
    return Restorer(checkpoint, device="cpu", precision="float32", tile=0)


@torch.no_grad()
def as_defined(checkpoint, pixels, prior, mixture):
    """The network with experts unfolded, on the photo mirrored up to a size that its strides divide."""
    network, (height, width) = checkpoint.build_network(), pixels.shape[:2]
    multiple = network.config.multiple
    assert height % multiple and width % multiple, "the photo should have to be filled up"
    filled = cv2.copyMakeBorder(pixels, 0, -height % multiple, 0, -width % multiple, cv2.BORDER_REFLECT)
    lq = torch.from_numpy(filled).permute(2, 0, 1)[None] / 255
    restored = network(lq, prior[None], mixture[None])[0, :, :height, :width]
    return (restored.permute(1, 2, 0).clamp(0, 1) * 255).round().numpy()


def test_equals_router_then_unfolded_network(checkpoint, restorer):
    """The whole pipeline against its definition: views, logits, mixture, the network with experts unfolded."""
    routing = restorer.route(Photo(COFFEE))
    expected = as_defined(checkpoint, COFFEE, routing.prior, mixture_weights(routing.logits, 1))
    restored = restorer.restore(Photo(COFFEE)).photo.rgb
    assert np.abs(restored - expected).max() <= 1  # float32 sums in another order
    assert np.abs(restored.astype(int) - COFFEE).mean() > 1, "the tiny network should change the photo"


def test_results_do_not_depend_on_order_or_company(restorer):
    first = restorer.restore(Photo(COFFEE)).photo.rgb
    restorer.restore(Photo(CAT))
    assert np.array_equal(restorer.restore(Photo(COFFEE)).photo.rgb, first)


def test_folds_again_only_for_another_mixture(checkpoint, monkeypatch):
    restorer, fold = Restorer(checkpoint, device="cpu", precision="float32", tile=0), Mock(wraps=tiled.fold)
    monkeypatch.setattr(tiled, "fold", fold)
    rain, haze = Choices(experts={"rain": 1.0}), Choices(experts={"haze": 1.0})
    first = [restorer.restore(Photo(image), choices=rain).photo.rgb for image in (COFFEE, CAT)]
    assert fold.call_count == 1
    other = restorer.restore(Photo(CAT), choices=haze).photo.rgb
    assert fold.call_count == 2 and not np.array_equal(other, first[1])
    assert np.array_equal(restorer.restore(Photo(CAT), choices=rain).photo.rgb, first[1])


def test_sixteen_bits_and_alpha_stay(restorer):
    alpha = np.arange(190 * 270, dtype=np.uint16).reshape(190, 270)
    photo = Photo(COFFEE.astype(np.uint16) * 257, alpha)
    restored = restorer.restore(photo).photo
    assert restored.rgb.dtype == np.uint16 and np.array_equal(restored.alpha, alpha)
    eight = restorer.restore(Photo(COFFEE)).photo.rgb
    assert np.abs(restored.rgb / 257 - eight).max() <= 0.51
    assert (restored.rgb % 257 != 0).any(), "16-bit output must not be 8-bit output stretched"


def test_a_grey_photo_is_grey_after_every_pass(restorer, monkeypatch):
    grey = np.repeat(COFFEE[..., :1], 3, axis=2)
    coloured = restorer.restore(Photo(grey)).photo.rgb
    assert np.ptp(coloured.astype(int), axis=2).max() > 1, "the tiny network should colour it"
    seen, route = [], restorer.route
    monkeypatch.setattr(restorer, "route", lambda photo: seen.append(photo.rgb) or route(photo))
    restored = restorer.restore(Photo(grey, grey=True), choices=Choices(passes=2)).photo.rgb
    assert np.array_equal(seen[1], without_colour(coloured)), "the second pass sees what would have been written"
    assert (np.ptp(restored, axis=2) == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (300, 3), (16, 16), (17, 33)])
def test_any_size(restorer, size):
    photo = Photo(np.full((*size, 3), 90, np.uint8))
    assert restorer.restore(photo).photo.rgb.shape == (*size, 3)


def test_the_router_sees_the_whole_photo_once(checkpoint, monkeypatch):
    tiled = Restorer(checkpoint, device="cpu", precision="float32", tile=96)
    calls = []
    original = module.views_of
    monkeypatch.setattr(module, "views_of", lambda rgb, *how: calls.append(rgb.shape) or original(rgb, *how))
    result = tiled.restore(Photo(COFFEE))
    assert result.tiles > 1 and calls == [COFFEE.shape]


def test_tiles_change_little(checkpoint):
    """With a pooling window smaller than the overlap, only the network's reach over a tile's edge can differ."""
    whole = Restorer(checkpoint, device="cpu", precision="float32", tile=0, pooling_window=16)
    tiled = Restorer(checkpoint, device="cpu", precision="float32", tile=128, pooling_window=16)
    a, b = whole.restore(Photo(COFFEE)), tiled.restore(Photo(COFFEE))
    assert a.tiles == 1 and b.tiles > 1
    difference = np.abs(a.photo.rgb.astype(int) - b.photo.rgb)
    assert difference.max() <= 2 and difference.mean() < 0.1


def test_progress_counts_the_tiles(checkpoint):
    seen = []
    restorer = Restorer(checkpoint, device="cpu", precision="float32", tile=96)
    result = restorer.restore(Photo(COFFEE), lambda done, total: seen.append((done, total)))
    assert seen == [(i + 1, result.tiles) for i in range(result.tiles)]


def test_nan_is_an_error_and_never_a_picture(checkpoint):
    restorer = Restorer(checkpoint, device="cpu", precision="float32")
    with torch.no_grad():
        restorer.require_network().network.ending.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ImageError, match="no colours"):
        restorer.restore(Photo(COFFEE))


def test_top_k_mixes_that_many_experts(checkpoint):
    diagnosis = Restorer(checkpoint, device="cpu", top_k=2).diagnose(Photo(COFFEE))
    weights = [expert.weight for expert in diagnosis.experts]
    assert len(weights) == 2 and sum(weights) == pytest.approx(1) and weights == sorted(weights, reverse=True)
    best = sorted(diagnosis.probabilities, key=diagnosis.probabilities.get, reverse=True)[:2]
    assert [expert.degradation for expert in diagnosis.experts] == best
    assert sum(diagnosis.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("top_k", [0, 4])
def test_top_k_out_of_range(checkpoint, top_k):
    with pytest.raises(UsageError, match="top-k"):
        Restorer(checkpoint, device="cpu", top_k=top_k)


def test_tile_too_small(checkpoint):
    with pytest.raises(UsageError, match="tile of 70"):
        Restorer(checkpoint, device="cpu", tile=70)


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:x", ""])
def test_unknown_device(checkpoint, name):
    with pytest.raises(UsageError, match="no device"):
        Restorer(checkpoint, device=name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device whose absence is tested")
def test_a_missing_device_is_an_error(checkpoint):
    with pytest.raises(DeviceError, match="CUDA"):
        Restorer(checkpoint, device="cuda")


def test_float16_is_refused_on_the_cpu(checkpoint):
    with pytest.raises(DeviceError, match="float16"):
        Restorer(checkpoint, device="cpu", precision="float16")


def test_bfloat16_is_close_to_float32(checkpoint, restorer):
    rounded = Restorer(checkpoint, device="cpu", precision="bfloat16", tile=0)
    a, b = restorer.restore(Photo(COFFEE)).photo.rgb, rounded.restore(Photo(COFFEE)).photo.rgb
    assert np.abs(a.astype(int) - b).mean() < 1


def test_nan_in_float16_starts_again_in_float32_and_says_so(checkpoint, restorer, monkeypatch):
    half = Restorer(checkpoint, device="cpu", precision="float32", tile=0)
    half.precision = "float16"  # refused on the CPU for good reasons, of which this is one
    original, precisions = TiledNetwork._restore_tile, []

    def overflowing(self, network, rgb, prior):
        precisions.append(network.ending.bias.dtype)
        if precisions[-1] == torch.float16:
            network.ending.bias.fill_(torch.inf)
        return original(self, network, rgb, prior)

    monkeypatch.setattr(TiledNetwork, "_restore_tile", overflowing)
    result = half.restore(Photo(COFFEE))
    assert precisions == [torch.float16, torch.float32] and "restored in float32" in result.notes[0]
    difference = np.abs(result.photo.rgb.astype(int) - restorer.restore(Photo(COFFEE)).photo.rgb)
    assert difference.mean() < 1, "only the router's float16 may be left to see"


def test_a_router_that_gives_nan_is_an_error(checkpoint):
    restorer = Restorer(checkpoint, device="cpu", precision="float32")
    restorer._router = copy.deepcopy(restorer._router)  # its tensors are the checkpoint's
    with torch.no_grad():
        restorer._router.head.bias[0] = torch.nan
    with pytest.raises(ImageError, match="router"):
        restorer.restore(Photo(COFFEE))


@pytest.mark.parametrize("job", ["diagnose", "restore"])
def test_a_router_that_runs_out_of_memory_is_one_line(checkpoint, job, monkeypatch):
    restorer = Restorer(checkpoint, device="cpu", precision="float32", tile=0)
    monkeypatch.setattr(restorer._router, "forward", Mock(side_effect=torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(ImageError, match="out of memory on cpu while the router looked at the photo"):
        getattr(restorer, job)(Photo(COFFEE))


def test_halving_ends_at_the_smallest_tile_of_the_network(checkpoint, monkeypatch):
    restorer = Restorer(checkpoint, device="cpu", precision="float32", tile=0)
    monkeypatch.setattr(tiled, "smallest_tile", lambda config: 160)
    monkeypatch.setattr(TiledNetwork, "_restore_tile", Mock(side_effect=MemoryError))
    with pytest.raises(ImageError, match="even with tiles of 160 pixels"):
        restorer.restore(Photo(COFFEE))


@pytest.mark.parametrize("window", [0, -384])
def test_a_pooling_window_of_nothing_is_refused(checkpoint, window):
    with pytest.raises(UsageError, match=f"a pooling window of {window} pixels"):
        Restorer(checkpoint, device="cpu", pooling_window=window)


def test_the_tile_follows_the_free_memory(checkpoint, monkeypatch):
    tiles = []
    for free in (None, 10**12, 10**8, 10**3):
        monkeypatch.setattr(module, "free_memory", lambda device, free=free: free)
        tiles.append(Restorer(checkpoint, device="cpu").tile)
    assert tiles[:2] == [LARGEST_TILE, LARGEST_TILE] and LARGEST_TILE > tiles[2] > tiles[3] == 128
    assert Restorer(checkpoint, device="cpu", tile=300).tile == 300


def test_experts_by_hand_equal_the_network_with_that_mixture(checkpoint, restorer):
    names = checkpoint.info.degradations
    result = restorer.restore(Photo(CAT), choices=Choices(experts={names[2]: 0.25, names[0]: 0.5}))
    prior = convinced(restorer.route(Photo(CAT)).prior, checkpoint.build_router().head, (0, 2))
    expected = as_defined(checkpoint, CAT, prior, torch.tensor([0.5, 0.0, 0.25]))
    assert np.abs(result.photo.rgb - expected).max() <= 1
    assert [(e.degradation, e.weight) for e in result.diagnosis.experts] == [(names[0], 0.5), (names[2], 0.25)]
    assert result.diagnosis.probabilities == restorer.diagnose(Photo(CAT)).probabilities


def test_a_photo_left_alone_is_the_photo(restorer):
    photo = Photo(CAT)
    result = restorer.restore(photo, choices=Choices(only_if=1.0))
    assert result.untouched and result.photo is photo and result.tiles == 0 and result.passes == ()


def test_every_pass_looks_anew(restorer):
    twice = restorer.restore(Photo(CAT), choices=Choices(passes=2))
    once = restorer.restore(Photo(CAT))
    again = restorer.restore(once.photo)
    assert np.array_equal(twice.photo.rgb, again.photo.rgb) and twice.tiles == once.tiles + again.tiles
    assert twice.passes == (once.diagnosis, again.diagnosis) and twice.diagnosis == once.diagnosis
    half = restorer.restore(Photo(CAT), choices=Choices(passes=2, strength=0.5)).photo.rgb
    middle = (CAT + twice.photo.rgb.astype(float)) / 2
    assert np.abs(half - middle).max() <= 0.5 + 1e-6, "strength is about the whole way, not each pass"


def test_a_photo_of_middling_size_is_not_cut_up_unless_a_tile_is_named(checkpoint, monkeypatch):
    monkeypatch.setattr(module, "choose_tile", lambda *_: 128)
    monkeypatch.setattr(module, "choose_whole", lambda config, free: 0 if free == 0 else 160 * 160)
    scene = cv2.resize(CAT, (161, 160))
    chosen, named = (Restorer(checkpoint, device="cpu", precision="float32", tile=tile) for tile in (None, 128))
    assert chosen.restore(Photo(scene[:, :160])).tiles == 1 < chosen.restore(Photo(scene)).tiles
    assert named.restore(Photo(scene[:, :160])).tiles > 1


@pytest.mark.parametrize(("room", "folds"), [(2**26, 2), (0, 3)])
def test_folded_networks_are_kept_as_far_as_there_is_room(checkpoint, monkeypatch, room, folds):
    folded, fold = [], tiled.fold
    monkeypatch.setattr(tiled, "KEPT_BYTES", room)
    monkeypatch.setattr(tiled, "fold", lambda *how: folded.append(how) or fold(*how))
    restorer = Restorer(checkpoint, device="cpu", precision="float32")
    first, _, again = (
        restorer.restore(Photo(CAT), choices=Choices(experts={name: 1.0})).photo.rgb
        for name in ("rain", "haze", "rain")
    )
    assert np.array_equal(first, again) and len(folded) == folds
