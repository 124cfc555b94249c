import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.experts import ExpertConv2d
from lorair_cli.model.routing import mixture_weights

KINDS = {
    "pointwise": {"in_channels": 6, "out_channels": 4},
    "depthwise": {"in_channels": 6, "out_channels": 6, "kernel": 3, "padding": 1, "groups": 6},
    "grouped": {"in_channels": 6, "out_channels": 4, "kernel": 3, "padding": 1, "groups": 2},
    "down": {"in_channels": 3, "out_channels": 6, "kernel": 2, "stride": 2},
    "up": {"in_channels": 6, "out_channels": 12, "bias": False},
}


def by_definition(conv, mixture):
    """W + sum_i w_i * 2 * view(B_i A_i), one expert after the other, in float64."""
    weight = conv.weight.detach().double()
    for w, a, b in zip(mixture.double(), conv.expert_a.double(), conv.expert_b.double(), strict=True):
        weight = weight + w * 2 * (b @ a).view(conv.weight.shape).detach()
    return weight


def make(shaken, kind, experts=3, rank=2):
    return shaken(ExpertConv2d(NetworkConfig(experts=experts, rank=rank), **KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_mixture_follows_equation_3(shaken, kind):
    conv, mixture = make(shaken, kind), torch.tensor([[0.2, 0.0, 0.8], [0.5, 0.5, 0.0]])
    weight = conv.mixed_weight(mixture)
    for mixed, row in zip(weight, mixture, strict=True):
        torch.testing.assert_close(mixed.double(), by_definition(conv, row), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_folded_equals_unfolded(shaken, kind, data):
    experts = data.draw(st.integers(1, 5), "experts")
    top_k = data.draw(st.integers(1, experts), "top_k")
    batch = data.draw(st.integers(1, 4), "batch")
    conv = make(shaken, kind, experts)
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, KINDS[kind]["in_channels"], 6, 8, generator=generator)
    mixture = mixture_weights(torch.randn(batch, experts, generator=generator), top_k)
    y = conv(x, mixture)
    for i in range(batch):
        weight = by_definition(conv, mixture[i]).float()
        folded = F.conv2d(x[i : i + 1], weight, conv.bias, conv.stride, conv.padding, groups=conv.groups)
        torch.testing.assert_close(y[i : i + 1], folded, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_one_mixture_for_all_equals_the_grouped_path(shaken, kind):
    conv, x = make(shaken, kind), torch.randn(3, KINDS[kind]["in_channels"], 6, 8)
    mixture = torch.tensor([[0.3, 0.7, 0.0]])
    torch.testing.assert_close(conv(x, mixture), conv(x, mixture.expand(3, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_mixture_of_nothing_is_the_convolution_alone(shaken, kind):
    conv, x = make(shaken, kind), torch.randn(2, KINDS[kind]["in_channels"], 6, 8)
    assert torch.equal(conv(x, torch.zeros(1, 3)), conv(x, None))


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_expert_changes_nothing(kind):
    torch.manual_seed(0)
    conv = ExpertConv2d(NetworkConfig(experts=3, rank=2), **KINDS[kind])
    x, mixture = torch.randn(2, KINDS[kind]["in_channels"], 6, 8), torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5]])
    torch.testing.assert_close(conv(x, mixture), conv(x, None), rtol=0, atol=1e-6)
    assert conv.expert_b.abs().max() == 0
    bound = 1 / conv.expert_a.shape[-1] ** 0.5
    assert 0.7 * bound < conv.expert_a.abs().max() <= bound
    assert not torch.equal(conv.expert_a[0], conv.expert_a[1])


@pytest.mark.parametrize("mixture", [[[1.0, 0, 0], [0, 0, 1.0]], [[0.4, 0, 0.6]], [[0, 1.0, 0]]])
def test_only_selected_experts_learn(shaken, mixture):
    conv, weights = make(shaken, "pointwise"), torch.tensor(mixture)
    conv(torch.randn(2, 6, 4, 4), weights).sum().backward()
    learned = [bool(g.abs().max() > 0) for g in conv.expert_b.grad]
    assert learned == (weights > 0).any(0).tolist()


def test_no_state_is_kept(shaken):
    conv = make(shaken, "grouped")
    before = {k: v.clone() for k, v in conv.state_dict().items()}
    photos = [torch.randn(1, 6, n, n + 1) for n in (3, 7, 5)]
    mixtures = [torch.tensor([m]) for m in ([1.0, 0, 0], [0, 0.5, 0.5], [0.2, 0.3, 0.5])]
    pairs = list(zip(photos, mixtures, strict=True))
    forward = [conv(x, m) for x, m in pairs]
    backward = [conv(x, m) for x, m in reversed(pairs)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert all(torch.equal(v, before[k]) for k, v in conv.state_dict().items())


def test_without_experts_a_mixture_is_ignored():
    conv = ExpertConv2d(NetworkConfig(experts=0), 4, 4)
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(conv(x, torch.ones(2, 3)), conv(x, None))
    assert conv.mixed_weight(torch.ones(2, 3)).shape == (2, 4, 4, 1, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mixtures", [0, 1, 2])
@torch.no_grad()
def test_a_gain_scales_the_result(shaken, kind, mixtures):
    conv = make(shaken, kind)
    x, gain = torch.randn(2, KINDS[kind]["in_channels"], 6, 8), torch.randn(1, KINDS[kind]["out_channels"], 1, 1)
    mixture = torch.rand(mixtures, 3).softmax(-1) if mixtures else None
    torch.testing.assert_close(conv(x, mixture, gain), conv(x, mixture) * gain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mixtures", [0, 1, 2])
@pytest.mark.parametrize("scales", [(1, 1, 1), (2, 1, 1), (2, 6, 8)])
@torch.no_grad()
def test_an_intake_scales_what_comes_in(shaken, kind, mixtures, scales):
    conv, channels = make(shaken, kind), KINDS[kind]["in_channels"]
    images, *size = scales
    x, intake = torch.randn(2, channels, 6, 8), torch.randn(images, channels, *size)
    mixture = torch.rand(mixtures, 3).softmax(-1) if mixtures else None
    gain = torch.randn(1, KINDS[kind]["out_channels"], 1, 1)
    torch.testing.assert_close(conv(x, mixture, gain, intake), conv(x * intake, mixture) * gain, rtol=0, atol=1e-5)
