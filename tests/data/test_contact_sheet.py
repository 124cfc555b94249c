import numpy as np
import pytest
import skimage.data

from lorair_cli.data.contact_sheet import LABEL, SAMPLES, contact_sheet, middle_square, sample_photos
from lorair_cli.data.synthesis import SYNTHESES
from lorair_cli.errors import UsageError

SIDE = 48
PHOTOS = [("one", skimage.data.astronaut()), ("two", skimage.data.rocket())]


def square(sheet, row, column):
    y = LABEL + row * (LABEL + SIDE) + LABEL
    return sheet[y : y + SIDE, column * SIDE : (column + 1) * SIDE]


def test_a_row_for_each_photo_and_strength_and_a_column_for_each_degradation():
    sheet = contact_sheet(PHOTOS, [0.2, 0.8], SIDE)
    assert sheet.shape == (LABEL + 4 * (LABEL + SIDE), 11 * SIDE, 3) and sheet.dtype == np.uint8
    for row in range(4):
        clean = middle_square(PHOTOS[row // 2][1], SIDE)
        np.testing.assert_array_equal(square(sheet, row, 0), clean)
        for column in range(1, 11):
            assert (square(sheet, row, column) != clean).any()


def test_the_stronger_row_is_further_from_the_clean_square():
    sheet = contact_sheet(PHOTOS[:1], [0.1, 0.9], SIDE)
    distance = [
        [np.abs(square(sheet, row, c).astype(int) - square(sheet, row, 0)).mean() for c in range(1, 11)]
        for row in (0, 1)
    ]
    assert sum(heavy > mild for mild, heavy in zip(*distance, strict=True)) >= 8
    assert np.mean(distance[1]) > 2 * np.mean(distance[0])


def test_a_seed_gives_the_same_sheet_and_another_seed_another():
    first, again, other = (contact_sheet(PHOTOS[:1], [0.5], SIDE, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_columns_and_rows_are_labelled():
    sheet = contact_sheet(PHOTOS[:1], [0.5], SIDE)
    for column in range(1 + len(SYNTHESES)):
        assert (sheet[:LABEL, column * SIDE : (column + 1) * SIDE] < 128).any(), column
    assert (sheet[LABEL : 2 * LABEL, :SIDE] < 128).any()


def test_the_middle_square_keeps_the_middle():
    photo = np.zeros((60, 100, 3), np.uint8)
    photo[:, 20:80] = 200
    assert (middle_square(photo, 30) == 200).all() and (middle_square(photo, 120) == 200).all()


def test_samples_are_at_hand():
    photos = sample_photos()
    assert tuple(name for name, _ in photos) == SAMPLES
    assert all(photo.shape[2] == 3 and photo.dtype == np.uint8 for _, photo in photos)


def test_a_strength_outside_zero_to_one_is_refused():
    with pytest.raises(UsageError, match=r"1\.5"):
        contact_sheet(PHOTOS[:1], [1.5], SIDE)
