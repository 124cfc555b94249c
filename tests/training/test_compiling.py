"""torch.compile for batches of every size."""

from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from lorair_cli.training.compiling import Compiled

MIXTURE = torch.tensor([[0.0, 1.0, 0.0]])


@pytest.fixture
def compiled(checkpoint, monkeypatch):
    """A tiny network and its compiled self. The graph is traced, as everywhere, and run as it is: no C++ compiler."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    counters.clear()
    network = checkpoint.build_network()
    yield network, Compiled(network)
    torch._dynamo.reset()


def test_all_sizes_of_batch_share_one_graph_and_one_photo_needs_none(compiled):
    network, quick = compiled
    for photos in (3, 5, 1, 2, 5):
        lq, prior = torch.rand(photos, 3, 16, 16), torch.rand(photos, network.config.prior_channels)
        torch.testing.assert_close(quick(lq, prior, MIXTURE), network(lq, prior, MIXTURE))
    assert counters["stats"]["unique_graphs"] == 1


def test_gradients_arrive_at_the_network_itself(compiled):
    network, quick = compiled
    quick(torch.rand(2, 3, 16, 16), torch.rand(2, network.config.prior_channels), MIXTURE).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.intro.parameters())
    assert network.intro.expert_b.grad[1].any() and not network.intro.expert_b.grad[0].any()
