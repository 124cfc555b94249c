import torch

from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.modulator import Modulator, PriorMLP

CONFIG = NetworkConfig(prior_channels=6, modulator_channels=5)


def matrix(conv):
    return conv.weight[:, :, 0, 0], conv.bias


@torch.no_grad()
def test_prior_mlp_follows_its_definition(shaken):
    mlp, prior = shaken(PriorMLP(CONFIG)), torch.randn(3, 6)
    e = prior
    for conv in (mlp.conv1, mlp.conv2):
        w, b = matrix(conv)
        e = torch.nn.functional.gelu(e @ w.T + b)
    torch.testing.assert_close(mlp(prior, None), e[:, :, None, None])


@torch.no_grad()
def test_modulator_follows_its_definition(shaken):
    dam = shaken(Modulator(CONFIG, 32))
    x, guide = torch.randn(2, 32, 3, 4), torch.randn(2, 6)
    (w1, b1), (w2, b2), (w3, b3), (w4, b4) = (matrix(c) for c in (dam.conv1, dam.conv2, dam.conv3, dam.conv4))
    assert w3.shape == (2, 32)  # squeezed to c / 16
    hidden = torch.nn.functional.gelu(guide @ w1.T + b1) @ w2.T + b2
    gate = torch.sigmoid((hidden @ w3.T + b3).relu() @ w4.T + b4)[:, :, None, None]
    expected = x + dam.beta * (dam.norm(x) * gate)
    torch.testing.assert_close(dam(x, guide[:, :, None, None], None), expected)


def test_a_new_modulator_is_the_identity_at_any_width():
    for channels in (1, 8, 64):
        x = torch.randn(1, channels, 4, 4)
        assert torch.equal(Modulator(CONFIG, channels)(x, torch.randn(1, 6, 1, 1), None), x)
