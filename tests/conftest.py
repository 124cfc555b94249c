"""A tiny checkpoint that changes photos visibly and in a known way, for tests of everything above the model, and a
recipe so small that a stage of training is over in a second."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lorair_cli.model.config import CompactEncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.settings import get_setting
from lorair_cli.weights.checkpoint import Checkpoint, CheckpointInfo, save_checkpoint

STAGE = """
[{name}]
steps = 5
photos = 3
share = {share}
learning_rate = 1e-2
final_learning_rate = 1e-3
warmup = 2
weight_decay = 1e-3
clip = 1.0
trains = "{trains}"
[{name}.sampling]
photo_sides = [36, 48]
patches = {patches}
patch = 32
local_views = 2
"""
TINY = """
scale = "compact"
precision = "no"
seed = 3
[network]
width = 8
encoder_blocks = [1, 1]
middle_blocks = 1
decoder_blocks = [1, 1]
stem = 2
prior_channels = 8
modulator_channels = 8
rank = 2
[encoder]
kind = "compact"
view = 32
stem = 4
widths = [8, 8]
blocks = [1, 1]
features = 16
""" + "".join(
    STAGE.format(name=name, share=share, patches=patches, trains=trains)
    for name, share, patches, trains in (
        ("router", 0.1, 0, "all"),
        ("pretrain", 0.6, 2, "all"),
        ("finetune", 0.3, 2, "experts"),
    )
)


def tiny_checkpoint(setting: str = "3task", top_k: int = 1) -> Checkpoint:
    """Random weights of a network with a stem, two levels, modulators and experts, and of a small router."""
    chosen = get_setting(setting)
    encoder = CompactEncoderConfig(view=32, stem=4, widths=(8, 8), blocks=(1, 1), features=16)
    router_config = RouterConfig(encoder, len(chosen.degradations), "native")
    config = NetworkConfig(
        width=8,
        encoder_blocks=(1, 1),
        decoder_blocks=(1, 1),
        stem=2,
        prior_channels=8,
        modulator_channels=8,
        experts=len(chosen.degradations),
        rank=2,
    )
    generator = torch.Generator().manual_seed(5)
    with torch.random.fork_rng():  # the same weights whatever ran before, and nothing changed for what runs after
        torch.manual_seed(5)
        network, router = RestorationNetwork(config), Router(router_config).eval()
    # Everything that starts at zero (experts, residual scales) must matter, or tests would compare identities.
    for module in (network, router):
        for parameter in module.parameters():
            with torch.no_grad():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    info = CheckpointInfo(
        setting=chosen.name,
        scale="compact",
        degradations=chosen.degradations,
        network=config,
        router=router_config,
        top_k=top_k,
    )
    return Checkpoint(info, network.state_dict(), router.state_dict())


@pytest.fixture(scope="session")
def checkpoint_of() -> Callable[..., Checkpoint]:
    """``checkpoint_of("10task")``: such weights of a setting."""
    return tiny_checkpoint


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return tiny_checkpoint()


@pytest.fixture(scope="session")
def weights_file(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, checkpoint)
    return path


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path
