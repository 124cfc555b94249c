"""Noise: the Gaussian noise of the denoising benchmarks, and the Poisson-Gaussian noise of a real sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from lorair_cli.data.synthesis.light import Photo
from lorair_cli.data.synthesis.ranges import NOISE


@dataclass(frozen=True)
class NoiseParameters:
    """One noise level and its kind. ``NoiseParameters(25)`` is the benchmarks' sigma 25."""

    sigma: float
    """Standard deviation in 8-bit units (0 to 255), at mid-grey for the Poisson-Gaussian kind."""
    kind: Literal["gaussian", "poisson-gaussian"] = "gaussian"
    shot_share: float = 0.0
    """Share of the variance at mid-grey that comes from photons; Poisson-Gaussian only."""
    grey: bool = False
    """The same noise in all three channels."""
    grain: float = 0.0
    """Radius, in pixels, over which neighbouring pixels share noise; 0 is independent pixels."""


def draw(rng: np.random.Generator, strength: float) -> NoiseParameters:
    """Noise of a strength in [0, 1]."""
    sigma = NOISE.sigma.draw(rng, strength)
    if rng.uniform() < NOISE.poisson_chance:
        grain = NOISE.grain.draw(rng) if rng.uniform() < NOISE.grain_chance else 0.0
        return NoiseParameters(sigma, "poisson-gaussian", NOISE.shot_share.draw(rng), grain=grain)
    return NoiseParameters(sigma, grey=bool(rng.uniform() < NOISE.grey_chance))


def apply(clean: Photo, parameters: NoiseParameters, rng: np.random.Generator) -> Photo:
    """``clean`` (h, w, 3) in [0, 1] plus noise, clipped to [0, 1]."""
    noise = unit_noise(clean.shape, rng, parameters.grey, parameters.grain)
    sigma = np.float32(parameters.sigma / 255)
    if parameters.kind == "poisson-gaussian":
        # Foi et al. 2008: variance a x + b; here a / 2 + b = sigma ** 2.
        share = np.float32(parameters.shot_share)
        noise *= np.sqrt(1 - share + 2 * share * clean)
    noise *= sigma
    noise += clean
    return np.clip(noise, 0, 1, out=noise)


def unit_noise(shape: tuple[int, ...], rng: np.random.Generator, grey: bool = False, grain: float = 0.0) -> Photo:
    """Normal noise ``(h, w, 3)``, mean 0, standard deviation 1; ``NoiseParameters`` tells of ``grey`` and ``grain``."""
    height, width, channels = shape
    noise = rng.standard_normal((height, width, 1 if grey else channels), dtype=np.float32)
    if grain > 0:
        taps = cv2.getGaussianKernel(5, grain, cv2.CV_32F)
        # Divided by its norm in both directions, the filter leaves the variance of white noise as it is.
        taps /= np.float32(np.sqrt(np.sum(taps**2)))
        noise = cv2.sepFilter2D(noise, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REFLECT).reshape(noise.shape)
    return np.repeat(noise, channels, axis=2) if grey else noise
