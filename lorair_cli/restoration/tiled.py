"""One pass over a photo: the folded network in tiles, in spite of faults."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lorair_cli.errors import ImageError
from lorair_cli.imaging.arrays import Floats, Pixels, from_float, mirrored_to, to_float
from lorair_cli.imaging.tiles import TileBlender, plan_tiles
from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.model.memory import is_out_of_memory
from lorair_cli.model.network import RestorationNetwork, fold
from lorair_cli.model.routing import Routing
from lorair_cli.restoration.device import DTYPES, Precision
from lorair_cli.restoration.memory import FREE_SOME, release

OVERLAP = 64
"""Pixels that neighbouring tiles share: four strides of the coarsest stage, over which they blend."""

SMALLEST_HALVED = 2 * OVERLAP
"""Where halving the tile for want of memory ends: smaller ones would compute every pixel many times, and the paper's
network needs a mere 55 MB here."""

KEPT_BYTES = 2**26
"""Room for folded networks: four of the compact one in 16 bits, and never two of the paper's. Folding takes a sixth of
the time of a photo of 480x360."""

ProgressCallback = Callable[[int, int], None]
"""Called with (tiles done, tiles in all) after each tile; counted anew in each pass and after a restart."""


def smallest_tile(config: NetworkConfig) -> int:
    """Side in pixels of the smallest tile whose neighbours do not overlap it entirely."""
    return OVERLAP + config.multiple


@dataclass
class Way:
    """How the network goes over a photo. A fault changes it, and a further copy of the photo goes the way that held."""

    precision: Precision
    widest: int | None = None
    """Side in pixels of the largest tile that memory is known to allow, once it has run out."""
    notes: list[str] = field(default_factory=list)
    """A line for each new start."""


class TiledNetwork:
    """A network with experts that restores photos of any size, under one mixture of its experts at a time.

    Args:
        network: on its device, in channels_last.
        device: where it lies.
        pooling_window: local pooling in pixels; None pools over the whole tile.
    """

    def __init__(self, network: RestorationNetwork, device: torch.device, pooling_window: int | None) -> None:
        self.network, self.device, self.pooling_window = network, device, pooling_window
        tensors = network.state_dict().items()
        self._parameters = sum(t.numel() for name, t in tensors if not name.endswith(EXPERT_TENSORS))
        self._folded: OrderedDict[tuple[tuple[float, ...], Precision], RestorationNetwork] = OrderedDict()

    def restore(
        self,
        rgb: Pixels,
        routing: Routing,
        tile: int,
        way: Way,
        progress: ProgressCallback | None,
    ) -> tuple[Pixels, int]:
        """One pass over a photo; started again after a fault that smaller tiles or float32 mend.

        Args:
            rgb: ``(h, w, 3)``.
            routing: its prior and the mixture to restore it with.
            tile: side of a tile in pixels; 0 restores it in one piece.
            way: precision of the network, and what faults allow.
            progress: called after each tile.

        Returns:
            The restored ``(h, w, 3)`` of the same depth, and its number of tiles.

        Raises:
            ImageError: the network gave NaN or infinity, or memory ran out on the smallest tiles.
        """
        least = max(SMALLEST_HALVED, smallest_tile(self.network.config))
        longest = max(*rgb.shape[:2], least)
        side = min(tile or longest, longest, way.widest or longest)
        while True:
            try:
                return self._restore_tiles(rgb, routing, side, way.precision, progress)
            except _NoColoursError as error:
                if way.precision != "float16":
                    raise ImageError(
                        f"the network gave values that are no colours in {way.precision}", error.hint
                    ) from error
                way.precision = "float32"
                way.notes.append("float16 gave values that are no colours: restored in float32")
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if side <= least:
                    message = f"out of memory on {self.device}, even with tiles of {side} pixels"
                    raise ImageError(message, FREE_SOME) from error
                halved = max(side // 2, least)
                way.notes.append(f"out of memory with tiles of {side} pixels: restored with tiles of {halved}")
                side = way.widest = halved
            # Only here, where the exception and the tensors in its frames are gone, can their memory come back.
            release(self.device)

    def _restore_tiles(
        self, rgb: Pixels, routing: Routing, side: int, precision: Precision, progress: ProgressCallback | None
    ) -> tuple[Pixels, int]:
        """One pass in tiles of ``side`` pixels, all or nothing."""
        plain = self._plain_network(routing.mixture, precision)
        height, width = rgb.shape[:2]
        tiles = plan_tiles(height, width, side, OVERLAP, self.network.config.multiple)
        blender = TileBlender(tiles)
        output = np.empty_like(rgb)
        for index, tile in enumerate(tiles):
            restored = self._restore_tile(plain, to_float(rgb[tile.window]), routing.prior)
            for band in blender.add(tile, restored):
                output[band.rows] = from_float(band.pixels, output.dtype)
            if progress is not None:
                progress(index + 1, len(tiles))
        return output, len(tiles)

    def _plain_network(self, mixture: Tensor, precision: Precision) -> RestorationNetwork:
        """The network under a mixture ``(n,)``; the last few are kept, since photos of a folder often share an ill."""
        wanted = tuple(mixture.tolist()), precision
        if wanted not in self._folded:
            size = self._parameters * DTYPES[precision].itemsize
            while self._folded and (len(self._folded) + 1) * size > KEPT_BYTES:
                self._folded.popitem(last=False)
            plain = fold(self.network, mixture, DTYPES[precision]).to(memory_format=torch.channels_last)
            self._folded[wanted] = plain
        self._folded.move_to_end(wanted)
        return self._folded[wanted]

    def _restore_tile(self, plain: RestorationNetwork, rgb: Floats, prior: Tensor) -> Floats:
        """One tile ``(h, w, 3)`` in [0, 1] through the folded network.

        A size that the network's strides do not divide is filled up with the mirrored photo, unless the config says
        zeros. With those the network itself would fill it, as the authors' code does: black bars, which it never saw in
        training. They spoil the edge beside them, and the channel attention, which pools over the whole tile, takes
        them for a part of the scene.
        """
        height, width = rgb.shape[:2]
        if plain.config.edges == "mirrored":
            rgb = mirrored_to(rgb, *plain.config.fitting(height, width))
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None].to(self.device)  # channels_last by construction
        y = plain(x, prior[None], None, self.pooling_window)[0, :, :height, :width].permute(1, 2, 0)
        if not bool(torch.isfinite(y).all()):
            exact = plain.intro.weight.dtype == torch.float32
            raise _NoColoursError("not finite", None if exact else "try --precision float32")
        return np.asarray(y.cpu().numpy(), np.float32)


class _NoColoursError(ImageError):
    """A tile came out of the network with NaN or infinity in it."""
