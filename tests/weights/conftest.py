"""The authors' conformance fixtures, and a checkpoint small enough to write many times."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from lorair_cli.model.config import CompactEncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.weights.checkpoint import Checkpoint, CheckpointInfo

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "official"


def _weight(key, shape):
    """The rule of the fixtures' README: a weight is a function of its name and shape."""
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    last = key.rsplit(".", 1)[-1]
    if last in ("beta", "gamma"):
        return z * 0.3
    if last in ("lora_B_list", "bias"):
        return z * 0.05
    if last == "weight" and len(shape) == 1:
        return 1 + 0.1 * z
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    return z / math.sqrt(max(fan, 1))


@pytest.fixture(scope="session")
def official():
    """Folder of the fixtures."""
    return OFFICIAL


@pytest.fixture
def authors_shapes():
    """``authors_shapes("ir")``: names and shapes of one of the authors' state dicts."""

    def read(name):
        raw = json.loads((OFFICIAL / f"{name}_shapes.json").read_text())
        return {key: tuple(shape) for key, shape in raw.items()}

    return read


@pytest.fixture
def authors_state(authors_shapes):
    """``authors_state("ir")``: the same with the weights of the README's rule."""

    def make(name):
        return {
            key: torch.from_numpy(np.asarray(_weight(key, s), np.float32)) for key, s in authors_shapes(name).items()
        }

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint():
    """A whole checkpoint of a few thousand numbers, all of them exact in bfloat16."""
    torch.manual_seed(0)
    encoder = CompactEncoderConfig(view=8, stem=2, widths=(4, 6), blocks=(1, 1), features=8)
    info = CheckpointInfo(
        setting="3task",
        scale="compact",
        degradations=("rain", "haze", "noise"),
        network=NetworkConfig(4, (1,), 1, (1,), stem=2, prior_channels=4, modulator_channels=4, experts=3, rank=2),
        router=RouterConfig(encoder, classes=3),
        top_k=2,
        provenance={"data": "none", "steps": 0, "stages": ["router"]},
    )
    network, router = (
        {
            k: torch.rand_like(v).bfloat16().float() if v.is_floating_point() else v
            for k, v in module.state_dict().items()
        }
        for module in (RestorationNetwork(info.network), Router(info.router))
    )
    return Checkpoint(info, network, router)
