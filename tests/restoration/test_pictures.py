import base64
import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from lorair_cli.evaluation import gallery
from lorair_cli.imaging.photo import Metadata, Photo
from lorair_cli.restoration import page
from lorair_cli.restoration.pictures import page_text, picture_url, side_by_side, thumbnail_jpeg

CAT = np.ascontiguousarray(skimage.data.chelsea()[:60, :90])


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_side_by_side_keeps_depth_alpha_and_metadata():
    alpha = np.full((60, 90), 7, np.uint16)
    after = Photo(CAT.astype(np.uint16) * 257, alpha, metadata=Metadata(icc=b"profile"))
    before = Photo(after.rgb[::-1].copy(), alpha)
    pair = side_by_side(before, after)
    assert np.array_equal(pair.rgb[:, :90], before.rgb) and np.array_equal(pair.rgb[:, -90:], after.rgb)
    assert (pair.alpha[:, :90] == 7).all() and (pair.alpha[:, 90:-90] == 65535).all()
    assert pair.bits == 16 and pair.metadata.icc == b"profile" and pair.height == 60


@pytest.mark.parametrize(
    "size, longest, expected", [((60, 90), 45, (30, 45)), ((60, 90), 500, (60, 90)), ((1, 90), 9, (1, 9))]
)
def test_thumbnails_fit_and_are_never_enlarged(size, longest, expected):
    picture = opened(thumbnail_jpeg(Photo(CAT[: size[0], : size[1]].copy()), longest))
    assert picture.shape[:2] == expected


def test_thumbnails_look_like_the_photo_whatever_its_depth():
    eight, sixteen = (opened(thumbnail_jpeg(Photo(rgb), 90)) for rgb in (CAT, CAT.astype(np.uint16) * 257))
    assert np.array_equal(eight, sixteen) and np.abs(eight.astype(int) - CAT).mean() < 4


def test_transparency_is_shown_on_white():
    alpha = np.zeros((60, 90), np.uint8)
    alpha[:, 45:] = 255
    picture = opened(thumbnail_jpeg(Photo(np.zeros_like(CAT), alpha), 90))
    assert picture[:, :40].min() > 245 and picture[:, 50:].max() < 10


def test_grey_thumbnails():
    rgb = np.repeat(CAT[..., :1], 3, axis=2)
    assert opened(thumbnail_jpeg(Photo(rgb, grey=True), 30)).shape == (20, 30, 3)


def test_a_picture_and_its_name_in_a_page():
    kind, _, data = picture_url(Photo(CAT), 45).partition(",")
    assert kind == "data:image/jpeg;base64" and base64.b64decode(data) == thumbnail_jpeg(Photo(CAT), 45)
    assert page_text('<b> & "c"\n\x1b') == "&lt;b&gt; &amp; &quot;c&quot;\\n\\x1b"


def test_both_pages_take_pictures_and_words_from_here():
    for module in (page, gallery):
        assert module.page_text is page_text and module.picture_url is picture_url
