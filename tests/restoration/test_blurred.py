import math

import cv2
import numpy as np
import pytest
from diagnoses import sees

from lorair_cli.restoration.blurred import (
    LEAST_BLUR,
    LIKELY_BLUR,
    PLAINLY_SHARPENED,
    SHAKEN,
    SHARPENED,
    SHARPENED_INSTEAD,
    SOFT,
    fine_detail,
    least_sharpening,
    least_sharpening_instead,
    was_blurred,
)
from lorair_cli.restoration.checks import BEYOND_DOUBT, UNCLEAR


@pytest.mark.parametrize(
    ("seen", "least"),
    [
        ({"shadow": 0.8, "blur": LEAST_BLUR}, SHARPENED),
        ({"shadow": 0.8, "blur": LEAST_BLUR - 0.01}, PLAINLY_SHARPENED),
        ({"shadow": BEYOND_DOUBT, "blur": LEAST_BLUR}, PLAINLY_SHARPENED),
        ({"shadow": 0.3, "haze": UNCLEAR - 0.01, "blur": LIKELY_BLUR}, SHARPENED_INSTEAD),
        ({"shadow": 0.3, "raindrop": UNCLEAR - 0.01, "blur": LIKELY_BLUR - 0.01}, math.inf),
        ({"jpeg": UNCLEAR, "blur": 0.2}, math.inf),
        ({"jpeg": 0.2, "blur": UNCLEAR - 0.1}, math.inf),
    ],
)
def test_what_is_taken_for_something_else_was_blurred_if_sharpening_changes_it_enough(seen, least):
    assert least_sharpening_instead(sees(**seen)) == least


@pytest.mark.parametrize(
    ("passes", "now", "least", "large"),
    [
        ([], {"blur": 0.95}, math.inf, math.inf),
        ([sees(low_light=0.4)], {"jpeg": 0.9}, SHAKEN, math.inf),
        ([sees(noise=0.9), sees(low_light=0.9)], {"jpeg": 0.9}, SHAKEN, math.inf),
        ([sees(low_light=0.9), sees(noise=0.9)], {"jpeg": 0.9}, math.inf, math.inf),
        ([sees(blur=0.9), sees(low_light=0.9)], {"blur": 0.95}, math.inf, math.inf),
        ([sees(jpeg=0.9)], {"blur": SOFT}, PLAINLY_SHARPENED, math.inf),
        ([sees(jpeg=0.9)], {"blur": SOFT - 0.01}, math.inf, math.inf),
        ([sees(jpeg=0.9)], {"blur": BEYOND_DOUBT}, PLAINLY_SHARPENED, 0.0),
        ([sees(jpeg=0.9)], {"blur": 0.4, "noise": 0.5}, math.inf, math.inf),
    ],
)
def test_blur_behind_something_else_has_to_show_by_how_much_sharpening_changes(passes, now, least, large):
    assert least_sharpening(sees(**now), passes, large=False) == least
    assert least_sharpening(sees(**now), passes, large=True) == large


def test_blurred_is_what_sharpening_changes_by_twice_its_finest_detail():
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    detail = fine_detail(photo)
    assert was_blurred(photo, 3.01 * detail, 3) and not was_blurred(photo, 2.99 * detail, 3)


@pytest.mark.parametrize("height", [1, 255, 256, 257, 600])
def test_fine_detail_is_what_the_means_around_lack(height):
    photo = np.random.default_rng(3).integers(0, 256, (height, 40, 3), np.uint8)
    means = cv2.blur(photo.astype(np.float32), (3, 3), borderType=cv2.BORDER_REPLICATE)
    assert fine_detail(photo) == pytest.approx(np.sqrt(np.mean((photo - means) ** 2)) / 255, rel=1e-4)
    assert fine_detail(np.full((height, 40, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-6)
