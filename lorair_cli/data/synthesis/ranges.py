"""Every parameter range of the degradation synthesis, in one visible place.

A degradation has a *strength* in [0, 1]: 0 is barely visible, 0.5 is what a user would call "clearly degraded", 1 is
the worst that the benchmarks of the field hold. A ``Span`` follows the strength; a ``Range`` is drawn whatever the
strength.
Each block names the source of its model and of its numbers. Lengths are in pixels of a photo whose short side has
``REFERENCE_SIDE`` pixels, unless a line says otherwise: structures that belong to the scene (drops, shadows, strokes)
scale with the photo, structures of the sensor (noise, JPEG blocks) do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

REFERENCE_SIDE = 400
"""Short side, in pixels, to which scene-sized lengths refer: the photos of the field's training sets (320 to 512)."""


@dataclass(frozen=True)
class Range:
    """A parameter that does not depend on the strength: drawn evenly (or evenly in the logarithm) from [low, high]."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """One value in [low, high]."""
        return _between(self.low, self.high, float(rng.uniform()), self.log)


@dataclass(frozen=True)
class Span:
    """A parameter that follows the strength: ``mild`` at 0, ``heavy`` at 1, scattered by ``jitter`` in strength."""

    mild: float
    heavy: float
    log: bool = False
    jitter: float = 0.1

    def draw(self, rng: np.random.Generator, strength: float) -> float:
        """One value near the one that belongs to ``strength`` in [0, 1]; never outside [mild, heavy]."""
        t = strength + self.jitter * float(rng.uniform(-1, 1))
        return _between(self.mild, self.heavy, min(max(t, 0.0), 1.0), self.log)


def _between(start: float, end: float, t: float, log: bool) -> float:
    if log:
        return math.exp((1 - t) * math.log(start) + t * math.log(end))
    return (1 - t) * start + t * end


# --- blur ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BlurRanges:
    """Motion blur: camera shake (the trajectory idea of Boracchi and Foi, TIP 2012; DeblurGAN), arcs and lines.

    Lengths, in pixels of the photo itself, suit GoPro (Nah et al., CVPR 2017): a few to some thirty pixels.
    """

    length: Span = Span(3.5, 36.0, log=True)
    linear_chance: float = 0.2
    arc_chance: float = 0.4
    turn: Range = Range(-1.8, 1.8)
    """Change of course on an arc, radians: up to some hundred degrees."""
    inertia: Range = Range(0.15, 1.5, log=True)
    jerks: Range = Range(0.0, 2.0)


BLUR = BlurRanges()


# --- haze ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HazeRanges:
    """Atmospheric scattering ``I = J t + A (1 - t)``, ``t = exp(-beta d)`` on display values, as in RESIDE (TIP 2019).

    RESIDE outdoor draws A from 0.8 to 1.0 and beta from 0.04 to 0.2. A photo alone does not tell depths in its units:
    the density is the optical depth ``-ln(mean t)`` of the photo, with mean t 0.9, 0.47, 0.25 at strength 0, 0.5, 1.
    A share of the photos lies in grey mist, darker than what is bright in them, as real fog often is and as that of
    Outdoor-Rain (Li, Cheong and Tan, CVPR 2019) is.
    """

    optical_depth: Span = Span(0.1, 1.4)
    airlight: Range = Range(0.8, 1.0)
    grey_chance: float = 0.25
    grey: Range = Range(0.35, 0.8)
    tint: Range = Range(-0.025, 0.025)
    flat_chance: float = 0.08
    distant: float = 0.0
    """Probability that haze lies in the distance, and what is near is clear: so on real photos, where a scene is
    often hundreds of times as deep as its foreground is far. A plausible depth varies by four times."""
    stretch: Range = Range(1.5, 4.0)
    """Power of the depth where haze lies in the distance: a scene eight to some 250 times as deep as near."""


HAZE = HazeRanges()


# --- jpeg ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JpegRanges:
    """libjpeg quality; the benchmarks (LIVE1, and DA-CLIP's ten tasks) use 10 to 40, 10 being the usual hard case."""

    quality: Span = Span(70.0, 8.0, log=True)
    full_colour_chance: float = 0.15
    saved_quality: tuple[int, int] = (75, 98)
    """What cameras, phones and web pages save photos with: a file, not yet a degradation."""
    saved_full_colour_chance: float = 0.5


JPEG = JpegRanges()


# --- low-light ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LowLightRanges:
    """Underexposure in linear light with shot and read noise, fitted to pairs of LOL (Wei et al., BMVC 2018).

    In those pairs the short exposure has 0.5 to 4 percent of the light, and shadows lose more than highlights. A photo
    of mean 0.5 (display) comes down to about 0.13 at strength 0.5 and to 0.04 at strength 1. A share of the photos has
    the steep curve of LLNet (Lore et al., Pattern Recognition 2017: gamma 2 to 5), where highlights stay and the rest
    sinks.
    """

    exposure: Span = Span(0.5, 0.007, log=True)
    gamma: Span = Span(1.0, 1.3, jitter=0.4)
    steep_chance: float = 0.3
    steep: Range = Range(1.3, 3.2)
    cast: Span = Span(0.01, 0.08)
    greying: Span = Span(0.0, 0.2, jitter=0.4)
    shot: Range = Range(1e-5, 2e-4, log=True)
    read: Range = Range(1e-4, 6e-4, log=True)
    grain: Range = Range(0.35, 0.7)
    grain_chance: float = 0.5


LOW_LIGHT = LowLightRanges()


# --- noise --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoiseRanges:
    """Gaussian noise (the benchmarks: sigma 15, 25, 50) and the Poisson-Gaussian model of Foi et al., TIP 2008."""

    sigma: Span = Span(1.0, 57.0)
    poisson_chance: float = 0.25
    shot_share: Range = Range(0.3, 0.9)
    grain: Range = Range(0.35, 0.65)
    grain_chance: float = 0.3
    grey_chance: float = 0.1


NOISE = NoiseRanges()


# --- raindrop -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RaindropRanges:
    """Drops on a window: each a tiny lens that shows the wide scene upside down, out of focus with the window.

    Source: the formation model of Qian et al., CVPR 2018 (RainDrop), ``I = (1 - M) B + R``, with R refracted as in
    Roser and Geiger, ICCVW 2009; sizes, blur and coverage set by eye: from spray to drops of a twentieth of the photo.
    """

    coverage: Span = Span(0.02, 0.85, log=True)
    """Share of the photo that drops would cover before those too close to another are left out."""
    radius: Span = Span(4, 22, log=True, jitter=0.6)
    """Typical radius, pixels."""
    radius_spread: Range = Range(0.15, 0.5)
    """Standard deviation of the logarithm of the radius."""
    irregularity: Range = Range(0.02, 0.16)
    """Deviation of the outline from an ellipse, in radii."""
    stretch: Range = Range(0.9, 1.5)
    """Height of a drop over its width."""
    closest: Range = Range(0.35, 0.95)
    """Least distance of two drops, in the sum of their radii: from drops that run into each other to single ones."""
    defocus: Range = Range(0.1, 0.45)
    """Softness of the edges and of what a drop shows (standard deviation of the blur), in typical radii."""
    reach: Range = Range(0.15, 0.6)
    """Half-width of the scene that a drop shows, as a share of the photo's short side."""
    opacity: Range = Range(0.8, 1.0)
    """Weight of the refracted scene inside a drop."""
    plain_chance: float = 0.5
    """Share of the windows whose drops neither glow nor have a light spot, as under an even sky."""
    glow: Range = Range(0.0, 0.35)
    """Share of the brightest part of the scene (most often the sky) that a drop shows all over."""
    rim: Range = Range(0.0, 0.35)
    """Darkening at the edge of a drop."""
    highlight: Range = Range(0.0, 0.5)
    """Brightness of the light spot inside a drop."""


RAINDROP = RaindropRanges()


# --- rain ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RainRanges:
    """Streak layers added or screened onto the photo, sometimes behind a veil: ``I = T (B + sum S_k) + (1 - T) A``.

    Source: Yang et al., CVPR 2017 (Rain100L/H: one direction and light, five directions and heavy); Li et al., CVPR
    2019 (Outdoor-Rain: streaks and veil). Measured on 40 pairs each (10th to 90th
    percentile): inputs of Rain100L lie at 20 to 32 dB, of Rain100H at 8 to 15.
    """

    layers: Span = Span(1, 5, jitter=0.2)
    """Number of streak layers, rounded."""
    coverage: Span = Span(0.05, 0.6, log=True)
    """Share of the photo under streaks, all layers together, if none overlapped."""
    brightness: Span = Span(0.16, 0.68)
    """Greatest brightness of a streak, display value."""
    dense: float = 0.35
    """Probability of rain so dense that streaks lie upon streaks, each of them fainter."""
    dense_coverage: Span = Span(0.15, 1.5, log=True)
    """Coverage of dense rain."""
    dense_brightness: Span = Span(0.12, 0.43)
    """Brightness of dense rain."""
    tilt: Range = Range(-35, 35)
    """Direction of the rain, degrees from vertical."""
    spread: Span = Span(2, 14, jitter=0.5)
    """Standard deviation of a layer's direction around the tilt, degrees."""
    length: Range = Range(12, 110, log=True)
    """Length of a layer's streaks, pixels."""
    width: Range = Range(0.8, 3.0, log=True)
    """Thickness of a layer's streaks, pixels; never drawn thinner than one pixel."""
    widest: float = 0.08
    """Thickness over length, at most: thicker streaks look like snow."""
    rendered: float = 0.5
    """Probability that a layer is drawn streak by streak; else it is filtered noise."""
    screened: float = 0.3
    """Probability that streaks are screened (never saturate) instead of added."""
    veiled: float = 0.35
    """Probability of a veil."""
    veil: Span = Span(0.02, 0.55, jitter=0.2)
    """Mean opacity of a veil that hangs in patches, ``1 - T``."""
    airlight: Range = Range(0.45, 0.9)
    """Brightness of such a veil, display value."""
    misty: float = 0.1
    """Probability that a veil is mist, which thickens with the depth of the scene; always in Outdoor-Rain."""
    mist: Span = Span(0.05, 0.8, jitter=0.15)
    """Mean opacity of mist; 0.67 in the one pair of Outdoor-Rain at hand, by a fit of ``I = T J + (1 - T) A``."""
    mist_airlight: Range = Range(0.3, 0.9)
    """Brightness of mist, display value; 0.35 in that pair."""
    drizzling: float = 0.0
    """Probability of a drizzle: streaks so many, thin, soft and faint that they are a texture over the whole photo,
    all in about one direction. The photos of real rain at hand look like this, no made one at hand does."""
    drizzle_coverage: Span = Span(0.3, 2.0, log=True)
    """Coverage of a drizzle."""
    drizzle_brightness: Span = Span(0.05, 0.18, jitter=0.3)
    """Greatest brightness of its streaks."""
    drizzle_spread: Span = Span(0.5, 4.0, jitter=0.5)
    """Standard deviation of its layers' directions, degrees."""
    drizzle_width: Range = Range(0.8, 1.6, log=True)
    """Thickness of its streaks, pixels."""
    drizzle_veiled: float = 0.6
    """Probability of a veil with it."""
    drizzle_misty: float = 0.5
    """Probability that such a veil is mist."""


RAIN = RainRanges()


# --- shadow -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ShadowRanges:
    """Direct light taken away behind a soft edge; what remains is bluish skylight. Computed in linear light.

    Source: the illumination model of Shor and Lischinski, Eurographics 2008, ``I_lit = a + b I_shadow`` per colour;
    shapes and depths by eye, after ISTD (Wang et al., CVPR 2018) and SRD (Qu et al., CVPR 2017).
    """

    area: Span = Span(0.2, 0.6, jitter=0.2)
    """Share of the photo in shadow."""
    remaining: Span = Span(0.75, 0.13, log=True)
    """Light that remains in full shadow, linear."""
    blueness: Range = Range(0.0, 0.12)
    """Red falls and blue rises by this share of the remaining light."""
    penumbra: Range = Range(0.6, 14, log=True)
    """Softness of the edge (standard deviation of the blur), pixels."""
    unevenness: Range = Range(0.0, 0.35)
    """Share of the shadow's depth that varies over the photo."""
    blob_scale: Range = Range(120, 400, log=True)
    """Distance between patches of a blob-shaped shadow, pixels."""
    dapple_scale: Range = Range(24, 90, log=True)
    """Distance between patches of light under leaves, pixels."""


SHADOW = ShadowRanges()


# --- snow ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class SnowRanges:
    """Flake layers from far (tiny, many) to near (big, soft, few), laid over the photo, and a light veil.

    Source: Liu et al., TIP 2018 (Snow100K, S/M/L by flake size), ``I = z A + (1 - z) B``; Chen et al., ICCV 2021 (CSD
    adds the veil). Sizes and opacities set by eye.
    """

    coverage: Span = Span(0.02, 0.42, log=True)
    """Share of the photo under flakes, all layers together, if none overlapped."""
    far_radius: Range = Range(0.7, 1.6)
    """Radius of the flakes of the farthest layer, pixels; never drawn smaller than about a pixel across."""
    near_radius: Span = Span(2.5, 16, log=True, jitter=0.5)
    """Radius of the flakes of the nearest layer, pixels."""
    layers: Range = Range(2, 5)
    """Number of layers, rounded; radii grow evenly in the logarithm from far to near."""
    radius_spread: Range = Range(0.15, 0.4)
    """Standard deviation of the logarithm of the radius inside a layer."""
    near_share: Range = Range(0.2, 0.8)
    """Where the coverage goes: 0 all to the farthest layer, 1 all to the nearest."""
    irregularity: Range = Range(0.05, 0.3)
    """Deviation of the outline from a circle, in radii."""
    defocus: Range = Range(0.15, 0.6)
    """Softness of a flake (standard deviation of the blur), in radii."""
    motion: Range = Range(1.0, 3.5, log=True)
    """Length of a flake along its fall over its width."""
    tilt: Range = Range(-50, 50)
    """Direction of the fall, degrees from vertical."""
    opacity: Span = Span(0.55, 1.0, jitter=0.4)
    """Greatest opacity of a flake."""
    white: Range = Range(0.9, 1.0)
    """Brightness of the flakes, display value."""
    veiled: float = 0.6
    """Probability of a veil: Snow100K has none."""
    veil: Span = Span(0.0, 0.22, jitter=0.3)
    """Opacity of the veil."""


SNOW = SnowRanges()


# --- inpainting ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class InpaintingRanges:
    """Holes painted white, as in DA-CLIP (Luo et al., ICLR 2024), with RePaint's masks (Lugmayr et al., CVPR 2022).

    RePaint's thin masks (broken strokes of 12 of 256 pixels, a third of the photo) are the heavy end; the other kinds
    are what users bring: boxes, lettering, scratches, a missing half. Scratches and their tones are by eye.
    """

    area_root: Span = Span(0.12, 0.63)
    """Square root of the share of the photo that is missing: 1.5 % to 40 %, 14 % in the middle."""
    thin: Range = Range(8, 22)
    """Width of thin strokes, pixels."""
    wide: Range = Range(26, 70)
    """Width of wide strokes, pixels."""
    scratch: Range = Range(2, 7, log=True)
    """Width of scratches, pixels."""
    line: Range = Range(1, 7, log=True)
    """Width of long scratches, pixels; never drawn thinner than one."""
    line_share: float = 0.25
    """Long scratches cover so much of what other holes would: 0.4 % to 10 % of the photo."""
    along_chance: float = 0.65
    """Probability that a long scratch runs along a side of the photo, as those of films do."""
    grey_chance: float = 0.3
    """Probability that scratches are not white."""
    scratch_tone: Range = Range(0.7, 1.0)
    """Their grey value then."""
    soft_chance: float = 0.5
    """Probability that scratches have soft edges."""
    softness: Range = Range(0.4, 0.8)
    """Standard deviation of the Gaussian that makes them so, pixels."""
    sheer_chance: float = 0.3
    """Probability that the photo shines through scratches."""
    opacity: Range = Range(0.7, 1.0)
    """How much of it they hide then."""
    bent_chance: float = 0.35
    """Probability that a long scratch is an arc."""
    bend: float = 0.06
    """Standard deviation of its height over its chord."""
    letters: Range = Range(10, 60, log=True)
    """Height of capital letters, pixels; never drawn smaller than 7."""


INPAINTING = InpaintingRanges()
