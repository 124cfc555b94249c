"""The main job, and the Python API: photo -> routing -> passes -> photo."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lorair_cli.errors import ImageError, UsageError, WeightsError
from lorair_cli.imaging.arrays import Pixels, to_eight_bits
from lorair_cli.imaging.photo import Photo
from lorair_cli.imaging.views import views_of
from lorair_cli.model.memory import is_out_of_memory
from lorair_cli.model.routing import Routing, convinced, mixture_weights
from lorair_cli.restoration.blending import blended
from lorair_cli.restoration.checks import can_check
from lorair_cli.restoration.choices import Choices, check_experts
from lorair_cli.restoration.device import DTYPES, choose_device, choose_precision
from lorair_cli.restoration.distance import from_afar, is_large
from lorair_cli.restoration.frame import inside_frame
from lorair_cli.restoration.memory import FREE_SOME, choose_tile, choose_whole, free_memory
from lorair_cli.restoration.passes import restored_by_itself
from lorair_cli.restoration.result import Diagnosis, Expert, Restoration
from lorair_cli.restoration.tiled import ProgressCallback, TiledNetwork, smallest_tile
from lorair_cli.restoration.work import Work
from lorair_cli.settings import DEFAULT_SETTING, HOLES
from lorair_cli.weights import publish
from lorair_cli.weights.checkpoint import Checkpoint
from lorair_cli.weights.loading import load_weights

_AS_IT_IS = Choices()


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
            tile: side of a tile in pixels; 0 restores every photo in one piece, None takes what fits into
                the memory that is free now, at most ``LARGEST_TILE``, and cuts no photo of ``LARGEST_WHOLE`` pixels.
            top_k: experts to mix; None takes the number that the weights were trained with.
            pooling_window: local pooling in pixels (384 in the authors' code); None pools over the whole tile.

        Raises:
            DeviceError: the device is not there.
            UsageError: a value is out of range.
            WeightsError: the checkpoint does not fit its own description. One of a router alone does: it diagnoses, and
                ``restore`` raises this.
        """
        self.info = checkpoint.info
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        free = free_memory(self.device) if tile is None else 0
        self.tile = choose_tile(self.info.network, free) if tile is None else tile
        self._whole = choose_whole(self.info.network, free)
        self.top_k = self.info.top_k if top_k is None else top_k
        self.pooling_window = pooling_window
        if pooling_window is not None and pooling_window < 1:
            raise UsageError(f"a pooling window of {pooling_window} pixels is none", "leave it out to pool globally")
        smallest = smallest_tile(self.info.network)
        if tile is None:
            self.tile = max(self.tile, smallest)
        elif self.tile != 0 and self.tile < smallest:
            raise UsageError(f"a tile of {self.tile} pixels is too small", f"use {smallest} or more, or 0 for no tiles")
        experts = self.info.network.experts
        if experts and not 1 <= self.top_k <= experts:
            raise UsageError(f"top-k {self.top_k} is outside 1 to {experts}, the experts of these weights")
        self._network: TiledNetwork | None = None
        if not checkpoint.router_alone:
            network = checkpoint.build_network().to(self.device).to(memory_format=torch.channels_last)
            self._network = TiledNetwork(network, self.device, pooling_window)
        self._router = checkpoint.build_router().to(self.device)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = DEFAULT_SETTING,
        *,
        scale: str = "compact",
        revision: str = "main",
        weights: Path | str | None = None,
        device: str = "auto",
        precision: str = "auto",
        tile: int | None = None,
        top_k: int | None = None,
        pooling_window: int | None = None,
    ) -> Restorer:
        """Pretrained weights, found, downloaded and checked.

        Args:
            name: a setting, a local file or folder, or a hub repository ``owner/name``: see ``find_weights``.
            scale: ``compact`` or ``paper``; of a setting.
            revision: branch, tag or commit; of a repository.
            weights: one's own checkpoint file, instead of ``name``.
            device, precision, tile, top_k, pooling_window: as for the class.

        Raises:
            UsageError: there is no such setting.
            WeightsError: the weights cannot be had, or they are damaged.
            DeviceError: the device is not there.
        """
        return cls(
            load_weights(name, scale, revision) if weights is None else load_weights(Path(weights)),
            device=device,
            precision=precision,
            tile=tile,
            top_k=top_k,
            pooling_window=pooling_window,
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights and model card into a folder that ``from_pretrained`` reads; ``WeightsError`` if it fails."""
        publish.save_pretrained(folder, self._checkpoint())

    def push_to_hub(self, repository: str, *, private: bool = False) -> str:
        """Upload the weights with a model card to ``owner/name``; see ``lorair_cli.weights.publish``."""
        return publish.push_to_hub(repository, self._checkpoint(), private=private)

    def _checkpoint(self) -> Checkpoint:
        network = {} if self._network is None else self._network.network.state_dict()
        return Checkpoint(self.info, network, self._router.state_dict())

    def require_network(self) -> TiledNetwork:
        """The network, at work; ``WeightsError`` if the weights are a router alone."""
        if self._network is None:
            raise WeightsError(
                "these weights are a router alone: it can classify, and restores nothing",
                "train on from it: lorair train --stage pretrain --start-from FILE",
            )
        return self._network

    def tile_for(self, rgb: Pixels) -> int:
        """Side of the tiles of a photo ``(h, w, 3)``; 0 for one piece."""
        return 0 if rgb.shape[0] * rgb.shape[1] <= self._whole else self.tile

    @torch.inference_mode()
    def route(self, photo: Photo) -> Routing:
        """Look at the whole photo: prior, logits and the mixture of experts.

        A router whose local views are cut from the photo as it is (the paper's) looks at a small copy of a large one,
        too, and believes what it is surer of: it has seen no drop or flake as large as on such a photo.

        Raises:
            ImageError: the router gave NaN or infinity, in float32 too, or memory ran out.
        """
        try:
            near = self._look(photo.rgb)
            if self.info.router.view_mode != "native" or not is_large(photo.rgb):
                return near
            far = self._look(from_afar(photo.rgb))
            surer = max(near, far, key=lambda look: float(look.probabilities.max()))
            return replace(surer, looks=(near.probabilities, far.probabilities))
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise ImageError(
                    f"out of memory on {self.device} while the router looked at the photo", FREE_SOME
                ) from error
            raise

    def _look(self, rgb: Pixels) -> Routing:
        config = self.info.router
        rgb = to_eight_bits(rgb)
        views = torch.from_numpy(views_of(rgb, config.view_mode, config.encoder.view)).permute(0, 3, 1, 2)
        views = (views.float() / 255)[None].to(self.device)
        with torch.autocast(self.device.type, DTYPES[self.precision], enabled=self.precision != "float32"):
            prior, logits = self._router(views)
        if self.precision == "float16" and not bool(logits.isfinite().all() & prior.isfinite().all()):
            prior, logits = self._router(views)
        if not bool(logits.isfinite().all() & prior.isfinite().all()):
            raise ImageError("the router gave values that are no numbers", "the weights may be damaged")
        logits = logits[0].float()
        experts = self.info.network.experts
        mixture = mixture_weights(logits, self.top_k) if experts else torch.zeros_like(logits)
        return Routing(logits, prior[0].float(), mixture)

    def diagnose(self, photo: Photo) -> Diagnosis:
        """What is wrong with a photo, inside its frame if it has one, without restoring it."""
        inside = inside_frame(photo.rgb)
        return self.diagnosis(self.route(photo if inside is None else photo.part(inside)))

    @torch.inference_mode()
    def restore(
        self, photo: Photo, progress: ProgressCallback | None = None, choices: Choices = _AS_IT_IS
    ) -> Restoration:
        """Restore a photo: same size, depth, alpha and metadata, other colours.

        If memory runs out, the photo is started again with tiles of half the side. Values that are no colours make
        float16 start again in float32. Both are told in the result's notes.

        Args:
            photo: the photo.
            progress: called after each tile.
            choices: what the user decides in place of the program.

        Raises:
            UsageError: an expert was named that these weights do not have.
            ImageError: the network gave NaN or infinity, or memory ran out on the smallest tiles; nothing is returned.
        """
        started, work = time.perf_counter(), Work(self, progress, by_itself=choices.passes is None)
        # Whoever names the expert that fills holes may well mean what is missing all around.
        framed = work.by_itself and HOLES not in (choices.experts or ())
        inside = inside_frame(photo.rgb) if framed else None
        picture = photo if inside is None else photo.part(inside)
        checks = can_check(self.info.degradations, self.info.network.experts, self.info.untouched_as)
        if choices.passes is None and choices.experts is None and checks:
            restored, first, passes = restored_by_itself(picture, choices.only_if, work)
        else:
            restored, first, passes = self._as_told(picture, choices, work)
        if passes and choices.strength < 1:
            restored = restored.with_rgb(blended(picture.rgb, restored.rgb, choices.strength))
        notes = list(work.way.notes)
        if inside is not None:
            restored = photo.with_part(inside, restored.rgb)
            if passes:
                notes.append(f"the frame stays as it was, around {picture.width}x{picture.height} pixels")
        seconds = time.perf_counter() - started
        return Restoration(restored, first, work.tiles, seconds, tuple(passes), tuple(dict.fromkeys(notes)))

    def _as_told(self, photo: Photo, choices: Choices, work: Work) -> tuple[Photo, Diagnosis, list[Diagnosis]]:
        """A number of passes, by the router's experts or the user's: the result, the first diagnosis, one per pass."""
        passes: list[Diagnosis] = []
        first = None
        for _ in range(choices.passes or 1):
            routing = self.route(photo)
            if choices.experts is not None:
                routing = self.told(routing, choices.experts)
            diagnosis = self.diagnosis(routing)
            first = first or diagnosis
            if choices.only_if is not None and diagnosis.confidence < choices.only_if:
                break
            photo = work.refined(photo, work.tried(photo, routing).photo, routing)
            passes.append(diagnosis)
        assert first is not None, "there is at least one pass"
        return photo, first, passes

    def told(self, routing: Routing, experts: Mapping[str, float]) -> Routing:
        """What the router would have said, had it chosen these experts."""
        routing = replace(routing, mixture=self._named_mixture(experts))
        return replace(routing, prior=convinced(routing.prior, self._router.head, routing.selected))

    def check_experts(self, names: Iterable[str]) -> None:
        """Raises ``UsageError`` if these weights lack an expert of that name."""
        if not self.info.network.experts:
            raise UsageError("these weights have no experts to choose from", "use the weights of a finished training")
        check_experts(names, self.info.degradations)

    def _named_mixture(self, experts: Mapping[str, float]) -> Tensor:
        """Weights by name as a mixture ``(n,)``."""
        self.check_experts(experts)
        return torch.tensor([experts.get(name, 0.0) for name in self.info.degradations], device=self.device)

    def diagnosis(self, routing: Routing) -> Diagnosis:
        """What the router said, in words."""
        names = self.info.degradations
        probabilities = dict(zip(names, routing.probabilities.tolist(), strict=True))
        weights = routing.mixture.tolist()
        return Diagnosis(probabilities, tuple(Expert(names[i], weights[i]) for i in routing.selected))
