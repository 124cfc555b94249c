import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.data.synthesis import jpeg
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.blending import blended
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.frame import inside_frame

CAT = np.ascontiguousarray(skimage.data.chelsea()[40:200, 100:340])
PAPER = (236, 228, 208)


def framed(colour=(255, 255, 255), top=20, bottom=20, left=20, right=20, photo=CAT):
    height, width = photo.shape[:2]
    whole = np.full((top + height + bottom, left + width + right, 3), colour, photo.dtype)
    whole[top : top + height, left : left + width] = photo
    return whole


def inside(photo):
    """First and last row and column inside; None without a frame."""
    found = inside_frame(photo)
    return found and (found[0].start, found[0].stop, found[1].start, found[1].stop)


@settings(max_examples=40, deadline=None)
@given(
    colour=st.sampled_from([(255, 255, 255), (0, 0, 0), PAPER]),
    widths=st.tuples(*[st.sampled_from([0, 9, 24, 60])] * 4),
)
def test_the_photo_is_found_inside(colour, widths):
    top, bottom, left, right = widths
    found = inside(framed(colour, *widths))
    if (top and bottom) or (left and right):
        assert found == (top, top + 160, left, left + 240)
    else:
        assert found is None, "half a photo may be missing on one side"


@pytest.mark.parametrize(("quality", "apart"), [(None, 12), (90, 12), (None, 17), (90, 17), (60, 17)])
def test_haze_nearly_as_light_as_the_paper_hides_no_frame(apart, quality):
    hazy = np.round(PAPER - np.float64(apart) + (CAT - CAT.mean((0, 1))) / 10).astype(np.uint8)
    photo = framed(PAPER, photo=hazy)
    if quality is not None:
        photo = jpeg.saved(photo, jpeg.JpegParameters(quality))
    edges = inside(photo)
    assert edges is not None and np.abs(np.subtract(edges, (20, 180, 20, 260))).max() <= 2


def test_no_photo_has_a_frame_by_itself():
    photos = [CAT, skimage.data.astronaut(), skimage.data.coffee(), skimage.data.rocket(), skimage.data.retina()]
    assert [inside(photo) for photo in photos[:4]] == [None] * 4
    assert inside(photos[4]) is None, "black around, but what is inside is round"


def test_a_white_sky_is_no_frame_nor_is_a_drawing_on_paper():
    sky = CAT.copy()
    rows = np.linspace(40, 70, 240).astype(int)
    for column, row in enumerate(rows):
        sky[:row, column] = 255
    sky[-20:] = 255
    assert inside(sky) is None
    drawing = np.full((200, 300, 3), 255, np.uint8)
    cv2.circle(drawing, (150, 100), 80, (30, 30, 30), 2)
    assert inside(drawing) is None
    assert inside(np.full((64, 64, 3), 9, np.uint8)) is None, "nothing is inside"


def test_where_the_photo_is_as_white_as_the_frame_the_other_sides_tell():
    photo = CAT.copy()
    photo[:30, :200] = 255  # a sky, and a wall beside it
    photo[30:50, :60] = 255
    assert inside(framed(photo=photo)) == (20, 180, 20, 260)


def test_a_frame_is_of_one_colour():
    whole = framed(top=0, bottom=0)
    whole[:, -20:] = 0
    assert inside(whole) is None


@pytest.mark.parametrize(("quality", "slack"), [(95, 1), (85, 2), (60, 8)])
def test_compression_and_dust_do_not_hide_it(quality, slack):
    whole = framed(PAPER)
    whole[5, 100:102] = 60
    top, bottom, left, right = inside(jpeg.saved(whole, jpeg.JpegParameters(quality)))
    for found, true in ((top, 20), (bottom, 180), (left, 20), (right, 260)):
        assert abs(found - true) <= slack


@pytest.mark.parametrize(("width", "found"), [(4, None), (7, None), (8, (8, 168, 8, 248))])
def test_a_thin_edge_is_part_of_the_photo(width, found):
    assert inside(framed((0, 0, 0), *[width] * 4)) == found


def test_of_sixteen_bits_as_of_eight():
    deep = framed().astype(np.uint16) * 257
    assert inside(deep) == (20, 180, 20, 260)


def test_next_to_nothing_inside_is_no_photo():
    whole = np.full((200, 200, 3), 255, np.uint8)
    whole[90:110, 20:180] = 40
    assert inside(whole) is None


def test_what_is_inside_is_restored_as_if_there_were_no_frame(looking):
    whole = framed(PAPER)
    alpha = np.full(whole.shape[:2], 200, np.uint8)
    alone = looking.restore(Photo(CAT), choices=Choices(passes=None))
    result = looking.restore(Photo(whole, alpha), choices=Choices(passes=None))
    assert not np.array_equal(alone.photo.rgb, CAT)
    assert np.array_equal(result.photo.rgb, framed(PAPER, photo=alone.photo.rgb))
    assert np.array_equal(result.photo.alpha, alpha)
    assert result.passes == alone.passes and result.diagnosis == alone.diagnosis == looking.diagnose(Photo(whole))
    assert result.notes == ("the frame stays as it was, around 240x160 pixels",) and not alone.notes
    half = looking.restore(Photo(whole), choices=Choices(passes=None, strength=0.5)).photo.rgb
    assert np.array_equal(half, framed(PAPER, photo=blended(CAT, alone.photo.rgb, 0.5)))


def test_the_paper_s_one_pass_and_who_fills_holes_see_the_frame_too(looking):
    whole = framed()
    for choices in (Choices(), Choices(passes=2), Choices(experts={"inpainting": 0.9}, passes=None)):
        assert not looking.restore(Photo(whole), choices=choices).notes
    named = looking.restore(Photo(whole), choices=Choices(experts={"haze": 1.0}, passes=None))
    assert named.notes and np.array_equal(named.photo.rgb[:20], whole[:20])
    left = looking.restore(Photo(whole), choices=Choices(passes=None, only_if=1.0))
    assert not left.notes and np.array_equal(left.photo.rgb, whole)
