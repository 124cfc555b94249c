"""Degradation synthesis: a clean photo in, one of ten degradations out, by the field's own models.

Photos are float32 arrays ``(h, w, 3)``, RGB, display-referred (sRGB encoded), in [0, 1]. Everything is a pure function
of the photo, the degradation, the strength and the random generator, so a seed gives the same picture again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis import blur, haze, inpainting, jpeg, low_light, noise, rain, raindrop, shadow, snow
from lorair_cli.errors import UsageError

Photo = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Synthesis:
    """One degradation: how its parameters are drawn, and how they are applied."""

    draw: Callable[..., Any]
    """``(rng, strength in [0, 1]) -> parameters`` (a frozen dataclass of the degradation's module); also the
    probabilities in ``shares``, by name."""
    apply: Callable[..., Photo]
    """``(clean, parameters, rng) -> degraded`` of the same shape, in [0, 1]; where ``scales``, also the scale."""
    shares: tuple[str, ...] = ()
    """What may be asked for more or less often than ``ranges.py`` has it: ``veiled``, a veil; ``misty``, that a veil is
    mist; ``drizzling``, a drizzle; ``distant``, haze in the distance; ``plain``, drops that neither glow nor have a
    light spot."""
    scales: bool = False
    """Whether it has structures of a size of their own in the scene, such as drops or streaks."""


SYNTHESES: dict[str, Synthesis] = {
    "blur": Synthesis(blur.draw, blur.apply),
    "haze": Synthesis(haze.draw, haze.apply, ("distant",)),
    "jpeg": Synthesis(jpeg.draw, jpeg.apply),
    "low-light": Synthesis(low_light.draw, low_light.apply),
    "noise": Synthesis(noise.draw, noise.apply),
    "raindrop": Synthesis(raindrop.draw, raindrop.apply, ("plain",), scales=True),
    "rain": Synthesis(rain.draw, rain.apply, ("veiled", "misty", "drizzling"), scales=True),
    "shadow": Synthesis(shadow.draw, shadow.apply, scales=True),
    "snow": Synthesis(snow.draw, snow.apply, ("veiled",), scales=True),
    "inpainting": Synthesis(inpainting.draw, inpainting.apply, scales=True),
}


IN_ORDER = ("shadow", "haze", "rain", "snow", "raindrop", "blur", "low-light", "noise", "jpeg", "inpainting")
"""Where they happen on the way from the scene to the archive: in the scene and the air, on the lens, in the camera, in
the file, on the print. Of several degradations the earlier is applied first."""


def in_order(degradations: Iterable[str]) -> list[str]:
    """The degradations in the order in which they happen, ``IN_ORDER``."""
    return sorted(degradations, key=IN_ORDER.index)


def degrade(
    clean: Photo,
    degradation: str,
    rng: np.random.Generator,
    strength: float | None = None,
    shares: Mapping[str, float] = MappingProxyType({}),
    scale: float = 1.0,
) -> Photo:
    """``clean`` with one degradation.

    Args:
        clean: ``(h, w, 3)`` float32 RGB in [0, 1]; not changed.
        degradation: a name of ``lorair_cli.settings.TEN_DEGRADATIONS``.
        rng: the only source of randomness.
        strength: 0 (barely visible) to 1 (the worst of the benchmarks); drawn evenly when None.
        shares: probabilities in [0, 1] of what ``Synthesis.shares`` names; those of ``ranges.py`` where not given.
        scale: size of drops, streaks, flakes, patches and strokes over that of ``ranges.py``, above 0; the other
            degradations have no such structures and stay the same.

    Returns:
        The degraded photo, same shape, float32 in [0, 1], not rounded to 8 bits.

    Raises:
        UsageError: the degradation is unknown or has no such share, or a number is out of its range.
    """
    if degradation not in SYNTHESES:
        raise UsageError(f"no synthesis for {degradation!r}", f"choose from {', '.join(SYNTHESES)}")
    if strength is None:
        strength = float(rng.uniform())
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength} is outside 0 to 1")
    synthesis = SYNTHESES[degradation]
    for name, share in shares.items():
        if name not in synthesis.shares:
            raise UsageError(f"{degradation} is never {name}")
        if not 0 <= share <= 1:
            raise UsageError(f"{name} {share} is outside 0 to 1")
    if not 0 < scale < math.inf:
        raise UsageError(f"scale {scale} is not above 0")
    parameters = synthesis.draw(rng, strength, **shares)
    return (
        synthesis.apply(clean, parameters, rng, scale) if synthesis.scales else synthesis.apply(clean, parameters, rng)
    )
