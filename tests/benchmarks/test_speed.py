"""The benchmark's two sides are what they say: the released way computes the same, and rates are counted right."""

import pytest
import speed
import torch

from lorair_cli.model.blocks import LayerNorm2d
from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.experts import ExpertConv2d


@torch.no_grad()
def test_the_released_way_computes_the_same_and_leaves_the_weights_alone():
    torch.manual_seed(1)
    conv = ExpertConv2d(NetworkConfig(experts=2, rank=2), 4, 6, 3, padding=1)
    conv.expert_b.normal_()
    before = {name: tensor.clone() for name, tensor in conv.state_dict().items()}
    x, mixture, gain = torch.randn(1, 4, 9, 7), torch.tensor([[0.3, 0.7]]), torch.randn(1, 6, 1, 1)
    torch.testing.assert_close(speed.released_way(conv, x, mixture, gain), conv(x, mixture, gain), rtol=0, atol=1e-5)
    torch.testing.assert_close(speed.released_way(conv, x, None), conv(x, None), rtol=0, atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in conv.state_dict().items())


def test_the_rate_counts_two_operations_per_pair(monkeypatch):
    monkeypatch.setattr(speed, "timed", lambda run: 0.5)
    assert speed.rate(torch.float32, 2, 3, 4, torch.device("cpu")) == pytest.approx(2 * 2 * 3 * 4 / 0.5)


def test_traffic_counts_what_goes_in_and_out_of_convolutions_and_normalisations():
    layers = torch.nn.Sequential(ExpertConv2d(NetworkConfig(), 4, 6), LayerNorm2d(6), torch.nn.ReLU())
    x = torch.randn(2, 4, 5, 5)
    assert speed.traffic(layers, lambda: layers[2](layers[1](layers[0](x, None)))) == 50 * (4 + 6 + 6 + 6)
    assert not layers[0]._forward_hooks
