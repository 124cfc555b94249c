"""The authors' own weight files: their names and shapes, read into ours.

LoRA-IR was published as two ``.pth`` files: ``{"params": state_dict}`` for the restoration network, and a plain state
dict for the router, whose CLIP tower carries the transformers library's names. Every tensor of ours is looked up under
the authors' name, so that a tensor that is missing or left over is reported the way it is called in the file.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor, nn

from lorair_cli.errors import WeightsError
from lorair_cli.imaging.files import is_file
from lorair_cli.model.config import ClipEncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.settings import Setting
from lorair_cli.weights.checkpoint import Checkpoint, CheckpointInfo, and_more
from lorair_cli.weights.manifest import describe_file

Rules = Sequence[tuple[str, str]]
"""Regular expressions on our name and what they become; all of them are applied, in order."""

NETWORK_RULES: Rules = (
    (r"^prior_mlp\.conv1\.", "intro_de.0."),
    (r"^prior_mlp\.conv2\.", "intro_de.2."),
    (r"^middle\.", "middle_blks."),
    (r"^(ups\.\d+)\.", r"\1.0."),
    (r"^(decoders\.\d+)\.", r"\1.blocks."),
    (r"\.modulator\.", "."),
    (r"\.attention\.", ".sca.1."),
    (r"\.expert_a$", ".lora_A_list"),
    (r"\.expert_b$", ".lora_B_list"),
    # Every convolution sits in a wrapper; the normalisations do not.
    (r"(?<!\.norm)(?<!\.norm[12])\.(weight|bias)$", r".conv.\1"),
)

ROUTER_RULES: Rules = (
    (r"^mlp\.", "de_extractor."),
    (r"^head\.", "cls_head."),
    (r"^encoder\.visual\.proj$", "clip_model.vision_tower.visual_projection.weight"),
    (r"^encoder\.visual\.", "clip_model.vision_tower.vision_model."),
    (r"\.class_embedding$", ".embeddings.class_embedding"),
    (r"\.positional_embedding$", ".embeddings.position_embedding.weight"),
    (r"\.conv1\.", ".embeddings.patch_embedding."),
    (r"\.ln_pre\.", ".pre_layrnorm."),
    (r"\.ln_post\.", ".post_layernorm."),
    (r"\.transformer\.resblocks\.", ".encoder.layers."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.attn\.in_proj_(weight|bias)$", r".self_attn.[qkv]_proj.\1"),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)

JOINED = "[qkv]"
"""Stands for three tensors of theirs, in this order, that are one of ours."""

TOWER = "clip_model.vision_tower.vision_model"

TRANSPOSED = "clip_model.vision_tower.visual_projection.weight"
"""A linear layer of theirs ``(out, in)`` that is a plain matrix ``(in, out)`` of ours."""

IGNORED = f"{TOWER}.embeddings.position_ids"
"""A counter 0, 1, 2, ... that older versions of the transformers library wrote along."""


def read_authors_network(path: Path) -> tuple[NetworkConfig, dict[str, Tensor]]:
    """The restoration network in one of the authors' ``.pth`` files.

    Returns:
        Its sizes, and its state dict under our names, float32.

    Raises:
        WeightsError: the file is unreadable, holds more than tensors, or has a tensor too few or too many.
    """
    state = _read_tensors(path)
    with _naming(path):
        return network_config_from_authors(state), network_state_from_authors(state)


def read_authors_router(path: Path) -> tuple[RouterConfig, dict[str, Tensor]]:
    """The router in one of the authors' ``.pth`` files; returns and raises as :func:`read_authors_network`."""
    state = _read_tensors(path)
    with _naming(path):
        return router_config_from_authors(state), router_state_from_authors(state)


def read_authors(path: Path) -> tuple[NetworkConfig | RouterConfig, dict[str, Tensor]]:
    """Whichever of the two one of the authors' ``.pth`` files holds; returns and raises as their readers."""
    state = _read_tensors(path)
    with _naming(path):
        if any(name.startswith("cls_head.") for name in state):
            return router_config_from_authors(state), router_state_from_authors(state)
        return network_config_from_authors(state), network_state_from_authors(state)


