"""Image file directories: the tagged structure that EXIF blocks and TIFF files share (TIFF 6.0, section 2; EXIF 3.0).

Values are kept as the bytes they are, in the byte order they came in, so that what is copied is copied exactly.
Damaged structures never raise: an entry that points outside the data is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

ORIENTATION = 274
EXIF_POINTER, GPS_POINTER, INTEROP_POINTER = 34665, 34853, 40965
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
MAKER_NOTE = 37500
NO_UNIT, INCH, _CENTIMETRE = 1, 2, 3
XMP, IPTC, PHOTOSHOP, ICC_PROFILE, LAYERS = 700, 33723, 34377, 34675, 37724

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_HEADER, _LONGEST_BLOCK, _CLASSIC = 8, 65_500, 42
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

_PIXEL_TAGS = (*range(254, 263), 266, *range(273, 275), *range(277, 282), 284, *range(288, 293), 297, 301)
_COLOUR_TAGS = (*range(317, 326), 330, 332, *range(338, 342), 347, *range(512, 522), *range(529, 533))
_CARRIED_TAGS = (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, EXIF_POINTER, GPS_POINTER)
_BESIDE_TAGS = (XMP, IPTC, PHOTOSHOP, ICC_PROFILE)
_FILE_LAYOUT = frozenset((*_PIXEL_TAGS, *_COLOUR_TAGS, *_CARRIED_TAGS, *_BESIDE_TAGS, LAYERS))
"""Tags of a TIFF file that say how its own pixels are stored, or hold more of them (Photoshop's layers), and those this
project carries by itself."""

_ACROSS_AND_DOWN = ((256, 257), (X_RESOLUTION, Y_RESOLUTION))
_EXIF_ACROSS_AND_DOWN = ((40962, 40963),)
"""Pairs of tags that change places when a photo is turned by a quarter: size in pixels and resolution."""


@dataclass(frozen=True)
class Field:
    """The value of one tag: its TIFF type, its raw bytes, and where in the data they stand."""

    kind: int
    value: bytes | memoryview
    at: int = 0

    def integers(self, order: str) -> tuple[int, ...]:
        """The value as whole numbers, empty if it is of another type. ``order`` is ``<`` or ``>``."""
        code = _INTEGERS.get(self.kind)
        return () if code is None else struct.unpack(f"{order}{len(self.value) // _SIZES[self.kind]}{code}", self.value)


Directory: TypeAlias = dict[int, Field]


@dataclass(frozen=True)
class Tags:
    """The directories of a photo: the main one and those that cameras hang below it."""

    order: str
    """Byte order of every value: ``<`` little-endian or ``>`` big-endian."""
    main: Directory
    exif: Directory
    gps: Directory
    interop: Directory
    link: range = range(0)
    """Where in the data the offset of the next directory stands."""
    cut_off: bool = False
    """A value of the main directory lies outside the data: the end of the file is missing, or an offset is nonsense."""

    def integers(self, tag: int) -> tuple[int, ...]:
        """Whole numbers of a tag of the main directory, empty where it is missing."""
        return self.main[tag].integers(self.order) if tag in self.main else ()

    def integer(self, tag: int, default: int) -> int:
        """First whole number of a tag of the main directory, or ``default``."""
        return next(iter(self.integers(tag)), default)


def read_tags(data: bytes) -> Tags | None:
    """The tags of an EXIF block or of a TIFF file's first page; ``None`` if ``data`` does not start as one."""
    return next(read_pages(data), None)


def read_pages(data: bytes) -> Iterator[Tags]:
    """The tags of every page of a TIFF file, in order."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return
    version = struct.unpack_from(f"{order}H", data, 2)[0]
    if version == 42:
        offset, big = struct.unpack_from(f"{order}I", data, 4)[0], False
    elif version == 43 and len(data) >= 16:
        offset, big = struct.unpack_from(f"{order}Q", data, 8)[0], True
    else:
        return
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        main, link, cut_off = _read_directory(data, order, offset, big=big)
        if not main:
            return

        def below(parent: Directory, pointer: int) -> Directory:
            at = next(iter(parent[pointer].integers(order)), 0) if pointer in parent else 0
            return _read_directory(data, order, at, big=big)[0] if at else {}

        exif = below(main, EXIF_POINTER)
        yield Tags(order, main, exif, below(main, GPS_POINTER), below(exif, INTEROP_POINTER), link, cut_off)
        offset = int.from_bytes(data[link.start : link.stop], "little" if order == "<" else "big")


def _read_directory(data: bytes, order: str, offset: int, *, big: bool) -> tuple[Directory, range, bool]:
    """The entries at ``offset``, where the offset of the next directory stands, and whether a value lies outside.

    Where the data ends before, they are empty, empty and true.
    """
    count_code, entry_code, inline, step = ("Q", "HHQ", 8, 20) if big else ("H", "HHI", 4, 12)
    first = offset + struct.calcsize(f"{order}{count_code}")
    if first > len(data):
        return {}, range(0), True
    count = struct.unpack_from(f"{order}{count_code}", data, offset)[0]
    end = first + count * step
    if count > 65535 or end > len(data):
        return {}, range(0), True
    view = memoryview(data)
    word = f"{order}{'Q' if big else 'I'}"
    directory: Directory = {}
    cut_off = False
    for entry in range(first, end, step):
        tag, kind, number = struct.unpack_from(f"{order}{entry_code}", data, entry)
        size = number * _SIZES.get(kind, 0)
        at = entry + step - inline
        if size > inline:
            at = struct.unpack_from(word, data, at)[0]
        cut_off |= at + size > len(data)
        if size > 0 and at + size <= len(data):
            directory.setdefault(tag, Field(kind, view[at : at + size], at))
    link = range(end, end + inline) if end + inline <= len(data) else range(0)
    return directory, link, cut_off


def orientation_of(tags: Tags | None) -> int:
    """Orientation 1 to 8; 1 if there is none or it is nonsense."""
    value = 1 if tags is None else tags.integer(ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def with_upright_tag(data: bytes, tags: Tags) -> bytes:
    """``data`` with its orientation tag, if it has one, set to 1 in place; every other byte stays."""
    field = tags.main.get(ORIENTATION)
    code = None if field is None else _INTEGERS.get(field.kind)
    if field is None or code is None or field.integers(tags.order)[0] == 1:
        return data
    patched = bytearray(data)
    struct.pack_into(f"{tags.order}{code}", patched, field.at, 1)
    return bytes(patched)


def without_orientation(block: bytes) -> bytes:
    """An EXIF ``block`` that says nothing about orientation; all values stay where they are."""
    tags = read_tags(block)
    if tags is None or ORIENTATION not in tags.main:
        return block
    order = tags.order
    if struct.unpack_from(f"{order}H", block, 2)[0] != _CLASSIC:  # of a TIFF for giants, which no EXIF block should be
        return exif_block(replace(tags, main={k: v for k, v in tags.main.items() if k != ORIENTATION})) or b""
    start = struct.unpack_from(f"{order}I", block, 4)[0]
    count = struct.unpack_from(f"{order}H", block, start)[0]
    entries = [block[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    kept = b"".join(entry for entry in entries if struct.unpack_from(f"{order}H", entry)[0] != ORIENTATION)
    end = start + 2 + 12 * count + 4
    directory = struct.pack(f"{order}H", len(kept) // 12) + kept + block[end - 4 : end]
    return block[:start] + directory.ljust(end - start, b"\0") + block[end:]


def turned_upright(block: bytes, tags: Tags, orientation: int) -> bytes:
    """The EXIF ``block``, whose ``tags`` these are, of a photo that was turned upright from ``orientation``, 1 to 8.

    It is changed in place, because what cameras write of their own holds offsets that must stay true. The embedded
    thumbnail is unlinked: it may lie on its side, and shows the photo as it was before anything was done to it. What
    cannot be understood stays as it is.
    """
    patched = bytearray(with_upright_tag(block, tags))
    if orientation >= 5:
        for directory, pairs in ((tags.main, _ACROSS_AND_DOWN), (tags.exif, _EXIF_ACROSS_AND_DOWN)):
            for across, down in pairs:
                if across in directory and down in directory:
                    _swap(patched, tags.order, directory[across], directory[down])
    # A link that leads nowhere may be no link but the start of something else.
    if len(list(islice(read_pages(block), 2))) == 2:
        patched[tags.link.start : tags.link.stop] = bytes(len(tags.link))
    return bytes(patched)


def _swap(data: bytearray, order: str, first: Field, second: Field) -> None:
    """Let two fields change their values in place; where one does not fit in the place of the other, neither does."""
    if (first.kind, len(first.value)) == (second.kind, len(second.value)):
        placed = [(first, bytes(second.value)), (second, bytes(first.value))]
    else:  # one is written short, the other long
        values = first.integers(order), second.integers(order)
        if len(values[0]) != 1 or len(values[1]) != 1:
            return
        try:
            placed = [
                (field, struct.pack(f"{order}{_INTEGERS[field.kind]}", value))
                for field, (value,) in ((first, values[1]), (second, values[0]))
            ]
        except struct.error:
            return
    for field, value in placed:
        data[field.at : field.at + len(value)] = value


def without_file_layout(tags: Tags) -> Tags:
    """The tags of a TIFF file less those that describe the file itself: what an EXIF block would say."""
    main = {tag: field for tag, field in tags.main.items() if tag not in _FILE_LAYOUT}
    return Tags(tags.order, main, tags.exif, tags.gps, tags.interop)


def resolution_of(tags: Tags) -> tuple[float, float] | None:
    """Pixels per inch across and down; ``None`` if they, or the unit, are missing or not positive."""
    per_inch = {INCH: 1.0, _CENTIMETRE: 2.54}.get(tags.integer(RESOLUTION_UNIT, INCH))
    values = _across_and_down(tags)
    return (values[0] * per_inch, values[1] * per_inch) if per_inch and values else None


def aspect_of(tags: Tags) -> tuple[float, float] | None:
    """Pixels per unit across and down where the tags name no unit; else ``None``."""
    return _across_and_down(tags) if tags.integer(RESOLUTION_UNIT, INCH) == NO_UNIT else None


def _across_and_down(tags: Tags) -> tuple[float, float] | None:
    across, down = (_rational(tags, tag) for tag in (X_RESOLUTION, Y_RESOLUTION))
    return (across, down) if across > 0 and down > 0 else None


def _rational(tags: Tags, tag: int) -> float:
    """A fraction of the main directory as a number, 0 where there is none."""
    field = tags.main.get(tag)
    if field is None or field.kind != RATIONAL:
        return 0.0
    over, under = struct.unpack_from(f"{tags.order}II", field.value)
    return over / under if under else 0.0


def resolution_fields(dpi: tuple[float, float] | None, aspect: tuple[float, float] | None, order: str) -> Directory:
    """The three tags that say ``dpi`` pixels per inch across and down, or ``aspect`` per unit; none for neither."""
    pixels, unit = (aspect, NO_UNIT) if dpi is None else (dpi, INCH)
    if pixels is None:
        return {}
    across, down = (Field(RATIONAL, struct.pack(f"{order}II", round(value * 10000), 10000)) for value in pixels)
    return {X_RESOLUTION: across, Y_RESOLUTION: down, RESOLUTION_UNIT: Field(SHORT, struct.pack(f"{order}H", unit))}


def pinned(tags: Tags) -> Field | None:
    """What the camera wrote in a way of its own, if it can stay where it is: it may hold offsets that count from there.

    From the start of the block, that is. No EXIF block but a TIFF file is so long that it could stand farther off.
    """
    note = tags.exif.get(MAKER_NOTE)
    if note is None or len(note.value) <= 4 or not _HEADER <= note.at <= _LONGEST_BLOCK - len(note.value):
        return None
    return note


def behind(note: Field | None) -> int:
    """The first even offset in a block behind a ``note`` that is pinned, or behind its header."""
    end = _HEADER if note is None else note.at + len(note.value)
    return end + end % 2


def header(order: str, main_at: int) -> bytes:
    """What a block or a TIFF file starts with, whose main directory is at offset ``main_at``."""
    return (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", _CLASSIC, main_at)


def with_pinned(start: bytes, note: Field | None) -> bytes:
    """The ``start`` of a block or file, then the ``note`` that is pinned behind it, if any, up to an even offset."""
    return start if note is None else (start.ljust(note.at, b"\0") + note.value).ljust(behind(note), b"\0")


def exif_block(tags: Tags) -> bytes | None:
    """An EXIF block that holds ``tags``, from its header on; ``None`` if there is nothing to hold."""
    if not (tags.main or tags.exif or tags.gps):
        return None
    note = pinned(tags)
    written = directories(tags, _HEADER, note)
    if note is None or _HEADER + len(written) <= note.at:
        return with_pinned(header(tags.order, _HEADER) + written, note)
    # Behind it, then, unless the block would be longer than a JPEG can hold.
    note = note if behind(note) + len(written) <= _LONGEST_BLOCK else None
    base = behind(note)
    return with_pinned(header(tags.order, base), note) + directories(tags, base, note)


def directories(tags: Tags, base: int, note: Field | None) -> bytes:
    """``tags`` as the directories of a file whose main one starts at offset ``base``, which is even.

    The value of a ``note`` that is pinned is not among them.
    """
    order = tags.order
    main, exif = dict(tags.main), dict(tags.exif)
    blank = Field(LONG, bytes(4))
    if tags.interop:
        exif[INTEROP_POINTER] = blank
    if exif:
        main[EXIF_POINTER] = blank
    if tags.gps:
        main[GPS_POINTER] = blank
    exif_at = base + _size(main)
    gps_at = exif_at + _size(exif) - (0 if note is None else _padded(len(note.value)))
    interop_at = gps_at + _size(tags.gps)
    for parent, pointer, at in (
        (main, EXIF_POINTER, exif_at),
        (main, GPS_POINTER, gps_at),
        (exif, INTEROP_POINTER, interop_at),
    ):
        if pointer in parent:
            parent[pointer] = Field(LONG, struct.pack(f"{order}I", at))
    return b"".join(
        _write_directory(directory, order, at, note)
        for directory, at in ((main, base), (exif, exif_at), (tags.gps, gps_at), (tags.interop, interop_at))
        if directory
    )


def _padded(size: int) -> int:
    """Bytes that a value of ``size`` takes behind its directory: 0 if it fits into the entry, else an even number."""
    return 0 if size <= 4 else size + size % 2


def _size(directory: Directory) -> int:
    """Bytes that a directory takes with its values."""
    return 6 + 12 * len(directory) + sum(_padded(len(field.value)) for field in directory.values()) if directory else 0


def _write_directory(directory: Directory, order: str, base: int, note: Field | None) -> bytes:
    """One directory at offset ``base``, entries sorted by tag as TIFF asks, then the values that do not fit inside.

    A pinned ``note`` stands elsewhere.
    """
    at = base + 6 + 12 * len(directory)
    entries, values = [struct.pack(f"{order}H", len(directory))], []
    for tag, field in sorted(directory.items()):
        value = bytes(field.value)
        entries.append(struct.pack(f"{order}HHI", tag, field.kind, len(value) // _SIZES[field.kind]))
        if len(value) <= 4:
            entries.append(value.ljust(4, b"\0"))
        elif field is note:
            entries.append(struct.pack(f"{order}I", field.at))
        else:
            entries.append(struct.pack(f"{order}I", at))
            values.append(value.ljust(_padded(len(value)), b"\0"))
            at += len(values[-1])
    return b"".join([*entries, bytes(4), *values])
