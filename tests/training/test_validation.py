from contextlib import nullcontext

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.model.config import NetworkConfig
from lorair_cli.settings import get_setting
from lorair_cli.training import validation as module
from lorair_cli.training.arithmetic import Arithmetic
from lorair_cli.training.validation import UNTOUCHED, Score, Validation, as_table, mean_score, psnr, ssim


class Oracle(torch.nn.Module):
    """A router that always says the same."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, views):
        return torch.zeros(len(views), 8), self.logits.expand(len(views), -1)


class Same(torch.nn.Module):
    """A network that changes nothing."""

    config = NetworkConfig(experts=0)

    def forward(self, lq, prior, mixture):
        return lq


@pytest.fixture(scope="module")
def validation(clean):
    return Validation(clean, get_setting("3task"), 32)


def test_psnr_agrees_with_its_definition():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    assert psnr(one, two) == pytest.approx(peak_signal_noise_ratio(one, two, data_range=255), abs=1e-4)
    assert psnr(one, one) == 60


def test_a_score_for_each_degradation_and_for_untouched_photos(validation):
    scores = validation.score(Oracle([0.0, 9.0, 0.0]), Same(), 1, nullcontext)
    assert [s.degradation for s in scores] == ["rain", "haze", "noise", UNTOUCHED]
    assert [s.recognised for s in scores[:3]] == [0, 1, 0] and scores[3].recognised > 0.99
    for s in scores:
        assert s.psnr_after == pytest.approx(s.psnr_before, abs=1e-6)
        likeness = [ssim(lq, gt) for name, lq, gt, _ in validation.crops if name == s.degradation]
        assert s.ssim_after == pytest.approx(np.mean(likeness), abs=1e-6) and s.ssim_after < 1 + 1e-9
    assert mean_score(scores) == pytest.approx(np.mean([s.psnr_after for s in scores[:3]]))
    assert scores[3].psnr_before == 60 and all(s.psnr_before < 40 for s in scores[:3])


class Filled(Same):
    """A network for sizes that it can halve three times; changes nothing and remembers what it got."""

    config = NetworkConfig(experts=0, encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1))

    def forward(self, lq, prior, mixture):
        self.got, self.autocast = lq, torch.is_autocast_enabled("cpu")
        return lq


def test_crops_are_filled_up_with_the_mirrored_photo_and_cut_back(tmp_path):
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "odd.png"), rng.integers(0, 256, (61, 45, 3), dtype=np.uint8))
    odd, network = Validation(CleanPhotos.find([tmp_path]), get_setting("3task"), 32), Filled()
    multiple = network.config.multiple
    for s in odd.score(Oracle([0.0, 9.0, 0.0]), network, 1, nullcontext):
        assert s.psnr_after == pytest.approx(s.psnr_before, abs=1e-6)
    got = (network.got[0].permute(1, 2, 0) * 255).round().numpy()
    assert got.shape == (61 + -61 % multiple, 45 + -45 % multiple, 3) and multiple > 1
    np.testing.assert_array_equal(got[61:, :45], odd.crops[-1][1][61 - (-61 % multiple) :][::-1])


def test_validation_computes_as_training_does(validation):
    network = Filled()
    for precision, expected in (("bf16", True), ("no", False)):
        validation.score(Oracle([0.0, 9.0, 0.0]), network, 1, Arithmetic(torch.device("cpu"), precision).autocast)
        assert network.autocast == expected


def test_a_crop_too_small_for_ssim_does_not_cost_the_others_theirs(tmp_path):
    photo = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for name, crop in (("a", photo), ("b", photo[:3, :2])):
        cv2.imwrite(str(tmp_path / f"{name}.png"), crop)
    scores = Validation(CleanPhotos.find([tmp_path]), get_setting("3task"), 32).score(
        Oracle([0.0, 9.0, 0.0]), Same(), 1, nullcontext
    )
    assert all(s.ssim_after is not None and -1 < s.ssim_after < 1 + 1e-9 for s in scores)


def test_what_is_no_number_scores_as_black(validation, monkeypatch):
    monkeypatch.setattr(Same, "forward", lambda self, lq, prior, mixture: lq * float("nan"))
    scores = validation.score(Oracle([0.0, 9.0, 0.0]), Same(), 1, nullcontext)
    black = [psnr(np.zeros_like(gt), gt) for name, _, gt, _ in validation.crops if name == "rain"]
    assert scores[0].psnr_after == pytest.approx(np.mean(black))


def test_a_router_is_validated_without_a_network(validation):
    scores = validation.score(Oracle([0.0, 9.0, 0.0]), None, 1, nullcontext)
    assert all(s.psnr_after is None and s.ssim_after is None for s in scores)
    assert mean_score(scores) == pytest.approx(1 / 3)
    assert all("-" in line for line in as_table(scores).splitlines()[1:])


def test_a_validation_measures_results_alone(validation, monkeypatch):
    """What is measured of the degraded crops never changes."""
    asked = {"psnr": 0, "ssim": 0}
    for name in asked:

        def count(image, truth, name=name):
            asked[name] += 1
            return 1.0

        monkeypatch.setattr(module, name, count)
    scores = validation.score(Oracle([0.0, 9.0, 0.0]), Same(), 1, nullcontext)
    assert asked == dict.fromkeys(asked, len(validation.crops)) and scores[3].psnr_before == 60
    validation.score(Oracle([0.0, 9.0, 0.0]), None, 1, nullcontext)
    assert asked == dict.fromkeys(asked, len(validation.crops))


def test_the_crops_are_the_same_every_time(clean, validation):
    again = Validation(clean, get_setting("3task"), 32)
    for one, two in zip(validation.crops, again.crops, strict=True):
        assert one[0] == two[0] and torch.equal(one[3], two[3])
        np.testing.assert_array_equal(one[1], two[1])


def test_a_large_folder_is_sampled(clean, monkeypatch):
    monkeypatch.setattr(module, "MOST_PHOTOS", 2)
    assert len(Validation(clean, get_setting("3task"), 32).crops) == 2 * 4


def test_the_table_shows_the_gain():
    table = as_table([Score("rain", 20.0, 23.5, 0.9), Score("haze", 15.0, 14.0, 1.0, 0.87123)]).splitlines()
    assert table[1].split() == ["rain", "20.00", "23.50", "+3.50", "-", "0.90"]
    assert table[2].split() == ["haze", "15.00", "14.00", "-1.00", "0.8712", "1.00"]
    assert len({len(line) for line in table}) == 1


def test_samples_show_a_photo_before_restored_and_true(validation):
    picture = validation.samples(Oracle([0.0, 9.0, 0.0]), Same(), 1, nullcontext)
    h, w = validation.crops[0][1].shape[:2]
    assert picture.shape == (4 * h, 3 * w, 3)
    for row, (_, lq, gt, _) in enumerate(validation.crops[:4]):
        np.testing.assert_array_equal(picture[row * h : (row + 1) * h], np.concatenate([lq, lq, gt], axis=1))


def test_ssim_of_what_is_smaller_than_its_window_is_not_known():
    small = np.zeros((10, 40, 3), np.uint8)
    assert np.isnan(ssim(small, small)) and ssim(np.zeros((11, 40, 3), np.uint8), np.zeros((11, 40, 3), np.uint8)) == 1
