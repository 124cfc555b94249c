"""torch.compile for batches of every size."""

from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.training.compiling import Compiled


@pytest.fixture
def compiled(monkeypatch):
    """A tiny network and its compiled self. The graph is traced, as everywhere, and run as it is: no C++ compiler."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    counters.clear()
    torch.manual_seed(0)
    network = RestorationNetwork(
        NetworkConfig(
            width=4,
            encoder_blocks=(1,),
            middle_blocks=1,
            decoder_blocks=(1,),
            stem=1,
            prior_channels=4,
            modulator_channels=4,
            rank=2,
            experts=2,
        )
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    yield network, Compiled(network)
    torch._dynamo.reset()


def test_all_sizes_of_batch_share_one_graph_and_one_photo_needs_none(compiled):
    network, quick = compiled
    mixture = torch.tensor([[0.0, 1.0]])
    for photos in (3, 5, 1, 2, 5):
        lq, prior = torch.rand(photos, 3, 8, 8), torch.rand(photos, 4)
        torch.testing.assert_close(quick(lq, prior, mixture), network(lq, prior, mixture))
    assert counters["stats"]["unique_graphs"] == 1


def test_gradients_arrive_at_the_network_itself(compiled):
    network, quick = compiled
    quick(torch.rand(2, 3, 8, 8), torch.rand(2, 4), torch.tensor([[0.0, 1.0]])).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.intro.parameters())
    assert network.intro.expert_b.grad[1].any() and not network.intro.expert_b.grad[0].any()
