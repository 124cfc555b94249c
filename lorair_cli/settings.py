"""The degradations and the five settings of the paper: facts, no code that does anything.

Names are the ones users type. The order of ``Setting.degradations`` is the order of the router's logits and of the
experts, so it must never change for a published checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorair_cli.errors import UsageError


@dataclass(frozen=True)
class Setting:
    """One of the paper's five settings: a name, its degradations in label order, and where it comes from."""

    name: str
    degradations: tuple[str, ...]
    paper: str
    """Roman number of the setting and the data it stands for in the paper."""

    def index(self, degradation: str) -> int:
        """Label of ``degradation`` in this setting; ``UsageError`` if the setting does not have it."""
        try:
            return self.degradations.index(degradation)
        except ValueError:
            raise UsageError(
                f"setting {self.name} has no degradation {degradation!r}",
                f"it knows {', '.join(self.degradations)}",
            ) from None


TEN_DEGRADATIONS = (
    "blur",
    "haze",
    "jpeg",
    "low-light",
    "noise",
    "raindrop",
    "rain",
    "shadow",
    "snow",
    "inpainting",
)
"""All degradations this project knows, in the folder order of DA-CLIP, which Setting V follows."""

HOLES = "inpainting"
"""The degradation that is plain however little there is of it, and leaves the rest of a photo as it was."""

SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        # Label order of the authors' classifier: snow 0, rain (with haze) 1, raindrop 2.
        Setting("4task", ("snow", "rain", "raindrop"), "I, AllWeather"),
        Setting("3task-real", ("rain", "haze", "snow"), "II, WeatherStream"),
        Setting("3task", ("rain", "haze", "noise"), "III, RESIDE, BSD and WED, Rain100L"),
        Setting("5task", ("haze", "low-light", "rain", "snow", "blur"), "IV, DiffUIR's five tasks"),
        Setting("10task", TEN_DEGRADATIONS, "V, DA-CLIP's ten tasks"),
    )
}

DEFAULT_SETTING = "10task"


def get_setting(name: str) -> Setting:
    """The setting called ``name``; ``UsageError`` with the list of names otherwise."""
    try:
        return SETTINGS[name]
    except KeyError:
        raise UsageError(f"there is no setting {name!r}", f"choose from {', '.join(SETTINGS)}") from None
