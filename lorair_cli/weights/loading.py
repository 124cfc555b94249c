"""From what a user calls weights to a checkpoint in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lorair_cli.settings import SETTINGS
from lorair_cli.weights.checkpoint import Checkpoint, load_checkpoint
from lorair_cli.weights.combine import combine
from lorair_cli.weights.store import find_weights


def load_weights(name: str | Path, scale: str = "compact", revision: str = "main") -> Checkpoint:
    """A checkpoint, whatever it is called, in memory; of a setting just what it asks for.

    Settings whose degradations others know, too, share their file: they get the experts and the router's answers
    that are theirs, and experts of their own from the files behind it.

    Args, raises: as :func:`find_weights` and ``load_checkpoint``.
    """
    first, *others = paths = find_weights(name, scale, revision)
    checkpoint = load_checkpoint(first)
    setting = SETTINGS.get(name) if isinstance(name, str) else None
    if setting is not None and setting.degradations != checkpoint.info.degradations:
        checkpoint = checkpoint.narrowed(setting)
    for path in others:
        own = load_checkpoint(path)
        checkpoint = combine(checkpoint, own, own.info.degradations)
    return replace(checkpoint, files=tuple(paths))
