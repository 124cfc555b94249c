import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorair_cli.imaging import photoshop

# Shared machines stall: time says nothing about these tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def resource(number: int, content: bytes, name: bytes = b"") -> bytes:
    label = bytes((len(name),)) + name
    head = b"8BIM" + struct.pack(">H", number) + label + bytes(len(label) % 2)
    return head + struct.pack(">I", len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize("name", [b"", b"a", b"ab"])
@pytest.mark.parametrize("before", [b"", b"odd", b"even"])
def test_captions_are_found_behind_other_resources(name, before):
    block = resource(0x03ED, before, name) + resource(0x0404, b"\x1ccaption", name) + resource(0x0425, b"digest")
    assert photoshop.iptc_in(block) == b"\x1ccaption"
    assert photoshop.iptc_in(resource(0x03ED, before, name)) is None


@pytest.mark.parametrize("captions", [b"\x1ceven", b"\x1codd"])
def test_captions_replace_those_that_were_there(captions):
    others = resource(0x03ED, b"odd", b"name"), resource(0x0425, b"digest")
    block = others[0] + resource(0x0404, b"\x1cold") + others[1]
    assert photoshop.with_iptc(block, captions) == others[0] + others[1] + resource(0x0404, captions)
    assert photoshop.with_iptc(b"", captions) == resource(0x0404, captions)


@PATIENT
@given(st.binary(max_size=40), st.sampled_from([b"", b"8BIM", b"8BIM\x04\x04\0\0\0\0", resource(1, b"odd")]))
def test_damaged_blocks_never_raise(data, start):
    assert photoshop.iptc_in(photoshop.with_iptc(start + data, b"\x1ccaption")) == b"\x1ccaption"
    photoshop.iptc_in(start + data)


def test_a_resource_that_is_cut_off_is_not_there():
    block = resource(0x0404, b"\x1ccaption")
    for size in range(len(block)):
        assert photoshop.iptc_in(block[:size]) is None
