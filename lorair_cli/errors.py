"""Every error a user can cause, as one short tree.

``LorairError``            exit code 1, one line on stderr
├── ``UsageError``         exit code 2: the command line or a recipe asks for something that cannot be
├── ``ImageError``         a photo that cannot be read, or a result that cannot be written
├── ``WeightsError``       a checkpoint that is missing, damaged, or not what it claims to be
├── ``DeviceError``        a device or precision that this machine does not have
└── ``TrainingError``      a run that cannot start or go on
"""

from __future__ import annotations


class LorairError(Exception):
    """An error with a message for the user, and perhaps the way out.

    ``message`` is one line that names the thing and the reason. ``hint`` is one line that says what to do.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"


class UsageError(LorairError):
    """The command line, an argument or a recipe asks for something that cannot be."""

    exit_code = 2


class ImageError(LorairError):
    """A photo that cannot be read, or a result that cannot be written."""


class WeightsError(LorairError):
    """A checkpoint that is missing, damaged, or not what it claims to be."""


class DeviceError(LorairError):
    """A device or precision that was asked for and that this machine does not have."""


class TrainingError(LorairError):
    """A training run that cannot start or cannot go on."""
