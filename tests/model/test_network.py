from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.network import RestorationNetwork, fold, parameter_count
from lorair_cli.model.routing import mixture_weights


def on_meta(config):
    with torch.device("meta"):
        return RestorationNetwork(config)


def inputs(batch, h, w, seed=0):
    generator = torch.Generator().manual_seed(seed)
    photo = torch.rand(batch, 3, h, w, generator=generator)
    return photo, torch.randn(batch, 6, generator=generator), torch.randn(batch, 3, generator=generator)


def test_paper_scale_has_the_papers_size():
    plain, experts = parameter_count(on_meta(NetworkConfig())), parameter_count(on_meta(NetworkConfig(experts=1)))
    assert plain == pytest.approx(68.9e6, abs=0.05e6)
    assert experts - plain == pytest.approx(4.26e6, abs=0.005e6)
    assert parameter_count(on_meta(NetworkConfig(experts=10))) - plain == 10 * (experts - plain)


def test_compact_scale_is_compact():
    config = NetworkConfig(48, (1, 1, 8), 1, (1, 1, 1), stem=2, prior_channels=128)
    assert 4e6 < parameter_count(on_meta(config)) < 10e6


@pytest.mark.parametrize("h, w", [(1, 1), (1, 9), (7, 13), (8, 8), (17, 16)])
@torch.no_grad()
def test_any_size_goes_through(network, h, w):
    photo, prior, logits = inputs(2, h, w)
    y = network(photo, prior, mixture_weights(logits, 2))
    assert y.shape == photo.shape and y.isfinite().all()


@torch.no_grad()
def test_odd_sizes_are_padded_with_zeros_at_bottom_and_right(network):
    photo, prior, logits = inputs(1, 11, 14)
    mixture, m = mixture_weights(logits, 1), network.config.multiple
    padded = F.pad(photo, (0, -14 % m, 0, -11 % m))
    assert torch.equal(network(photo, prior, mixture), network(padded, prior, mixture)[..., :11, :14])


def test_a_network_whose_ending_is_zero_returns_the_photo(network):
    plain = fold(network, torch.tensor([1.0, 0, 0]))
    torch.nn.init.zeros_(plain.ending.weight)
    torch.nn.init.zeros_(plain.ending.bias)
    photo, prior, _ = inputs(1, 9, 10)
    assert torch.equal(plain(photo, prior), photo)


@pytest.mark.parametrize("window", [None, 5])
@given(top_k=st.integers(1, 3), seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@torch.no_grad()
def test_folded_equals_unfolded_for_any_k(network, window, top_k, seed):
    photo, prior, logits = inputs(3, 13, 10, seed)
    mixture = mixture_weights(logits, top_k)
    together = network(photo, prior, mixture, window)
    for i in range(3):
        one = slice(i, i + 1)
        folded = fold(network, mixture[i])(photo[one], prior[one], None, window)
        torch.testing.assert_close(folded, network(photo[one], prior[one], mixture[one], window), rtol=0, atol=1e-5)
        torch.testing.assert_close(folded, together[one], rtol=0, atol=1e-5)


@torch.no_grad()
def test_folding_is_exact_up_to_rounding(network):
    double = deepcopy(network).double()
    photo, prior, logits = (x.double() for x in inputs(2, 13, 10))
    mixture = mixture_weights(logits, 2)
    together = double(photo, prior, mixture, 5)
    for i in range(2):
        folded = fold(double, mixture[i])(photo[i : i + 1], prior[i : i + 1], None, 5)
        torch.testing.assert_close(folded, together[i : i + 1], rtol=0, atol=1e-12)


@torch.no_grad()
def test_equal_mixtures_take_the_plain_path_with_the_same_result(network):
    photo, prior, logits = inputs(2, 8, 8)
    same = mixture_weights(logits[:1], 2).expand(2, 3)
    # The grouped path itself, which the network's forward would avoid here.
    grouped = network.intro(F.pixel_unshuffle(photo, network.config.stem), same)
    plain = network.intro(F.pixel_unshuffle(photo, network.config.stem), same[:1])
    torch.testing.assert_close(grouped, plain, rtol=0, atol=1e-5)
    assert torch.equal(network(photo, prior, same), network(photo, prior, same[:1]))


@torch.no_grad()
def test_order_of_the_photos_does_not_matter(network):
    before = {k: v.clone() for k, v in network.state_dict().items()}
    photos = [inputs(1, *size, seed=i) for i, size in enumerate([(8, 8), (40, 24), (15, 9)])]

    def run(photo, prior, logits):
        return network(photo, prior, mixture_weights(logits, 2), 12)

    forward, backward = [run(*p) for p in photos], [run(*p) for p in reversed(photos)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not list(network.buffers())


@torch.no_grad()
def test_prior_and_mixture_reach_every_part(network):
    photo, prior, _ = inputs(1, 16, 16)
    mixture = torch.tensor([[1.0, 0, 0]])
    y = network(photo, prior, mixture)
    # What does not reach the network at all leaves every bit as it is.
    assert (network(photo, 10 * prior, mixture) - y).abs().max() > 1e-5
    assert (network(photo, prior, mixture.roll(1, 1)) - y).abs().max() > 1e-3
    assert (network(photo, prior, mixture, 4) - y).abs().max() > 1e-5


def test_a_large_window_pools_globally(network):
    photo, prior, logits = inputs(1, 16, 16)
    mixture = mixture_weights(logits, 1)
    assert torch.equal(network(photo, prior, mixture, 16), network(photo, prior, mixture))


def test_every_parameter_learns(network):
    photo, prior, logits = inputs(1, 16, 16)
    network.zero_grad()
    network(photo, prior, mixture_weights(logits, 3)).square().mean().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    network.zero_grad()
    # A squeeze to one channel may be switched off by its ReLU; nothing else may.
    assert all(".modulator.conv" in name for name in idle)


def test_fold_gives_a_plain_network_of_its_own(network):
    plain = fold(network, torch.tensor([0.0, 1.0, 0.0]))
    assert plain.config == replace(network.config, experts=0)
    assert not plain.training and "expert" not in " ".join(plain.state_dict())
    ours = {p.data_ptr() for p in network.parameters()}
    assert not any(p.data_ptr() in ours for p in plain.parameters())


def test_folding_a_plain_network_changes_nothing(network):
    plain = fold(network, torch.tensor([0.0, 1.0, 0.0]))
    again = fold(plain, torch.tensor([1.0]))
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in plain.state_dict().items())


@torch.no_grad()
def test_folding_may_round_and_the_photo_is_not_rounded_with_the_weights(network):
    mixture = torch.tensor([0.3, 0.0, 0.7])
    plain = fold(network, mixture, torch.bfloat16)
    assert {p.dtype for p in plain.parameters()} == {torch.bfloat16}
    photo, prior, _ = inputs(1, 24, 16)
    exact, rounded = fold(network, mixture)(photo, prior), plain(photo, prior)
    assert rounded.dtype == torch.float32
    change, error = (exact - photo).square().mean(), (rounded - exact).square().mean()
    assert 0 < error < change / 100
    plain.ending.weight.zero_()
    plain.ending.bias.zero_()
    assert torch.equal(plain(photo, prior), photo)
