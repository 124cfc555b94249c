"""Sizes of the two networks: everything a checkpoint must tell to rebuild them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lorair_cli.imaging.views import ViewMode

MOST = 8192
"""No size in a config is larger: a damaged file must not ask for a network that never finishes building."""


def _within(config: object, low: float, high: float, *names: str) -> None:
    """Refuse the named sizes, or any number of a named tuple, outside ``low`` to ``high`` with a ``ValueError``."""
    for name in names:
        size = getattr(config, name)
        if not all(low <= number <= high for number in (size if isinstance(size, tuple) else (size,))):
            raise ValueError(f"{name} {size} is outside {low} to {high}")


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the restoration network. The defaults are the paper's scale."""

    width: int = 64
    """Channels after ``intro``; doubled by every encoder stage."""
    encoder_blocks: tuple[int, ...] = (1, 1, 1, 28)
    """NAFBlocks per encoder stage, finest first."""
    middle_blocks: int = 1
    """NAFBlocks at the coarsest resolution."""
    decoder_blocks: tuple[int, ...] = (1, 1, 1, 1)
    """NAFBlocks per decoder stage, coarsest first; as many stages as the encoder has."""
    stem: int = 1
    """Pixel-unshuffle factor before ``intro``: 1 as in the paper, 2 at compact scale, where it quarters the work."""
    prior_channels: int = 384
    """Length of the router's prior: half of CLIP's 768."""
    modulator_channels: int = 128
    """Hidden width of each stage's modulator."""
    experts: int = 0
    """Low-rank experts in every convolution: 0 in stage 1 and after folding, else the setting's degradations."""
    rank: int = 8
    """Rank r of an expert, per kernel tap; the paper's value for Setting I."""
    modulator: Literal["dam", "adaln", "none"] = "dam"
    """What the prior does to every stage. The paper's DAM; the others are for table 10: an adaptive layer
    normalisation in its place, or nothing."""
    edges: Literal["mirrored", "zeros"] = "mirrored"
    """What a photo whose size the strides do not divide is filled up with. With the authors' weights it is zeros, as in
    their code; ours were measured to do far better without such black bars (``docs/ARCHITECTURE.md``)."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.encoder_blocks) == len(self.decoder_blocks) <= 8:
            raise ValueError(f"{len(self.encoder_blocks)} encoder stages and {len(self.decoder_blocks)} decoder stages")
        _within(self, 0, 256, "encoder_blocks", "middle_blocks", "decoder_blocks", "experts")
        _within(self, 1, 8, "stem")
        _within(self, 1, MOST, "width", "prior_channels", "modulator_channels", "rank")

    @property
    def multiple(self) -> int:
        """Height and width of an input are padded to a multiple of this: the coarsest stage's stride, in pixels."""
        return int(self.stem * 2 ** len(self.encoder_blocks))

    def fitting(self, height: int, width: int) -> tuple[int, int]:
        """The smallest height and width, no less than these, that are such multiples."""
        return height + -height % self.multiple, width + -width % self.multiple

    @property
    def expert_scale(self) -> float:
        """alpha / r with alpha = 2r."""
        return 2.0


@dataclass(frozen=True)
class CompactEncoderConfig:
    """Shape of the small convolutional image encoder that stands in for CLIP at compact scale."""

    view: int = 128
    """Side of a square view in pixels: wide enough for a few JPEG blocks and rain streaks, cheap on a laptop."""
    stem: int = 4
    """Pixel-unshuffle factor before the first convolution: no pixel is averaged away, yet little work is done."""
    widths: tuple[int, ...] = (48, 96, 192)
    """Channels per stage; each stage after the first halves the resolution."""
    blocks: tuple[int, ...] = (1, 2, 2)
    """Residual blocks per stage."""
    features: int = 256
    """Length C of a view's feature."""
    statistics: Literal["last", "every"] = "last"
    """What is kept of a view: mean and spread of the last stage, or mean, spread and peak of every stage. Noise and
    JPEG blocks show in the first stages, and a drop or a shadow in one place only."""

    def __post_init__(self) -> None:
        if self.statistics not in ("last", "every"):
            raise ValueError(f"statistics {self.statistics!r} is neither last nor every")
        if not 1 <= len(self.widths) == len(self.blocks) <= 8:
            raise ValueError(f"{len(self.widths)} widths for {len(self.blocks)} stages of blocks")
        _within(self, 0, 256, "blocks")
        _within(self, 1, 16, "stem")
        _within(self, 1, MOST, "view", "widths", "features")
        stride = self.stem * 2 ** (len(self.widths) - 1)
        if self.view % stride:
            raise ValueError(f"view {self.view} is not a multiple of {stride}, the encoder's stride")


@dataclass(frozen=True)
class ClipEncoderConfig:
    """Shape of a CLIP image tower. The defaults are ViT-L/14-336, the paper's."""

    view: int = 336
    """Side of a square view in pixels."""
    patch: int = 14
    """Side of a token's patch."""
    width: int = 1024
    """Token width."""
    layers: int = 24
    """Transformer layers."""
    head_width: int = 64
    """Channels per attention head."""
    mlp_ratio: float = 4.0
    """Hidden width of a layer's MLP, in token widths."""
    features: int = 768
    """Length C of a view's feature: the projection's output."""

    def __post_init__(self) -> None:
        _within(self, 1, 256, "layers")
        _within(self, 1, MOST, "view", "patch", "width", "head_width", "features")
        _within(self, 1 / self.width, 64, "mlp_ratio")
        if self.view % self.patch:
            raise ValueError(f"view {self.view} is not a multiple of the patch {self.patch}")
        if self.width % self.head_width:
            raise ValueError(f"width {self.width} is not a multiple of the head width {self.head_width}")


EncoderConfig = CompactEncoderConfig | ClipEncoderConfig


@dataclass(frozen=True)
class RouterConfig:
    """Shape of the degradation-guided router."""

    encoder: EncoderConfig
    """The frozen image encoder."""
    classes: int
    """Degradations of the setting, n."""
    view_mode: ViewMode = "native"
    """``native``: local views are windows at the photo's own resolution (the paper's text). ``resize``: the photo is
    squashed to twice the view's side and cut into 2x2, as the released weights expect."""
    high_resolution: bool = True
    """Whether local views count at all. Without them (table 10) only the downsampled photo is looked at."""

    def __post_init__(self) -> None:
        _within(self, 1, 256, "classes")
        _within(self.encoder, 2, MOST, "features")

    @property
    def prior_channels(self) -> int:
        """Length of the prior: C / 2."""
        return self.encoder.features // 2
