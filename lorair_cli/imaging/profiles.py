"""ICC profiles for colours whose file names them otherwise, so that what is written says what its numbers mean."""

from __future__ import annotations

import struct

import numpy as np
from PIL import ImageCms

from lorair_cli.errors import ImageError

_WHITE_D65, _WHITE_D50 = (0.95047, 1.0, 1.08883), (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_NAME = "sRGB built-in"  # what lcms calls the profile that the others are made from

_PRIMARIES = {
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    12: ("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
"""Name and the corners of red, green and blue by number (ITU-T H.273, table 2), where they are not sRGB's."""
_SRGB_PRIMARIES = 1
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of high dynamic range (ITU-T H.273, table 3), whose numbers are no ordinary colours."""


def srgb_profile() -> bytes:
    """An sRGB profile, the same bytes each time."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Bytes 24 to 35 are the time of its making: the same photo has to give the same file.
    return made[:24] + bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0)) + made[36:]


def in_colour(profile: bytes) -> bytes | None:
    """A profile of greys as one of colours, for a photo of greys that is written with three channels.

    The curve is the same one for each channel, over sRGB's primaries, which cancel out where all three are alike. Other
    profiles come back as they are; None for one of greys without a curve.
    """
    if profile[16:20] != b"GRAY":
        return profile
    curve = _elements(profile).get(b"kTRC")
    if curve is None:
        return None
    colour = srgb_profile()
    elements = {tag: curve if tag in (b"rTRC", b"gTRC", b"bTRC") else data for tag, data in _elements(colour).items()}
    name = "greys".ljust(len(_NAME)).encode("utf-16-be")
    return _profile_of(colour[:128], elements).replace(_NAME.encode("utf-16-be"), name)


def _elements(profile: bytes) -> dict[bytes, bytes]:
    """The tagged elements of an ICC profile (ICC.1, section 7.3); those that lie outside of it are left out."""
    (count,) = struct.unpack_from(">I", profile, 128) if len(profile) >= 132 else (0,)
    found = {}
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        tag, offset, size = struct.unpack_from(">4sII", profile, at)
        if offset + size <= len(profile):
            found[tag] = profile[offset : offset + size]
    return found


def _profile_of(header: bytes, elements: dict[bytes, bytes]) -> bytes:
    """An ICC profile with the first 128 bytes of another one."""
    table, body, at = [struct.pack(">I", len(elements))], [], 132 + 12 * len(elements)
    for tag, data in elements.items():
        table.append(struct.pack(">4sII", tag, at, len(data)))
        body.append(data + bytes(-len(data) % 4))
        at += len(body[-1])
    return b"".join([struct.pack(">I", at), header[4:], *table, *body])


def colour_profile(numbers: tuple[int, int] | None, shown: str, *, otherwise: bytes | None = None) -> bytes | None:
    """A profile for colours that a photo, named ``shown`` in errors, says by number; None for sRGB.

    ``numbers`` are those of its primaries and its transfer characteristics (ITU-T H.273), None if it says neither.
    ``otherwise`` is the answer where the primaries are not said or not known. ``ImageError`` for HDR colours.
    """
    primaries, transfer = numbers or (None, None)
    _refuse_hdr(transfer, shown)
    return profile_for(primaries) if primaries == _SRGB_PRIMARIES or primaries in _PRIMARIES else otherwise


def refuse_hdr(profile: bytes | None, shown: str) -> None:
    """``ImageError`` for a profile that says by number that the photo, named ``shown``, is HDR (ICC.1, cicpTag)."""
    numbers = b"" if profile is None else _elements(profile).get(b"cicp", b"")
    if len(numbers) >= 12:
        _refuse_hdr(numbers[9], shown)


def _refuse_hdr(transfer: int | None, shown: str) -> None:
    if transfer in _HDR_TRANSFERS:
        name = _HDR_TRANSFERS[transfer]
        raise ImageError(f"{shown}: an HDR photo ({name}), whose colours would be lost", "convert it to SDR first")


def profile_for(primaries: int) -> bytes | None:
    """A profile with the primaries of that number (ITU-T H.273) and sRGB's curve; None where that is sRGB itself."""
    if primaries not in _PRIMARIES:
        return None
    name, corners = _PRIMARIES[primaries]
    profile = bytearray(srgb_profile())
    for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _colorants(corners).T, strict=True):
        entry = profile.index(tag)  # in the table of tags: name, offset, size
        (offset,) = struct.unpack_from(">I", profile, entry + 4)
        struct.pack_into(">3i", profile, offset + 8, *(round(float(value) * 65536) for value in column))
    return bytes(profile).replace(_NAME.encode("utf-16-be"), name.ljust(len(_NAME)).encode("utf-16-be"))


def _colorants(corners: tuple[tuple[float, float], ...]) -> np.ndarray:
    """XYZ of red, green and blue as columns (3, 3), under the D50 white that profiles are written for."""
    xyz = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in corners]).T
    xyz = xyz * np.linalg.solve(xyz, np.array(_WHITE_D65))
    gain = (_BRADFORD @ _WHITE_D50) / (_BRADFORD @ _WHITE_D65)
    adapted: np.ndarray = np.linalg.inv(_BRADFORD) @ np.diag(gain) @ _BRADFORD @ xyz
    return adapted
