"""The main job, and the Python API: photo -> routing -> folded network -> tiles -> photo."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lorair_cli.errors import ImageError, UsageError
from lorair_cli.imaging.arrays import Floats, from_float, to_eight_bits, to_float
from lorair_cli.imaging.photo import Photo
from lorair_cli.imaging.tiles import TileBlender, plan_tiles
from lorair_cli.imaging.views import native_views, resize_views
from lorair_cli.model.network import RestorationNetwork, fold
from lorair_cli.model.routing import Routing, mixture_weights
from lorair_cli.restoration.device import choose_device, choose_precision
from lorair_cli.settings import DEFAULT_SETTING
from lorair_cli.weights.checkpoint import Checkpoint, load_checkpoint
from lorair_cli.weights.store import locate

DEFAULT_TILE = 1024
"""Side of a tile in pixels: the compact network then needs about 0.6 GB, and few pixels are computed twice."""
OVERLAP = 64
"""Pixels that neighbouring tiles share: four strides of the coarsest stage, over which they blend."""

ProgressCallback = Callable[[int, int], None]
"""Called with (tiles done, tiles in all) after each tile."""


@dataclass(frozen=True)
class Expert:
    """One expert in use and its share of the mixture."""

    degradation: str
    weight: float


@dataclass(frozen=True)
class Diagnosis:
    """What the router says about a photo, in words."""

    probabilities: dict[str, float]
    """Probability of each degradation, in the setting's order; they sum to one."""
    experts: tuple[Expert, ...]
    """The experts chosen, strongest first; empty for weights that have none."""


@dataclass(frozen=True)
class Restoration:
    """A restored photo and how it came about."""

    photo: Photo
    diagnosis: Diagnosis
    tiles: int
    seconds: float
    """Routing, folding and the network; reading and writing excluded."""


class Restorer:
    """Restores photos with one checkpoint on one device. Keeps nothing of a photo: results do not depend on the order.

    >>> restorer = Restorer.from_pretrained("10task")
    >>> result = restorer.restore(read_photo(Path("hazy.jpg")))
    >>> result.diagnosis.probabilities["haze"]
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        top_k: int | None = None,
        pooling_window: int | None = None,
    ) -> None:
        """Build the networks.

        Args:
            checkpoint: from ``lorair_cli.weights``.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
            tile: side of a tile in pixels; 0 restores every photo in one piece, None takes ``DEFAULT_TILE``.
            top_k: experts to mix; None takes the number that the weights were trained with.
            pooling_window: local pooling in pixels (384 in the authors' code); None pools over the whole tile.

        Raises:
            DeviceError: the device is not there.
            UsageError: a value is out of range.
            WeightsError: the checkpoint does not fit its own description.
        """
        self.info = checkpoint.info
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.tile = DEFAULT_TILE if tile is None else tile
        self.top_k = self.info.top_k if top_k is None else top_k
        self.pooling_window = pooling_window
        smallest = OVERLAP + self.info.network.multiple
        if self.tile != 0 and self.tile < smallest:
            raise UsageError(f"a tile of {self.tile} pixels is too small", f"use {smallest} or more, or 0 for no tiles")
        experts = self.info.network.experts
        if experts and not 1 <= self.top_k <= experts:
            raise UsageError(f"top-k {self.top_k} is outside 1 to {experts}, the experts of these weights")
        self._network = checkpoint.build_network().to(self.device).to(memory_format=torch.channels_last)
        self._router = checkpoint.build_router().to(self.device)

    @classmethod
    def from_pretrained(
        cls,
        setting: str = DEFAULT_SETTING,
        *,
        scale: str = "compact",
        weights: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        top_k: int | None = None,
        pooling_window: int | None = None,
    ) -> Restorer:
        """The pretrained weights of a setting, or one's own checkpoint file; the arguments are those of the class."""
        paths = [weights] if weights is not None else locate(setting, scale)
        return cls(
            load_checkpoint(paths),
            device=device,
            precision=precision,
            tile=tile,
            top_k=top_k,
            pooling_window=pooling_window,
        )

    @torch.inference_mode()
    def route(self, photo: Photo) -> Routing:
        """Look at the whole photo once: prior, logits and the mixture of experts."""
        config = self.info.router
        rgb = to_eight_bits(photo.rgb)
        see = native_views if config.view_mode == "native" else resize_views
        views = torch.from_numpy(see(rgb, config.encoder.view)).permute(0, 3, 1, 2)
        with self._autocast():
            prior, logits = self._router((views.float() / 255)[None].to(self.device))
        logits = logits[0].float()
        experts = self.info.network.experts
        mixture = mixture_weights(logits, self.top_k) if experts else torch.zeros_like(logits)
        return Routing(logits, prior[0].float(), mixture)

    def diagnose(self, photo: Photo) -> Diagnosis:
        """What is wrong with a photo, without restoring it."""
        return self._diagnosis(self.route(photo))

    @torch.inference_mode()
    def restore(self, photo: Photo, progress: ProgressCallback | None = None) -> Restoration:
        """Restore a photo: same size, depth, alpha and metadata, other colours.

        Raises:
            ImageError: the network gave NaN or infinity for a tile; nothing is returned.
        """
        started = time.perf_counter()
        routing = self.route(photo)
        network = fold(self._network, routing.mixture) if self.info.network.experts else self._network
        network = network.to(memory_format=torch.channels_last)
        multiple = self.info.network.multiple
        side = self.tile or max(photo.height, photo.width, OVERLAP + multiple)
        tiles = plan_tiles(photo.height, photo.width, side, OVERLAP, multiple)
        blender = TileBlender(tiles)
        output = np.empty_like(photo.rgb)
        for index, tile in enumerate(tiles):
            restored = self._restore_tile(network, to_float(photo.rgb[tile.window]), routing.prior)
            for band in blender.add(tile, restored):
                output[band.rows] = from_float(band.pixels, output.dtype)
            if progress is not None:
                progress(index + 1, len(tiles))
        return Restoration(
            photo=photo.with_rgb(output),
            diagnosis=self._diagnosis(routing),
            tiles=len(tiles),
            seconds=time.perf_counter() - started,
        )

    def _restore_tile(self, network: RestorationNetwork, rgb: Floats, prior: Tensor) -> Floats:
        """One tile ``(h, w, 3)`` in [0, 1] through the folded network."""
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None].to(self.device)  # channels_last by construction
        with self._autocast():
            y = network(x, prior[None], None, self.pooling_window)
        y = y[0].float().permute(1, 2, 0)
        if not bool(torch.isfinite(y).all()):
            raise ImageError(
                f"the network gave values that are no colours in {self.precision}", "try --precision float32"
            )
        return np.asarray(y.cpu().numpy(), np.float32)

    def _autocast(self) -> AbstractContextManager[None]:
        # Weights stay float32 and so does the photo itself: only the network's inner work is rounded.
        dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "float32")

    def _diagnosis(self, routing: Routing) -> Diagnosis:
        names = self.info.degradations
        probabilities = dict(zip(names, routing.probabilities.tolist(), strict=True))
        weights = routing.mixture.tolist()
        return Diagnosis(probabilities, tuple(Expert(names[i], weights[i]) for i in routing.selected))
