"""Table 10: what is left out, trained through all stages, written, read and used."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lorair_cli.imaging.photo import Photo
from lorair_cli.model.network import RestorationNetwork, parameter_count
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.settings import get_setting
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.recipe_file import load_recipe
from lorair_cli.training.run import TrainingRun
from lorair_cli.weights.checkpoint import load_checkpoint

SHORT = [f"{stage}.steps=2" for stage in STAGES]
VARIANTS = {
    "no high resolution": ["high_resolution=false"],
    "no modulator": ["network.modulator=none"],
    "adaln": ["network.modulator=adaln"],
    "no experts": ["experts=false", "finetune.trains=all"],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_trains_and_restores(tmp_path, recipe_file, clean, accelerator, listen, name):
    recipe = load_recipe("compact", recipe_file, SHORT + VARIANTS[name])
    run = TrainingRun(get_setting("3task"), recipe, clean, None, tmp_path, None, "", "", workers=0)
    result = run.run(STAGES, accelerator, listen())
    checkpoint = load_checkpoint(result)
    network, router = checkpoint.build_network(), checkpoint.build_router()
    names = set(checkpoint.network)
    assert (network.config.experts == 0) == (name == "no experts")
    assert any("modulator" in key or "prior_mlp" in key for key in names) == (name != "no modulator")
    assert any("modulator.conv3" in key for key in names) == (name not in ("no modulator", "adaln"))
    assert router.mlp[0].in_features == (16 if name == "no high resolution" else 32)
    photo = Photo(np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8))
    restored = Restorer.from_pretrained(result, device="cpu").restore(photo)
    assert restored.photo.rgb.shape == (40, 52, 3)


def test_a_router_without_high_resolution_looks_at_the_whole_photo_alone(recipe_file, clean):
    from lorair_cli.model.config import RouterConfig
    from lorair_cli.model.router import Router

    torch.manual_seed(0)
    router = Router(RouterConfig(load_recipe("compact", recipe_file).encoder, 3, high_resolution=False)).eval()
    views = torch.rand(2, 4, 3, 32, 32)
    other = torch.cat([views[:, :1], torch.rand(2, 3, 3, 32, 32)], dim=1)
    assert all(torch.equal(a, b) for a, b in zip(router(views), router(other), strict=True))


def test_adaln_starts_as_the_identity_and_the_prior_reaches_it(recipe_file):
    torch.manual_seed(0)
    config = load_recipe("compact", recipe_file, ["network.modulator=adaln"]).network
    stage = RestorationNetwork(config).encoders[0].modulator
    x, guide = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 1, 1)
    assert torch.equal(stage(x, guide, None), x)
    torch.nn.init.normal_(stage.conv2.weight)
    hidden = torch.nn.functional.gelu(torch.nn.functional.conv2d(guide, stage.conv1.weight, stage.conv1.bias))
    scale, shift = torch.nn.functional.conv2d(hidden, stage.conv2.weight).chunk(2, 1)
    torch.testing.assert_close(stage(x, guide, None), x + stage.norm(x) * scale + shift)


def test_parameters_of_paper_scale():
    """68.9 M with the modulator, as the paper says; the variants have less."""
    paper = load_recipe("paper").network
    with torch.device("meta"):
        counts = {
            kind: parameter_count(RestorationNetwork(replace(paper, modulator=kind)))
            for kind in ("dam", "adaln", "none")
        }
    assert round(counts["dam"] / 1e6, 1) == 68.9 and counts["none"] < counts["dam"] and counts["none"] < counts["adaln"]
