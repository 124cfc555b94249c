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
        for orientation in (3, 6):
            assert len(ifd.turned_upright(start + data, tags, orientation)) == len(start + data)


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


# Turned photos ---------------------------------------------------------------------------------------------------

CODES = {ifd.SHORT: "H", ifd.LONG: "I"}


def sized(order: str, across: tuple[int, int], down: tuple[int, int], thumbnail: bool = False) -> bytes:
    """EXIF of orientation 6 with the type and value of its size in pixels, and perhaps a second directory."""

    def number(kind: int, value: int) -> Field:
        return Field(kind, struct.pack(f"{order}{CODES[kind]}", value))

    main = {271: Field(ifd.ASCII, b"A maker\0"), ifd.ORIENTATION: number(ifd.SHORT, 6)}
    block = bytearray(ifd.exif_block(Tags(order, main, {40962: number(*across), 40963: number(*down)}, {}, {})))
    if thumbnail:  # the first directory has three entries: the two and the pointer to EXIF's own
        struct.pack_into(f"{order}I", block, 10 + 3 * 12, len(block))
        block += struct.pack(f"{order}HHHIII", 1, 513, ifd.LONG, 1, 0, 0)
    return bytes(block)


def size_in(block: bytes) -> tuple[int, ...]:
    tags = ifd.read_tags(block)
    return tuple(tags.exif[tag].integers(tags.order)[0] for tag in (40962, 40963))


def turned(block: bytes, orientation: int) -> bytes:
    return ifd.turned_upright(block, ifd.read_tags(block), orientation)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kinds", [(ifd.SHORT, ifd.SHORT), (ifd.LONG, ifd.LONG), (ifd.SHORT, ifd.LONG)])
def test_a_quarter_turn_swaps_width_and_height(order, kinds):
    block = sized(order, (kinds[0], 4032), (kinds[1], 3024))
    for orientation in range(1, 9):
        result = turned(block, orientation)
        assert size_in(result) == ((3024, 4032) if orientation >= 5 else (4032, 3024))
        assert ifd.orientation_of(ifd.read_tags(result)) == 1 and len(result) == len(block)


def test_a_size_that_does_not_fit_into_the_others_place_stays():
    assert size_in(turned(sized("<", (ifd.SHORT, 300), (ifd.LONG, 70000)), 6)) == (300, 70000)


def note_of(block):
    """The maker's note, whose last four bytes say where in the block it stands: where they lead from there."""
    tags = ifd.read_tags(block)
    note = tags.exif[ifd.MAKER_NOTE]
    return note.at, struct.unpack(f"{tags.order}I", note.value[-4:])[0]


def with_note(order, before=b"", orientation=1):
    """An EXIF block with such a note, and a value of so many bytes before it."""
    main = {271: Field(ifd.ASCII, b"Maker\0"), ifd.ORIENTATION: Field(ifd.SHORT, struct.pack(f"{order}H", orientation))}
    camera = {36867: Field(ifd.ASCII, before + b"2020:01:01 00:00:00\0"), ifd.MAKER_NOTE: Field(7, bytes(50))}
    block = bytearray(ifd.exif_block(Tags(order, main, camera, {1: Field(ifd.ASCII, b"N\0")}, {})))
    note = ifd.read_tags(bytes(block)).exif[ifd.MAKER_NOTE]
    struct.pack_into(f"{order}I", block, note.at + 46, note.at)
    return bytes(block)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("more", [0, 1, 5, 40])
def test_the_makers_note_stays_where_it_is(order, more):
    tags = ifd.read_tags(with_note(order, bytes(64)))
    fewer = {tag: field for tag, field in tags.exif.items() if tag != 36867}
    many = {40000 + n: Field(ifd.LONG, bytes(8)) for n in range(more)}
    for exif in (tags.exif, fewer, tags.exif | many):
        block = ifd.exif_block(Tags(order, tags.main, exif, tags.gps, tags.interop))
        at, said = note_of(block)
        again = ifd.read_tags(block)
        assert at == said and again.exif.keys() == exif.keys() and bytes(again.gps[1].value) == b"N\0"
        assert all(bytes(again.exif[tag].value) == bytes(exif[tag].value) for tag in exif)


def test_a_note_that_cannot_stay_moves_rather_than_makes_the_block_too_long():
    tags = ifd.read_tags(with_note("<"))
    note = tags.exif[ifd.MAKER_NOTE]
    for at, long in ((60_000, 3), (60_000, 6_000), (70_000, 3)):
        exif = tags.exif | {ifd.MAKER_NOTE: Field(7, note.value, at), 40000: Field(7, bytes(long))}
        written = ifd.exif_block(Tags("<", tags.main, exif, tags.gps, {}))
        again = ifd.read_tags(written).exif[ifd.MAKER_NOTE]
        assert bytes(again.value) == bytes(note.value) and len(written) <= 65_500
        assert (again.at == at) == (at == 60_000)


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_goes_without_moving_anything(order):
    block = with_note(order, orientation=6)
    without = ifd.without_orientation(block)
    before, after = ifd.read_tags(block), ifd.read_tags(without)
    assert len(without) == len(block) and note_of(without) == note_of(block)
    assert after.main.keys() == before.main.keys() - {ifd.ORIENTATION} and ifd.orientation_of(after) == 1
    assert after.exif.keys() == before.exif.keys() and after.gps.keys() == before.gps.keys()
    assert ifd.without_orientation(without) == without


@pytest.mark.parametrize("order", ["<", ">"])
def test_resolution_turns_too(order):
    block = ifd.exif_block(Tags(order, ifd.resolution_fields((300, 150), None, order), {}, {}, {}))
    assert ifd.resolution_of(ifd.read_tags(turned(block, 8))) == (150, 300)
    assert turned(block, 3) == block


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_thumbnail_is_unlinked_which_shows_the_photo_as_it_was(order):
    block = sized(order, (ifd.SHORT, 40), (ifd.SHORT, 30), thumbnail=True)
    assert len(list(ifd.read_pages(block))) == 2
    for orientation in range(1, 9):
        assert len(list(ifd.read_pages(turned(block, orientation)))) == 1


@pytest.mark.parametrize("link", [7, 8, 60000, 2**32 - 1])
def test_a_link_that_leads_to_no_directory_stays(link):
    """It may be the start of a value that a damaged count of entries has put there."""
    block = bytearray(sized("<", (ifd.SHORT, 40), (ifd.SHORT, 30)))
    struct.pack_into("<I", block, 10 + 3 * 12, link)
    assert struct.unpack_from("<I", turned(bytes(block), 6), 10 + 3 * 12) == (link,)
