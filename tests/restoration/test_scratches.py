import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.restoration.scratches import are_scratches

COFFEE = skimage.data.coffee()  # 400 x 600
ACROSS = [
    ((20, 30), (560, 50)),
    ((100, 380), (140, 20)),
    ((590, 90), (250, 330)),
    ((60, 200), (500, 210)),
    ((300, 10), (330, 390)),
    ((40, 300), (300, 290)),
]


def scratched(lines=ACROSS, width=2, photo=COFFEE):
    marked = photo.copy()
    for start, end in lines:
        cv2.line(marked, start, end, (250, 250, 250), width, cv2.LINE_AA)
    return marked


def test_long_thin_lines_are_scratches():
    assert are_scratches(scratched(), COFFEE)


@pytest.mark.parametrize(
    "marked",
    [
        COFFEE,
        scratched(ACROSS[:4]),
        scratched(width=16),
        scratched([((x, y), (x + 40, y)) for x in range(10, 560, 90) for y in range(20, 380, 40)]),
        scratched([((0, y), (599, y)) for y in range(10, 400, 20)], width=3),
        cv2.rectangle(scratched(), (200, 100), (420, 300), (255, 255, 255), -1),
    ],
    ids=["nothing", "too few", "strokes", "dashes", "a pattern", "little beside a hole"],
)
def test_anything_else_is_none(marked):
    assert not are_scratches(marked, COFFEE)


def test_what_hardly_changed_is_no_mark():
    assert not are_scratches(
        np.clip(COFFEE.astype(int) + (scratched() != COFFEE) * 10, 0, 255).astype(np.uint8), COFFEE
    )


@settings(max_examples=25, deadline=None)
@given(turns=st.integers(0, 3), mirrored=st.booleans(), deep=st.booleans(), times=st.sampled_from([0.5, 1, 2.5, 4]))
def test_neither_attitude_nor_depth_nor_size_of_the_photo_matters(turns, mirrored, deep, times):
    def seen(photo):
        photo = cv2.resize(photo, None, fx=times, fy=times, interpolation=cv2.INTER_AREA if times < 1 else None)
        photo = np.rot90(photo[:, ::-1] if mirrored else photo, turns)
        return np.ascontiguousarray(photo.astype(np.uint16) * 257 if deep else photo)

    assert are_scratches(seen(scratched()), seen(COFFEE))
    assert not are_scratches(seen(scratched(width=16)), seen(COFFEE))
