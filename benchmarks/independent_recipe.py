"""A second, independent recipe of the ten degradations, for testing only.

Training makes its pairs with the package's own synthesis. A network can learn the habits of one generator, so a gain on
that generator alone proves little. This file makes the same ten degradations by other means and shares no code with the
package: what restores these photos, restores the degradation and not the generator.

Every recipe has one middle strength. Use :func:`degrade`: results are deterministic in the seed and lie on the 8-bit
grid, as a photo read from a file does. Another release of OpenCV may move a value by one step, and OpenCV 4 draws the
letters of ``inpainting`` in another font than OpenCV 5.
"""

from __future__ import annotations

import io
import string
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.draw import disk, ellipse, polygon

Array = npt.NDArray[np.floating[Any]]
"""An image (h, w, 3), RGB in [0, 1], or a map (h, w) in [0, 1]."""
Recipe = Callable[[Array, np.random.Generator], Array]
"""Image and random generator in, degraded image out; ``degrade`` clips and rounds afterwards."""

GAMMA = 2.2  # display value = light ** (1 / GAMMA), the usual stand-in for the sRGB curve


def degrade(image: npt.NDArray[np.float32], name: str, seed: int) -> npt.NDArray[np.float32]:
    """Apply recipe ``name`` to ``image`` (h, w, 3), float32 RGB in [0, 1], at least 64 pixels a side.

    Returns a new float32 array of the same shape whose values are multiples of 1/255. The same arguments give the same
    result. Raises ``KeyError`` for an unknown name and ``ValueError`` for another shape.
    """
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 64:
        raise ValueError(f"expected an RGB image (h, w, 3) of at least 64 pixels a side, got shape {image.shape}")
    degraded = RECIPES[name](np.array(image, np.float32, order="C"), np.random.default_rng(seed))
    return (np.round(np.clip(degraded, 0.0, 1.0) * 255.0) / 255.0).astype(np.float32)


def noise(sigma: float) -> Recipe:
    """White Gaussian noise of ``sigma`` in 8-bit units, as in the denoising benchmarks (BM3D, Dabov et al., 2007)."""

    def apply(image: Array, rng: np.random.Generator) -> Array:
        return image + rng.normal(0.0, sigma / 255.0, image.shape).astype(np.float32)

    return apply


def jpeg(quality: int) -> Recipe:
    """Pillow's JPEG encoder at exactly ``quality`` with its default 4:2:0 subsampling (ITU-T T.81); no randomness."""

    def apply(image: Array, rng: np.random.Generator) -> Array:
        buffer = io.BytesIO()
        Image.fromarray(np.round(image * 255.0).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"), np.float32) / 255.0

    return apply


def blur(image: Array, rng: np.random.Generator) -> Array:
    """A camera that moves and turns a little: the mean of warped frames (the idea of the GoPro set, Nah et al., 2017).

    11 to 15 frames lie on a parabola of 10 to 14 pixels, rolled by up to 0.5 degrees in all, and are averaged in linear
    light. The middle frame is the sharp photo itself, so the result is not shifted against it.
    """
    height, width = image.shape[:2]
    frames = int(rng.choice([11, 13, 15]))
    length, heading = rng.uniform(10.0, 14.0), rng.uniform(0.0, 2.0 * np.pi)
    bend, roll = rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 0.5)
    light = image**GAMMA
    total = np.zeros_like(light)
    for t in np.linspace(-0.5, 0.5, frames):
        along, across = length * t, length * bend * t * t
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), roll * t, 1.0)
        matrix[0, 2] += along * np.cos(heading) - across * np.sin(heading)
        matrix[1, 2] += along * np.sin(heading) + across * np.cos(heading)
        total += cv2.warpAffine(light, matrix, (width, height), None, cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101)
    return np.clip(total / frames, 0.0, 1.0) ** (1.0 / GAMMA)


def haze(image: Array, rng: np.random.Generator) -> Array:
    """Koschmieder's law I = J t + A (1 - t), t = exp(-beta d), as in RESIDE (Li et al., 2019, eq. 1 and 2).

    Depth d is a ramp from the near bottom to the far top plus broad blobs that do not look at the photo. The
    airlight A is 0.85 to 0.95 with a faint cast; beta is solved so that the mean of t is 0.40 to 0.50.
    """
    height, width = image.shape[:2]
    ramp = np.linspace(1.0, 0.25, height, dtype=np.float32)[:, None]
    depth = ramp + 0.35 * (_blobs(height, width, 4, rng) - 0.5)
    depth = np.clip(depth, 0.05, None)
    airlight = rng.uniform(0.85, 0.95) + rng.uniform(-0.02, 0.02, 3)
    wanted, low, high = rng.uniform(0.40, 0.50), 0.0, 8.0
    for _ in range(30):  # the mean transmission falls with beta, so halving the interval finds it
        beta = (low + high) / 2
        low, high = (beta, high) if np.exp(-beta * depth).mean() > wanted else (low, beta)
    transmission = np.exp(-beta * depth)
    return _blend(airlight, image, transmission)


