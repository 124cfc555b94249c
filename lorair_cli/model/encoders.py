"""Image encoders of the router: CLIP's tower through open_clip, and the project's own small one.

Both take views ``(m, 3, v, v)`` in [0, 1] and give features ``(m, C)``; normalisation is the encoder's own business.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorair_cli.model.config import ClipEncoderConfig, CompactEncoderConfig, EncoderConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class ResidualBlock(nn.Module):
    """Depthwise 3x3 convolution, normalisation, and a two-layer MLP per pixel, added to the input (as in ConvNeXt).

    A new block is the identity, so that a trained encoder can get more of them and go on from what it knows.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        for parameter in self.project.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """``(m, c, h, w)`` to the same shape."""
        out: Tensor = x + self.project(F.gelu(self.expand(self.norm(self.depthwise(x)))))
        return out


class CompactEncoder(nn.Module):
    """A small convolutional encoder, trained on degradations and then frozen.

    The stem sees every pixel (pixel-unshuffle, no averaging), because noise and JPEG blocks live in the finest detail.
    Batch normalisation keeps what layer normalisation would divide away: how dark a photo is, how strong its noise. A
    feature is made of statistics over the view: degradations are textures as much as objects.
    """

    def __init__(self, config: CompactEncoderConfig) -> None:
        super().__init__()
        self.unshuffle = config.stem
        width = config.widths[0]
        self.stem = nn.Conv2d(3 * config.stem**2, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.stages = nn.ModuleList()
        for index, (channels, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
            layers: list[nn.Module] = []
            if index:
                layers += [nn.Conv2d(width, channels, 2, stride=2, bias=False), nn.BatchNorm2d(channels)]
            layers += [ResidualBlock(channels) for _ in range(blocks)]
            self.stages.append(nn.Sequential(*layers))
            width = channels
        self.every = config.statistics == "every"
        kept = 3 * sum(config.widths) if self.every else 2 * width
        self.norm = nn.BatchNorm1d(kept)
        self.project = nn.Linear(kept, config.features)

    def forward(self, views: Tensor) -> Tensor:
        """``(m, 3, v, v)`` in [0, 1] to ``(m, C)``."""
        x = F.pixel_unshuffle((views - 0.5) * 4, self.unshuffle)
        # The layout that a CPU's narrow convolutions are fast in; what follows keeps it.
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        x = F.gelu(self.stem_norm(x))
        kept: list[Tensor] = []
        for index, stage in enumerate(self.stages, start=1):
            x = stage(x)
            if self.every or index == len(self.stages):
                pixels = x.flatten(2).float()  # (m, c, h w)
                spread, mean = torch.std_mean(pixels, dim=-1, correction=0)  # (m, c) each
                kept += [mean, (spread + 1e-4).log()]
                if self.every:
                    kept.append(pixels.amax(-1))
        out: Tensor = self.project(self.norm(torch.cat(kept, dim=-1)))
        return out


STATISTICS = ("encoder.norm.", "encoder.project.weight")
"""How the names of a router's tensors begin whose last axis counts a compact encoder's statistics, stage by stage."""


def with_more_statistics(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A trained router's tensors for one whose compact encoder has further stages behind those that it has.

    What looks at a new stage's statistics has weight zero, so that the feature stays what it was.

    Args:
        tensors: the smaller router's, whose encoder keeps the statistics of every stage.
        own: the larger one's, as they came from its constructor.

    Returns:
        ``tensors``, of which those in ``STATISTICS`` are as long as the larger router's.
    """
    grown = dict(tensors)
    for name, given in tensors.items():
        if name.startswith(STATISTICS) and name in own and given.dim():
            rest = own[name][..., given.shape[-1] :].to(given)
            if rest.shape[:-1] == given.shape[:-1]:
                grown[name] = torch.cat([given, torch.zeros_like(rest) if rest.dim() > 1 else rest], dim=-1)
    return grown


class ClipEncoder(nn.Module):
    """CLIP's image tower (open_clip's ViT with QuickGELU, as OpenAI trained it), up to the projected embedding."""

    def __init__(self, config: ClipEncoderConfig) -> None:
        super().__init__()
        # Imported here: it takes seconds, and the compact scale never needs it.
        from open_clip.model import CLIPVisionCfg, _build_vision_tower

        vision = CLIPVisionCfg(
            layers=config.layers,
            width=config.width,
            head_width=config.head_width,
            mlp_ratio=config.mlp_ratio,
            patch_size=config.patch,
            image_size=config.view,
        )
        self.visual = _build_vision_tower(config.features, vision, quick_gelu=True)

    def normalise(self, views: Tensor) -> Tensor:
        """CLIP's pixel values: ``(m, 3, v, v)`` in [0, 1] to zero mean and unit spread per colour."""
        mean, std = (views.new_tensor(colours).view(1, 3, 1, 1) for colours in (CLIP_MEAN, CLIP_STD))
        return (views - mean) / std

    def forward(self, views: Tensor) -> Tensor:
        """``(m, 3, v, v)`` in [0, 1] to ``(m, C)``."""
        out: Tensor = self.visual(self.normalise(views))
        return out


def build_encoder(config: EncoderConfig) -> nn.Module:
    """The encoder that belongs to a config."""
    return CompactEncoder(config) if isinstance(config, CompactEncoderConfig) else ClipEncoder(config)
