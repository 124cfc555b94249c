import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorair_cli.imaging import ifd
from lorair_cli.imaging.ifd import Field, Tags

# Shared machines stall: time says nothing about these tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}


@st.composite
def directories(draw):
    kinds = draw(st.dictionaries(st.integers(1, 30000), st.sampled_from(sorted(SIZES)), max_size=5))
    return {
        tag: Field(kind, draw(st.binary(min_size=1, max_size=9)) * SIZES[kind]) for tag, kind in sorted(kinds.items())
    }


def plain(directory):
    return {tag: (field.kind, bytes(field.value)) for tag, field in directory.items()}


@PATIENT
@given(st.sampled_from("<>"), directories(), directories(), directories(), directories())
def test_what_is_written_is_read_again(order, main, exif, gps, interop):
    block = ifd.exif_block(Tags(order, main, exif, gps, interop if exif else {}))
    if not (main or exif or gps):
        assert block is None
        return
    read = ifd.read_tags(block)
    pointers = (ifd.EXIF_POINTER, ifd.GPS_POINTER, ifd.INTEROP_POINTER)
    for directory, expected in ((read.main, main), (read.exif, exif), (read.gps, gps)):
        assert {tag: value for tag, value in plain(directory).items() if tag not in pointers} == plain(expected)
    assert plain(read.interop) == (plain(interop) if exif else {})
    assert read.order == order


@PATIENT
@given(st.binary(max_size=80), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b""]))
def test_any_bytes_are_read_without_an_error(data, start):
    for tags in ifd.read_pages(start + data):
        ifd.orientation_of(tags)
        ifd.resolution_of(tags)
        assert len(ifd.with_upright_tag(start + data, tags)) == len(start + data)


def test_pages_that_point_in_a_circle_end():
    page = struct.pack("<HHHIHHI", 1, 256, 3, 1, 5, 0, 8)
    assert len(list(ifd.read_pages(b"II*\0\x08\0\0\0" + page))) == 1


@pytest.mark.parametrize(("value", "expected"), [(0, 1), (1, 1), (8, 8), (9, 1), (65535, 1)])
def test_orientations_beyond_the_eight_are_upright(value, expected):
    block = ifd.exif_block(Tags("<", {ifd.ORIENTATION: Field(ifd.SHORT, struct.pack("<H", value))}, {}, {}, {}))
    assert ifd.orientation_of(ifd.read_tags(block)) == expected


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "code"), [(ifd.SHORT, "H"), (ifd.LONG, "I")])
def test_the_orientation_is_set_upright_in_place(order, kind, code):
    def block(value: int) -> bytes:
        fields = {271: Field(ifd.ASCII, b"Maker\0"), ifd.ORIENTATION: Field(kind, struct.pack(f"{order}{code}", value))}
        return ifd.exif_block(Tags(order, fields, {}, {}, {}))

    assert ifd.with_upright_tag(block(7), ifd.read_tags(block(7))) == block(1)
