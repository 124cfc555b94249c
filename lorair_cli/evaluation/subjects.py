"""What is measured: anything that restores pictures, and the words that identify it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lorair_cli.evaluation.datasets import Pair
from lorair_cli.evaluation.metrics import Values
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer


@dataclass(frozen=True)
class Restored:
    """A result in [0, 1], (h, w, 3), as exact as 16 bits."""

    rgb: Values
    recognised: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Subject:
    """What is measured: something that restores a picture, and the words that identify it."""

    restore: Callable[[Pair], Restored]
    weights: str
    """Beginning of the SHA-256 of the weights, or the folder of pictures made elsewhere."""
    options: str
    """Setting, precision, pooling and what else decides the numbers."""
    degradations: tuple[str, ...] = ()
    """What its router can tell; empty if there is none."""
    setting: str = ""
    """The project's setting it was trained for; empty if there is none."""
    saved: bool = False
    """Its results lie there already, whole, and nothing is restored."""


def restorer_subject(restorer: Restorer, weights: str, passes: int | None = 1) -> Subject:
    """A ``Restorer`` with the hash of its ``weights``; ``passes`` as in ``Choices``, one being the paper's way."""
    pooling = f"{restorer.pooling_window}-pixel pooling" if restorer.pooling_window else "global pooling"
    how = f"{restorer.precision} on {restorer.device.type}, {pooling}, tile {restorer.tile}, top-k {restorer.top_k}"
    options = f"{restorer.info.setting}, {how}"  # settings share files: their hash does not tell them apart
    if passes != 1:
        options += ", passes auto" if passes is None else f", {passes} passes"
    choices = Choices(passes=passes)

    def restore(pair: Pair) -> Restored:
        # 16 bits in give 16 bits out: protocols that do not round get what the network made.
        result = restorer.restore(Photo(pair.lq.astype(np.uint16) * np.uint16(257), grey=pair.grey), choices=choices)
        rgb = result.photo.rgb.astype(np.float32) / np.float32(65535)
        return Restored(rgb, result.diagnosis.likeliest, result.seconds)

    return Subject(restore, weights, options, restorer.info.degradations, restorer.info.setting)
