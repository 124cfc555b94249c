import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.model.blocks import LayerNorm2d, NAFBlock, pooled, simple_gate
from lorair_cli.model.config import NetworkConfig


def box_means(image, window):
    """Test-time local pooling by its definition, on ``(h, w)``: every pixel gets the mean of the window around it that
    still lies inside the picture."""
    h, w = image.shape
    kh, kw = min(window, h), min(window, w)
    out = np.empty((h, w))
    for y in range(h):
        for x in range(w):
            top = min(max(y - (kh - 1) // 2, 0), h - kh)
            left = min(max(x - (kw - 1) // 2, 0), w - kw)
            out[y, x] = image[top : top + kh, left : left + kw].mean()
    return out


@pytest.mark.parametrize("channels_last", [False, True])
def test_layer_norm_follows_its_definition(shaken, channels_last):
    norm = shaken(LayerNorm2d(7))
    x = torch.randn(2, 7, 3, 5) * 4 + 3
    y = norm(x.to(memory_format=torch.channels_last) if channels_last else x).detach().numpy()
    v = x.double().numpy()
    centred = v - v.mean(1, keepdims=True)
    scale, shift = (p.detach().double().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    np.testing.assert_allclose(
        y, centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-6) * scale + shift, atol=1e-5
    )


def test_simple_gate_multiplies_the_halves():
    x = torch.randn(2, 6, 3, 3)
    assert torch.equal(simple_gate(x), x[:, :3] * x[:, 3:])


@given(h=st.integers(1, 9), w=st.integers(1, 9), window=st.integers(1, 10))
@settings(max_examples=60, deadline=None)
def test_local_pooling_is_a_box_mean(h, w, window):
    image = np.random.default_rng(h * 100 + w * 10 + window).normal(size=(h, w))
    y = pooled(torch.from_numpy(image).float()[None, None], window).expand(1, 1, h, w)
    np.testing.assert_allclose(y[0, 0].numpy(), box_means(image, window), atol=1e-6)


def test_pooling_is_global_without_a_window_or_with_a_large_one():
    x = torch.randn(2, 3, 5, 7)
    assert pooled(x, None).shape == pooled(x, 7).shape == (2, 3, 1, 1)
    torch.testing.assert_close(pooled(x, None)[..., 0, 0], x.flatten(2).mean(-1))
    assert torch.equal(pooled(x, None), pooled(x, 7))
    assert pooled(x, 6).shape == (2, 3, 5, 7)


def test_local_pooling_stays_exact_on_a_long_bright_picture():
    x = 100 + torch.randn(1, 1, 4, 5000, generator=torch.Generator().manual_seed(0))
    expected = box_means(x[0, 0].double().numpy()[:, :600], 96)
    np.testing.assert_allclose(pooled(x, 96)[0, 0, :, :500].numpy(), expected[:, :500], atol=2e-5)


def test_local_pooling_keeps_the_type():
    assert pooled(torch.randn(1, 2, 8, 8).bfloat16(), 3).dtype == torch.bfloat16


def test_a_new_block_is_the_identity_and_a_shaken_one_is_not(shaken):
    block = NAFBlock(NetworkConfig(experts=0), 4)
    x = torch.randn(1, 4, 6, 6)
    assert torch.equal(block(x, None), x)
    assert (shaken(block)(x, None) - x).abs().max() > 0.01


def test_the_window_reaches_the_blocks_attention(shaken):
    block, x = shaken(NAFBlock(NetworkConfig(), 4)), torch.randn(1, 4, 12, 12)
    assert torch.equal(block(x, None, 12), block(x, None))
    assert (block(x, None, 3) - block(x, None)).abs().max() > 1e-4


def test_a_block_gives_the_same_alone_in_a_batch_and_with_gradients(shaken):
    block, x = shaken(NAFBlock(NetworkConfig(), 4)), torch.randn(3, 4, 10, 12)
    kept = x.clone()
    with torch.no_grad():
        together = block(x, None)
        alone = torch.cat([block(image[None], None) for image in x])
    assert torch.equal(x, kept)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)
    torch.testing.assert_close(block(x, None), together, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (33, 17), (300, 200)])
def test_the_quick_mean_of_sixteen_bits_is_the_mean(size):
    x = torch.randn(2, 5, *size, generator=torch.Generator().manual_seed(1)).bfloat16()
    exact = x.double().mean((2, 3), keepdim=True)
    assert (pooled(x, None).double() - exact).abs().max() <= exact.abs().max() / 256  # half a step of bfloat16
    assert pooled(x, None).dtype == torch.bfloat16 and pooled(x, None).shape == (2, 5, 1, 1)
