import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.evaluation import metrics
from lorair_cli.evaluation.metrics import IDENTICAL, loe, luma, psnr


def test_psnr_of_a_constant_offset():
    black = np.zeros((20, 20, 3))
    assert psnr(black + 0.1, black, 1.0) == pytest.approx(20)
    assert psnr(black, black, 1.0) == IDENTICAL


def test_luma_of_black_white_and_colours():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]])
    assert luma(colours)[0] == pytest.approx([16, 235, 81.481, 40.966], abs=0.01)


def test_loe_by_hand():
    """Three of four samples in a row, of which two change places: each of the two sees one change."""
    lq = np.repeat(np.array([[10.0, 20.0, 30.0]])[..., None], 3, axis=2)
    swapped = lq[:, [1, 0, 2]]
    assert loe(lq, lq) == 0
    assert loe(lq, swapped) == pytest.approx(2 / 3)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 3.0), st.integers(120, 200))
def test_loe_ignores_changes_that_keep_the_order(gamma, side):
    photo = skimage.data.coffee()[:side, :220]
    assert loe(photo, (photo / 255) ** gamma) == 0
    assert loe(photo, photo[::-1]) > 100


def test_loe_compares_all_samples_of_a_panorama_some_at_a_time(monkeypatch):
    photo = skimage.data.coffee()[:120, :300]
    whole = loe(photo, photo[::-1])
    monkeypatch.setattr(metrics, "LOE_AT_ONCE", 1000)
    assert loe(photo, photo[::-1]) == whole > 100


def test_nothing_scores_above_equal_pictures():
    truth = np.full((512, 512, 3), 100, np.uint8)
    nearly = truth.copy()
    nearly[0, 0, 0] += 1
    assert psnr(nearly, truth, 255) == psnr(truth, truth, 255) == IDENTICAL