def low_light(image: Array, rng: np.random.Generator) -> Array:
    """Gamma 2 to 3.5 times a gain of 0.3 to 0.6, then shot and read noise, after LLNet (Lore et al., 2017).

    LLNet darkens by a random gamma and adds Gaussian noise; here photon counting (Poisson) comes first. Gamma and gain
    bring the mean to 0.08 to 0.15 where their ranges allow it: a very dark scene stays darker.
    """
    gain, wanted = rng.uniform(0.3, 0.6), rng.uniform(0.08, 0.15)
    gammas = np.linspace(2.0, 3.5, 31)
    small = image[::8, ::8]
    means = np.array([(small**gamma).mean() for gamma in gammas])
    best = np.abs(gain * means - wanted).argmin()
    dark = np.clip(wanted / means[best], 0.3, 0.6) * image ** gammas[best]
    photons = rng.uniform(1500.0, 3000.0)  # collected by a white pixel
    counted = rng.poisson(dark * photons) / photons
    noisy: Array = counted + rng.normal(0.0, 1.0 / 255.0, image.shape)
    return noisy


def rain(image: Array, rng: np.random.Generator) -> Array:
    """Medium rain at one angle: motion-blurred sparse noise, the image editor's rain, added to the photo.

    The additive model is O = B + S of Yang et al. (2017); 20 to 22 dB against the clean photo.
    """
    streaks = _streaks(image.shape[:2], rng.uniform(-25.0, 25.0), 0.0032, rng)
    return image + rng.uniform(0.55, 0.7) * streaks[..., None]


def rain_heavy(image: Array, rng: np.random.Generator) -> Array:
    """Heavy rain: two dense layers at two angles behind a light veil; 13 to 15 dB.

    Overlapping layers plus the mist of far drops follow the heavy-rain model of Yang et al. (2017).
    """
    first = rng.uniform(-30.0, 30.0)
    second = first + rng.choice([-1.0, 1.0]) * rng.uniform(12.0, 30.0)
    streaks = _streaks(image.shape[:2], first, 0.007, rng) + _streaks(image.shape[:2], second, 0.005, rng)
    veil = rng.uniform(0.05, 0.12)
    return image * (1.0 - veil) + 0.75 * veil + rng.uniform(0.5, 0.65) * streaks[..., None]


def snow(image: Array, rng: np.random.Generator) -> Array:
    """White-ish Gaussian flakes of three sizes with a short drift, pasted over the photo; 18 to 20 dB.

    The masks of Snow100K (Liu et al., 2018) have three sizes of particles too, made in an image editor.
    """
    shape = image.shape[:2]
    drift = _line_kernel(rng.uniform(3.0, 6.0), rng.uniform(-40.0, 40.0))
    clear = np.ones(shape, np.float32)
    for spread, share in ((0.9, 6e-3), (1.9, 1.6e-3), (4.0, 1.6e-4)):
        seeds = (rng.random(shape) < share) * rng.uniform(0.5, 1.0, shape)
        flakes = cv2.GaussianBlur(seeds.astype(np.float32), (0, 0), spread) * np.float32(2.0 * np.pi * spread**2)
        flakes = cv2.filter2D(flakes, -1, drift, borderType=cv2.BORDER_REFLECT)
        clear *= 1.0 - 0.95 * np.clip(1.4 * flakes, 0.0, 1.0)
    return _blend(np.full(3, rng.uniform(0.93, 0.99)), image, clear)