def convert_authors(network_pth: Path, router_pth: Path, setting: Setting) -> Checkpoint:
    """The authors' two files as one of our checkpoints.

    Args:
        network_pth: the restoration network, published as ``setting1_ir.pth``.
        router_pth: the router with its CLIP tower, published as ``setting1_router.pth``.
        setting: what the files were trained for; its degradations are the labels.

    Raises:
        WeightsError: as the readers, or the two files and the setting do not belong together.
    """
    network_config, network = read_authors_network(network_pth)
    router_config, router = read_authors_router(router_pth)
    n = len(setting.degradations)
    if router_config.classes != n:
        raise WeightsError(f"{router_pth}: {router_config.classes} classes, but setting {setting.name} has {n}")
    if network_config.experts not in (0, n):
        raise WeightsError(f"{network_pth}: {network_config.experts} experts, but setting {setting.name} has {n}")
    if network_config.prior_channels != router_config.prior_channels:
        wanted, given = network_config.prior_channels, router_config.prior_channels
        raise WeightsError(f"{network_pth} wants a prior of {wanted} numbers, {router_pth} gives {given}")
    info = CheckpointInfo(
        setting=setting.name,
        scale="paper",
        degradations=setting.degradations,
        network=network_config,
        router=router_config,
        untouched_as="",
        licence="not stated",
        provenance={
            "source": "files in the format of LoRA-IR's authors",
            "files": [asdict(describe_file(path)) for path in (network_pth, router_pth)],
        },
    )
    return Checkpoint(info, network, router)


def network_config_from_authors(state: Mapping[str, Tensor]) -> NetworkConfig:
    """Sizes of a restoration network, from the authors' names and shapes; ``WeightsError`` if they make no sense."""
    stages = range(_count(state, r"encoders\.(\d+)\."))
    experts, rank = 0, NetworkConfig.rank
    if any(name.endswith(".lora_A_list") for name in state):
        experts, rank, _ = _shape(state, "intro_de.0.lora_A_list", 3)  # a 1x1 convolution's matrix has r rows
    with _plausible():
        return NetworkConfig(
            width=_shape(state, "intro.conv.weight", 4)[0],
            encoder_blocks=tuple(_count(state, rf"encoders\.{i}\.blocks\.(\d+)\.") for i in stages),
            middle_blocks=_count(state, r"middle_blks\.blocks\.(\d+)\."),
            decoder_blocks=tuple(_count(state, rf"decoders\.{i}\.blocks\.(\d+)\.") for i in stages),
            prior_channels=_shape(state, "intro_de.0.conv.weight", 4)[1],
            modulator_channels=_shape(state, "encoders.0.conv1.conv.weight", 4)[0],
            experts=experts,
            rank=rank,
            edges="zeros",
        )


def router_config_from_authors(state: Mapping[str, Tensor]) -> RouterConfig:
    """Sizes of a router and its CLIP tower, from the authors' names and shapes; ``WeightsError`` as above."""
    width, _, patch, _ = _shape(state, f"{TOWER}.embeddings.patch_embedding.weight", 4)
    tokens, _ = _shape(state, f"{TOWER}.embeddings.position_embedding.weight", 2)
    hidden, _ = _shape(state, f"{TOWER}.encoder.layers.0.mlp.fc1.weight", 2)
    with _plausible():
        encoder = ClipEncoderConfig(
            view=patch * isqrt(tokens - 1),  # one token is the class
            patch=patch,
            width=width,
            layers=_count(state, rf"{re.escape(TOWER)}\.encoder\.layers\.(\d+)\."),
            head_width=64,  # in every CLIP tower of OpenAI's; the shapes do not show it
            mlp_ratio=hidden / width,
            features=_shape(state, TRANSPOSED, 2)[0],
        )
        return RouterConfig(encoder, classes=_shape(state, "cls_head.weight", 2)[0], view_mode="resize")


