"""What comes out of a restoration: the photo, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass

from lorair_cli.imaging.photo import Photo

CARRIES = 0.1
"""The share of a mixture from which on an expert does anything that is seen."""


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

    @property
    def treated(self) -> set[str]:
        """The degradations whose experts carry the mixture."""
        return {expert.degradation for expert in self.experts if expert.weight >= CARRIES}

    @property
    def likeliest(self) -> str:
        """The degradation with the largest probability."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return max(self.probabilities.values())


@dataclass(frozen=True)
class Restoration:
    """A restored photo and how it came about."""

    photo: Photo
    diagnosis: Diagnosis
    """Of the photo as it came, with the experts that the router or the user chose; ``passes`` has those that were used,
    which are others where the program tried its second choice."""
    tiles: int
    """Tiles that the network restored, over all passes and what they took the place of; 0 for a photo left alone."""
    seconds: float
    """Routing, folding and the network; reading and writing excluded."""
    passes: tuple[Diagnosis, ...]
    """What the router said before each pass that was run; empty for a photo left alone."""
    notes: tuple[str, ...] = ()
    """One line for each thing that went otherwise than asked, such as smaller tiles for want of memory."""

    @property
    def untouched(self) -> bool:
        """Whether the photo was left alone: nothing reached the wanted confidence, so its pixels are the source's."""
        return not self.passes