def raindrop(image: Array, rng: np.random.Generator) -> Array:
    """Round drops on the lens, each a blurred, upside-down fish-eye of the scene (drop optics: Roser and Geiger, 2009).

    The camera focuses on the scene, so the drop's content and its edge are soft (Qian et al., 2018: I = (1 - M) B + R).
    """
    height, width = image.shape[:2]
    side = min(height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    source_x, source_y = columns.copy(), rows.copy()
    cover, shade = np.zeros((height, width), np.float32), np.ones((height, width), np.float32)
    for _ in range(int(rng.integers(44, 58))):
        radius = side * rng.uniform(0.018, 0.055)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        inside = disk((y, x), radius * 1.1, shape=(height, width))
        dx, dy = (columns[inside] - x) / radius, (rows[inside] - y) / radius
        distance = np.hypot(dx, dy)
        view = side * rng.uniform(0.18, 0.36)  # how much of the scene the drop gathers
        bulge = np.arcsin(np.clip(distance, 0.0, 1.0)) / np.maximum(distance, 1e-3)  # more squeezed towards the rim
        source_x[inside], source_y[inside] = x - view * bulge * dx, y - view * bulge * dy
        shade[inside] = 1.0 + 0.15 * dy  # a drop gathers the sky in its lower half
        cover[inside] = np.maximum(cover[inside], distance < 1.0)
    refracted = cv2.remap(image, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    refracted = cv2.GaussianBlur(refracted * shade[..., None], (0, 0), side / 130)
    cover = cv2.GaussianBlur(cover, (0, 0), side / 250)
    return _blend(image, refracted, cover)


def shadow(image: Array, rng: np.random.Generator) -> Array:
    """Linear light times 0.25 to 0.45 inside soft-edged shapes, a little more in blue; 18 to 20 dB.

    A half plane or polygon with ellipses stands for a wall or an object with foliage. The sky still lights the shadow,
    hence the bluish cast; Le and Samaras (2019) model a shadow as such a loss of light per channel.
    """
    height, width = image.shape[:2]
    size = np.array([height, width])
    mask = np.zeros((height, width), np.float32)
    if rng.random() < 0.5:
        angle = rng.uniform(0.0, 2.0 * np.pi)
        rows, columns = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
        mask[rows * np.sin(angle) + columns * np.cos(angle) > rng.uniform(0.05, 0.15)] = 1.0
    else:
        angles = np.sort(rng.uniform(0.0, 2.0 * np.pi, 7))
        spokes = rng.uniform(0.25, 0.45, (7, 1)) * np.stack([np.sin(angles), np.cos(angles)], 1)
        corners = rng.uniform(0.3, 0.7, 2) + spokes
        mask[polygon(*(corners * size).T, shape=mask.shape)] = 1.0
    for _ in range(int(rng.integers(2, 5))):
        centre, radii = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0.06, 0.16, 2) * size
        mask[ellipse(*centre, *radii, shape=mask.shape, rotation=rng.uniform(-1.5, 1.5))] = 1.0
    mask = cv2.GaussianBlur(mask, (0, 0), min(height, width) * rng.uniform(0.006, 0.02))[..., None]
    kept = rng.uniform(0.26, 0.42) * np.array([0.97, 1.0, 1.07])
    shaded: Array = (image**GAMMA * (1.0 - mask * (1.0 - kept))) ** (1.0 / GAMMA)
    return shaded


def inpainting(image: Array, rng: np.random.Generator) -> Array:
    """White holes over 8 to 15 % of the photo: boxes, two lines of letters, thick strokes.

    White filling as in DA-CLIP (Luo et al., 2024), free strokes as in Yu et al. (2019, gated convolution). Strokes are
    drawn until the holes cover 9 to 13 %; one stroke adds at most about 2 %.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    holes = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(2, 4))):
        tall, wide = (side * rng.uniform(0.06, 0.16, 2)).astype(int)
        top, left = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
        holes[top : top + tall, left : left + wide] = 1
    for baseline in (rng.uniform(0.15, 0.45), rng.uniform(0.55, 0.9)):
        letters = "".join(rng.choice(list(string.ascii_letters + string.digits + "  "), 16))
        origin = (int(width * rng.uniform(0.02, 0.12)), int(height * baseline))
        cv2.putText(holes, letters, origin, cv2.FONT_HERSHEY_SIMPLEX, side / 360, 1, max(2, side // 150))
    wanted = rng.uniform(0.09, 0.13)
    for _ in range(60):
        if holes.mean() >= wanted:
            break
        start, heading = rng.uniform(0.0, 1.0, 2) * (width, height), rng.uniform(0.0, 2.0 * np.pi)
        headings = heading + np.cumsum(rng.uniform(-0.7, 0.7, 6))
        steps = np.stack([np.cos(headings), np.sin(headings)], 1) * side * rng.uniform(0.05, 0.12, (6, 1))
        path = np.concatenate([start[None], start + np.cumsum(steps, 0)]).round().astype(np.int32)
        cv2.polylines(holes, [path], False, 1, int(side * rng.uniform(0.015, 0.03)) + 1)
    return np.where(holes[..., None] == 1, np.float32(1.0), image)


def scratches(image: Array, rng: np.random.Generator) -> Array:
    """A scratched print: 5 to 14 long light arcs with soft sides, hardly bent, half of them along a side of the photo.

    One or two pixels wide on a photo of 360, not all of them white, and a little of the photo may shine through.
    """
    height, width = image.shape[:2]
    side, film = min(height, width), rng.uniform(0.0, np.pi)
    film = round(film / (np.pi / 2)) * np.pi / 2
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(int(rng.integers(5, 15))):
        heading = film + rng.normal(0.0, 0.02) if rng.uniform() < 0.5 else rng.uniform(0.0, np.pi)
        middle, reach = rng.uniform(0.1, 0.9, 2) * (height, width), rng.uniform(0.15, 0.9) * side
        along = (columns - middle[1]) * np.cos(heading) + (rows - middle[0]) * np.sin(heading)
        across = (rows - middle[0]) * np.cos(heading) - (columns - middle[1]) * np.sin(heading)
        across = across + rng.normal(0.0, 0.04) * along**2 / side  # an arc
        half = max(rng.uniform(0.5, 1.1) * side / 360, 0.5)
        cover = np.clip(half + 0.5 - np.abs(across), 0.0, 1.0) * np.clip(reach / 2 + 0.5 - np.abs(along), 0.0, 1.0)
        tone = np.full(3, rng.uniform(0.8, 1.0), np.float32)
        image = _blend(image, tone, cover * rng.uniform(0.85, 1.0))
    return image


def _blend(below: Array, above: Array, cover: Array) -> Array:
    """``above`` over ``below``, images or one colour (3,), with opacity ``cover`` (h, w)."""
    mixed: Array = below * (1.0 - cover[..., None]) + above * cover[..., None]
    return mixed


def _blobs(height: int, width: int, cells: int, rng: np.random.Generator) -> Array:
    """A smooth random map (h, w) in [0, 1] with about ``cells`` hills a side: coarse noise, enlarged."""
    coarse = rng.random((cells, cells)).astype(np.float32)
    smooth: Array = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0.0, 1.0)


def _line_kernel(length: float, degrees: float) -> Array:
    """A motion kernel of sum 1: a line of ``length`` pixels, ``degrees`` off the vertical, with soft sides."""
    radius = int(np.ceil(length / 2)) + 2
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    angle = np.radians(degrees)
    along = columns * np.sin(angle) + rows * np.cos(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    line: Array = np.clip(length / 2 + 0.5 - np.abs(along), 0.0, 1.0) * np.exp(-(across**2) / (2 * 0.6**2))
    line /= line.sum()
    return line


def _streaks(shape: tuple[int, ...], degrees: float, share: float, rng: np.random.Generator) -> Array:
    """A rain layer (h, w) in [0, 1]: a ``share`` of the pixels starts a streak ``degrees`` off the vertical."""
    layer = np.zeros(shape, np.float32)
    for length, thickness in ((18.0, 0.0), (28.0, 0.5), (40.0, 0.8)):  # far and thin to near and thick
        seeds = (rng.random(shape) < share / 3) * rng.uniform(0.3, 1.0, shape)
        if thickness:
            seeds = cv2.GaussianBlur(seeds, (0, 0), thickness)
        kernel = _line_kernel(length, degrees)
        streaks = cv2.filter2D(seeds.astype(np.float32), -1, kernel, borderType=cv2.BORDER_REFLECT)
        layer += streaks * np.float32(length)
    return np.clip(layer, 0.0, 1.0)


RECIPES: dict[str, Recipe] = {
    "noise-15": noise(15.0),
    "noise-25": noise(25.0),
    "noise-50": noise(50.0),
    "jpeg-10": jpeg(10),
    "jpeg-20": jpeg(20),
    "blur": blur,
    "haze": haze,
    "low-light": low_light,
    "rain": rain,
    "rain-heavy": rain_heavy,
    "snow": snow,
    "raindrop": raindrop,
    "shadow": shadow,
    "inpainting": inpainting,
    "scratches": scratches,
}
"""Every recipe by the name that result tables print."""

DEGRADATION_OF: dict[str, str] = {
    name: "inpainting" if name == "scratches" else name.removesuffix("-heavy").rstrip("-0123456789") for name in RECIPES
}
"""The degradation, one of the package's ten class names, that each recipe makes: what a router should answer."""