def network_state_from_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' restoration network under our names, float32; ``WeightsError`` names what is wrong."""
    with torch.device("meta"):
        model = RestorationNetwork(network_config_from_authors(state))
    return _translate(state, model, NETWORK_RULES)


def router_state_from_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' router under our names, float32; ``WeightsError`` names what is wrong."""
    with torch.device("meta"):
        model = Router(router_config_from_authors(state))
    return _translate({k: v for k, v in state.items() if k != IGNORED}, model, ROUTER_RULES)


def _translate(state: Mapping[str, Tensor], model: nn.Module, rules: Rules) -> dict[str, Tensor]:
    left = dict(state)
    ours: dict[str, Tensor] = {}
    for key, expected in model.state_dict().items():
        names = _their_names(key, rules)
        shape = [expected.shape[0] // len(names), *expected.shape[1:]]
        transposed = names == [TRANSPOSED]
        parts = [_take(left, name, shape[::-1] if transposed else shape) for name in names]
        tensor = torch.cat(parts) if len(parts) > 1 else parts[0]
        ours[key] = (tensor.T if transposed else tensor).float().contiguous()
    if left:
        raise WeightsError(f"there is no place for the tensor {min(left)!r}{and_more(left)}")
    return ours


def _their_names(key: str, rules: Rules) -> list[str]:
    """Names of the tensors that make up ours called ``key``: one, or three to be joined."""
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return [key.replace(JOINED, letter) for letter in "qkv"] if JOINED in key else [key]


def _take(left: dict[str, Tensor], name: str, shape: Sequence[int]) -> Tensor:
    if name not in left:
        raise WeightsError(f"the tensor {name!r} is missing")
    tensor = left.pop(name)
    if list(tensor.shape) != list(shape) or not tensor.is_floating_point():
        found = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
        raise WeightsError(f"the tensor {name!r} is {found}, expected numbers of shape {tuple(shape)}")
    return tensor


def _shape(state: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state:
        raise WeightsError(f"the tensor {name!r} is missing")
    shape = tuple(state[name].shape)
    if len(shape) != dimensions:
        raise WeightsError(f"the tensor {name!r} has shape {shape}, expected {dimensions} dimensions")
    return shape


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers stand where the pattern's group is; a gap shows up later as a missing tensor."""
    return len({match[1] for name in state if (match := re.match(pattern, name))})


@contextmanager
def _plausible() -> Iterator[None]:
    """A config that refuses its sizes means that the shapes make no network."""
    try:
        yield
    except (ValueError, ZeroDivisionError) as error:
        raise WeightsError(f"the tensors' shapes make no sense: {error}") from None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file in front of an error about its tensors."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", error.hint) from None


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in a ``.pth`` file, read without running anything in it."""
    if not is_file(path):
        raise WeightsError(f"{path}: no such file")
    try:
        # Mapped, not read: a router of 1.2 GB is then never in memory twice. Only the zip format can be mapped.
        raw = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # an unpickler on hostile bytes may raise anything; all of it means the same here
        raise WeightsError(
            f"{path}: not a readable file of tensors ({type(error).__name__})",
            "it is damaged or holds more than tensors; nothing in it was run. Fetch it again from its source",
        ) from None
    if isinstance(raw, dict) and raw.keys() == {"params"}:
        raw = raw["params"]
    if not isinstance(raw, dict) or not raw:
        raise WeightsError(f"{path}: holds no state dict")
    for name, tensor in raw.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise WeightsError(f"{path}: its entry {name!r} is not a named tensor")
        plain = tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
        # A tensor larger than its storage repeats numbers: a small file could ask for any amount of memory.
        if not plain or tensor.untyped_storage().nbytes() < tensor.nbytes:
            raise WeightsError(f"{path}: its tensor {name!r} is of an unusual kind")
    return dict(raw)
