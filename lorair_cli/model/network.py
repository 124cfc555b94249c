"""The restoration network: a NAFNet U-Net, modulated by the router's prior, with experts in every convolution.

photo --[stem]-- intro -- stage -- down -- ... -- middle -- ... -- up -- + -- stage -- ending --[stem]-- + photo
                            \\_________________ skip _________________/
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorair_cli.model.blocks import NAFBlock
from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.experts import EXPERT_TENSORS, ExpertConv2d
from lorair_cli.model.modulator import build_modulator, build_prior_mlp


class GuidedStage(nn.Module):
    """A modulator followed by NAFBlocks: an encoder stage, or the middle."""

    def __init__(self, config: NetworkConfig, channels: int, blocks: int) -> None:
        super().__init__()
        self.modulator = build_modulator(config, channels)
        self.blocks = nn.ModuleList(NAFBlock(config, channels) for _ in range(blocks))

    def forward(self, x: Tensor, guide: Tensor, mixture: Tensor | None, window: int | None) -> Tensor:
        """``(b, c, h, w)`` to the same shape."""
        x = self.modulator(x, guide, mixture)
        for block in self.blocks:
            x = block(x, mixture, window)
        return x


class RestorationNetwork(nn.Module):
    """LQ photo and prior in, restored photo out."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        c, colours = config.width, 3 * config.stem**2
        self.prior_mlp = build_prior_mlp(config)
        self.intro = ExpertConv2d(config, colours, c, 3, padding=1)
        self.encoders = nn.ModuleList()
        self.downs = nn.ModuleList()
        for blocks in config.encoder_blocks:
            self.encoders.append(GuidedStage(config, c, blocks))
            self.downs.append(ExpertConv2d(config, c, 2 * c, 2, stride=2))
            c *= 2
        self.middle = GuidedStage(config, c, config.middle_blocks)
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for blocks in config.decoder_blocks:
            self.ups.append(ExpertConv2d(config, c, 2 * c, bias=False))  # then PixelShuffle(2): 2c -> c/2
            c //= 2
            self.decoders.append(nn.ModuleList(NAFBlock(config, c) for _ in range(blocks)))
        self.ending = ExpertConv2d(config, c, colours, 3, padding=1)

    def forward(
        self, lq: Tensor, prior: Tensor, mixture: Tensor | None = None, pooling_window: int | None = None
    ) -> Tensor:
        """Restore a batch.

        Args:
            lq: ``(b, 3, h, w)`` RGB in [0, 1], any size; padded with zeros at the bottom and right as the authors do
                (the restorer gives sizes that fit).
            prior: ``(b, prior)`` of the router.
            mixture: expert weights ``(b, n)`` or ``(1, n)`` for all; None for a network without experts.
            pooling_window: side of the channel attention's pooling window in pixels of ``lq``; None pools globally.

        Returns:
            ``(b, 3, h, w)`` in ``lq``'s type, not clamped. Weights of another type decide the network's inner type; the
            photo itself is never rounded to it.
        """
        if mixture is not None and len(mixture) > 1 and bool((mixture == mixture[:1]).all()):
            mixture = mixture[:1]  # one weight for all: a plain convolution instead of a grouped one
        h, w = lq.shape[-2:]
        m = self.config.multiple
        x = F.pad(lq, (0, -w % m, 0, -h % m))
        inner = self.intro.weight.dtype
        y = self._u_net(F.pixel_unshuffle(x, self.config.stem).to(inner), prior.to(inner), mixture, pooling_window)
        return (F.pixel_shuffle(y, self.config.stem).to(x.dtype) + x)[..., :h, :w]

    def _u_net(self, x: Tensor, prior: Tensor, mixture: Tensor | None, pooling_window: int | None) -> Tensor:
        window = None if pooling_window is None else max(pooling_window // self.config.stem, 1)
        # (b, prior, 1, 1); without modulators nobody looks at it
        guide = prior if self.prior_mlp is None else self.prior_mlp(prior, mixture)
        x = self.intro(x, mixture)
        skips: list[tuple[Tensor, int | None]] = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x, guide, mixture, window)
            skips.append((x, window))
            x = down(x, mixture)
            window = None if window is None else max(window // 2, 1)
        x = self.middle(x, guide, mixture, window)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            skip, window = skips.pop()
            x = F.pixel_shuffle(up(x, mixture), 2) + skip
            assert isinstance(decoder, nn.ModuleList)
            for block in decoder:
                x = block(x, mixture, window)
        out: Tensor = self.ending(x, mixture)
        return out


def parameter_count(module: nn.Module) -> int:
    """Numbers in a module's parameters."""
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def fold(network: RestorationNetwork, mixture: Tensor, dtype: torch.dtype | None = None) -> RestorationNetwork:
    """The plain network that equals ``network`` under one mixture ``(n,)``: experts added to the weights, then gone.

    Folded once per photo, whose mixture is a constant; every tile then costs what a plain NAFNet costs. With ``dtype``
    the sums are rounded to it, and the plain network computes in it.
    """
    with torch.device("meta"):  # no time spent on numbers that are replaced at once
        plain = RestorationNetwork(replace(network.config, experts=0))
    state = {}
    convolutions = {name: m for name, m in network.named_modules() if isinstance(m, ExpertConv2d)}
    for key, value in network.state_dict().items():
        owner, _, leaf = key.rpartition(".")
        if leaf in EXPERT_TENSORS:
            continue
        if leaf == "weight" and owner in convolutions:
            value = convolutions[owner].mixed_weight(mixture[None])[0]
        state[key] = value.to(dtype, copy=True) if dtype else value.clone()
    plain.load_state_dict(state, assign=True)
    return plain.eval()
