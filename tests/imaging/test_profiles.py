import io

import numpy as np
import pytest
from imaging.decode_samples import grey_profile
from PIL import Image, ImageCms

from lorair_cli.imaging.profiles import in_colour, profile_for, srgb_profile


@pytest.mark.parametrize(("primaries", "name"), [(9, "BT.2020"), (12, "Display P3")])
def test_a_made_profile_means_its_colours(primaries, name):
    """Its red is redder than sRGB can show, its white and greys are the same."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_for(primaries)))
    assert ImageCms.getProfileDescription(profile).strip() == name
    colours = Image.fromarray(np.array([[[255, 255, 255], [128, 128, 128], [200, 40, 40]]], np.uint8))
    lab = ImageCms.createProfile("LAB")
    intent = ImageCms.Intent.ABSOLUTE_COLORIMETRIC
    seen = [
        np.asarray(ImageCms.applyTransform(colours, ImageCms.buildTransform(p, lab, "RGB", "LAB", intent))).astype(int)[
            0
        ]
        for p in (profile, ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())))
    ]
    assert np.abs(seen[0][:2] - seen[1][:2]).max() <= 1, "white and grey"
    chroma = [np.hypot(*(s[2, 1:] - 256 * (s[2, 1:] > 127))) for s in seen]
    assert chroma[0] > chroma[1] + 5


def test_display_p3_has_the_published_colorants():
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_for(12))).profile
    published = {"red": (0.5151, 0.2412, -0.0011), "green": (0.2920, 0.6922, 0.0419), "blue": (0.1571, 0.0666, 0.7841)}
    for colour, xyz in published.items():
        assert getattr(profile, f"{colour}_colorant")[0] == pytest.approx(xyz, abs=3e-4)


def test_srgb_needs_no_profile_and_its_own_is_the_same_each_time():
    assert profile_for(1) is None and profile_for(2) is None and srgb_profile() == srgb_profile()


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.4])
def test_a_profile_of_greys_as_one_of_colours_means_the_same_greys(gamma):
    greys = np.arange(0, 256, 15, dtype=np.uint8)[None]
    lab, seen = ImageCms.createProfile("LAB"), []
    for profile, image, mode in (
        (grey_profile(gamma), Image.fromarray(greys), "L"),
        (in_colour(grey_profile(gamma)), Image.fromarray(np.repeat(greys[..., None], 3, axis=2)), "RGB"),
    ):
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        seen.append(np.asarray(ImageCms.applyTransform(image, ImageCms.buildTransform(opened, lab, mode, "LAB"))))
    assert np.abs(seen[0].astype(int) - seen[1]).max() <= 1
    assert np.ptp(seen[0][0, :, 0]) > 200


def test_profiles_of_colours_stay_and_greys_without_a_curve_have_none():
    assert in_colour(srgb_profile()) == srgb_profile()
    assert in_colour(grey_profile(tag=b"A2B0")) is None and in_colour(grey_profile()[:20]) is None
