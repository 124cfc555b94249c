import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from lorair_cli.data.synthesis import jpeg
from lorair_cli.data.synthesis.jpeg import JpegParameters

PIXELS = np.ascontiguousarray(skimage.data.astronaut()[:160, :160])
PHOTO = PIXELS.astype(np.float32) / 255


def rng(seed=0):
    return np.random.default_rng(seed)


def error(a, b):
    return np.mean((a - b) ** 2)


@pytest.mark.parametrize("quality", [10, 40, 90])
@pytest.mark.parametrize(("subsampling", "pillow"), [("4:2:0", 2), ("4:4:4", 0)])
def test_agrees_with_another_encoder(quality, subsampling, pillow):
    """Pillow's libjpeg at the same quality and sampling gives the same picture, but for rounding in the transforms."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", quality=quality, subsampling=pillow)
    expected = np.asarray(Image.open(file), np.float32) / 255
    result = jpeg.apply(PHOTO, JpegParameters(quality, subsampling), rng())
    difference = np.abs(result - expected).mean()
    assert difference < 0.5 / 255
    assert difference < 0.1 * np.abs(PHOTO - expected).mean()


def test_default_is_ordinary_sampling():
    assert np.array_equal(
        jpeg.apply(PHOTO, JpegParameters(10), rng()), jpeg.apply(PHOTO, JpegParameters(10, "4:2:0"), rng())
    )


def test_full_colour_keeps_more_colour():
    red_and_blue = np.zeros((32, 32, 3), np.float32)
    red_and_blue[:, ::2, 0] = red_and_blue[:, 1::2, 2] = 1
    full, half = (jpeg.apply(red_and_blue, JpegParameters(90, s), rng()) for s in ("4:4:4", "4:2:0"))
    assert error(full, red_and_blue) < 0.1 * error(half, red_and_blue)


def test_result_is_eight_bit():
    result = jpeg.apply(PHOTO, JpegParameters(30), rng()) * 255
    assert np.abs(result - np.rint(result)).max() < 1e-4


def test_strength_sets_quality():
    drawn = {s: [jpeg.draw(rng(seed), s).quality for seed in range(200)] for s in (0, 0.5, 1)}
    assert 45 < np.mean(drawn[0]) <= max(drawn[0]) <= 70
    assert 18 < np.mean(drawn[0.5]) < 30
    assert 8 <= min(drawn[1]) <= np.mean(drawn[1]) < 10.5


def test_both_samplings_are_drawn():
    full = np.mean([jpeg.draw(rng(seed), 0.5).subsampling == "4:4:4" for seed in range(300)])
    assert 0.05 < full < 0.3


def test_saving_as_a_matter_of_course_is_milder_than_the_degradation():
    saved = [jpeg.draw_saved(rng(seed)) for seed in range(300)]
    assert max(jpeg.draw(rng(seed), 0).quality for seed in range(300)) < 75 <= min(s.quality for s in saved)
    assert max(s.quality for s in saved) <= 98
    assert {s.subsampling for s in saved} == {"4:2:0", "4:4:4"}
