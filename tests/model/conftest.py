"""Small networks with weights that all matter: as initialised, many of them are zero."""

import pytest
import torch

from lorair_cli.model.config import CompactEncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router


@torch.no_grad()
def _shaken(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        spread = 0.1 if parameter.ndim < 4 else 0.3 / parameter[0].numel() ** 0.5
        parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)
    return module.eval()


@pytest.fixture(scope="session")
def shaken():
    """``shaken(module)``: the module with random numbers added to every parameter, in evaluation mode."""
    return _shaken


@pytest.fixture(scope="session", params=[1, 2], ids=["stem1", "stem2"])
def network(request):
    """Two levels, three experts, with a stem at full and at half resolution."""
    config = NetworkConfig(
        4, (1, 2), 1, (1, 1), stem=request.param, prior_channels=6, modulator_channels=5, experts=3, rank=2
    )
    with torch.random.fork_rng():  # which squeeze its ReLU switches off must not depend on what ran before
        torch.manual_seed(2)
        return _shaken(RestorationNetwork(config))


@pytest.fixture(scope="session")
def router():
    """A compact router of three classes for views of 16 pixels."""
    encoder = CompactEncoderConfig(view=16, stem=2, widths=(4, 8), blocks=(1, 1), features=12)
    return _shaken(Router(RouterConfig(encoder, classes=3)))
