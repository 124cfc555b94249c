"""Checkpoint files: safetensors whose metadata carries all that is needed to rebuild the model, and where it came from.

Tensors are named ``network.<key>`` and ``router.<key>``. A file may also hold *experts alone*, for the network of
another file, what a setting has of its own beside what all settings share; ``weights/combine.py`` joins them.

Every file carries the SHA-256 of its own description and tensors, so that no byte of it can change unnoticed, wherever
it was copied from. It proves that a file is whole, not whose it is: that is what ``weights.toml`` is for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lorair_cli.errors import WeightsError
from lorair_cli.imaging.files import atomic_write, is_file
from lorair_cli.model.config import ClipEncoderConfig, CompactEncoderConfig, EncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import ROUTER_HEAD, Router
from lorair_cli.settings import Setting
from lorair_cli.tables import build

FORMAT_VERSION = "2"
FIRST_VERSION = "1"
"""Still read: it had no digest."""
METADATA_KEY = "lorair"
ENCODERS: dict[str, type[EncoderConfig]] = {"compact": CompactEncoderConfig, "clip": ClipEncoderConfig}
"""What ``kind`` says of a router's encoder."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself."""

    setting: str
    """Name of the setting, or of somebody's own set of degradations."""
    scale: str
    """``compact`` or ``paper``."""
    degradations: tuple[str, ...]
    """In the order of the router's logits and of the experts."""
    network: NetworkConfig
    router: RouterConfig
    top_k: int = 1
    """Experts per photo that training used."""
    licence: str = "Apache-2.0"
    provenance: dict[str, Any] = field(default_factory=dict)
    """Data, steps, project version, command: free of paths of the machine that trained it."""
    untouched_as: str = "jpeg"
    """The degradation that the router was taught to lean to, unsurely, where nothing is wrong, and whose expert leaves
    such photos alone; empty if it was taught none. Files that do not say are older, and of the recipe for which it was
    this."""
    experts_of: str = ""
    """Of a file of experts alone, the ``plain_digest`` of the network that they change; else empty."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: the description and both state dicts."""

    info: CheckpointInfo
    network: dict[str, Tensor]
    router: dict[str, Tensor]
    files: tuple[Path, ...] = ()
    """Where it was read from, for errors."""

    def build_network(self) -> RestorationNetwork:
        """The restoration network with these weights, in evaluation mode; ``WeightsError`` if they are not whole."""
        self.refuse_experts_alone()
        with torch.device("meta"):
            network = RestorationNetwork(self.info.network)
        _assign(network, self.network, self._where("network"))
        return network.eval()

    def build_router(self) -> Router:
        """The router with these weights, in evaluation mode; ``WeightsError`` if they are not whole."""
        self.refuse_experts_alone()
        with torch.device("meta"):
            router = Router(self.info.router)
        _assign(router, self.router, self._where("router"))
        return router.eval()

    @property
    def router_alone(self) -> bool:
        """Whether only a router is here, the first stage of training: it diagnoses and restores nothing."""
        return bool(self.router) and not self.network

    def covers(self, setting: Setting) -> bool:
        """Whether these weights know every degradation of ``setting``."""
        return set(setting.degradations) <= set(self.info.degradations)

    def narrowed(self, setting: Setting) -> Checkpoint:
        """The same weights for fewer degradations, in the setting's order.

        Nothing else is asked of the router then: its probabilities are those of all, given that it is one of these.

        Raises:
            WeightsError: a degradation of the setting is unknown to these weights.
        """
        known = self.info.degradations
        if not self.covers(setting):
            unknown = [name for name in setting.degradations if name not in known]
            raise WeightsError(f"{self._where('router')} knows no {', '.join(unknown)}: setting {setting.name} has it")
        rows = torch.tensor([known.index(name) for name in setting.degradations])
        n = len(rows)
        info = replace(
            self.info,
            setting=setting.name,
            degradations=setting.degradations,
            untouched_as=self.info.untouched_as if self.info.untouched_as in setting.degradations else "",
            network=replace(self.info.network, experts=n if self.info.network.experts else 0),
            router=replace(self.info.router, classes=n),
            top_k=min(self.info.top_k, n),
        )
        network = {k: v[rows] if k.endswith(EXPERT_TENSORS) else v for k, v in self.network.items()}
        router = {k: v[rows] if k.startswith(ROUTER_HEAD) else v for k, v in self.router.items()}
        return Checkpoint(info, network, router, self.files)

    def plain_network(self) -> dict[str, Tensor]:
        """The network's tensors without its experts."""
        return {k: v for k, v in self.network.items() if not k.endswith(EXPERT_TENSORS)}

    def plain_digest(self) -> str:
        """SHA-256 of ``plain_network``, as float32."""
        return _digest("", {k: v.float() for k, v in self.plain_network().items()})

    def refuse_experts_alone(self) -> None:
        """``WeightsError`` if there is no network here to work with, but experts for another one."""
        if self.info.experts_of:
            names = ",".join(self.info.degradations)
            raise WeightsError(
                f"{self._where('network')} is missing: these are experts alone, for another checkpoint",
                f"join them: lorair weights combine CHECKPOINT --experts {names}=FILE -o OUT",
            )

    def _where(self, part: str) -> str:
        return ": ".join([", ".join(map(str, self.files)), f"the {part}"]) if self.files else f"the {part}"


def save_checkpoint(path: Path, checkpoint: Checkpoint, dtype: torch.dtype | None = None) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: the ``.safetensors`` file.
        checkpoint: what to write; parts may be empty (a router that was trained alone has no network).
        dtype: floating-point type on disk; None keeps each tensor's own.

    Raises:
        WeightsError: the file cannot be written.
    """
    tensors = {f"network.{k}": v for k, v in checkpoint.network.items()}
    tensors |= {f"router.{k}": v for k, v in checkpoint.router.items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    if dtype is not None:
        tensors = {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}
    # One entry only: the library writes several in random order, and the same checkpoint would never be the same file.
    described = {**info_as_dict(checkpoint.info), "digest": ""}
    digest = _digest(json.dumps(described, sort_keys=True), tensors)
    data = save(tensors, {METADATA_KEY: json.dumps({**described, "digest": digest}, sort_keys=True)})
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or _one_line(error)}") from None


def read_info(path: Path) -> CheckpointInfo:
    """Only the description of a checkpoint file; ``WeightsError`` if it is not one of ours."""
    with _opened(path) as file:
        return _info_from_json(path, file.metadata() or {})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint file, everything as float32.

    Raises:
        WeightsError: the file is missing, damaged or of an unknown format.
    """
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "router": {}}
    info = read_info(path)
    with _opened(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (safe_open is not a mapping)
        description = file.metadata()[METADATA_KEY]
    for key in tensors:
        if key.partition(".")[0] not in parts:
            raise WeightsError(f"{path}: tensor {key!r} belongs to neither network nor router")
    _check_digest(path, description, tensors)
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = tensor.float() if tensor.is_floating_point() else tensor
    return Checkpoint(info, parts["network"], parts["router"], (path,))


def _digest(description: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a description as it is written, and of names, types, shapes and bytes of the tensors."""
    total = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _check_digest(path: Path, description: str, tensors: Mapping[str, Tensor]) -> None:
    """``WeightsError`` if a file is not what it was written as; files of the first version do not tell."""
    raw = json.loads(description)
    digest = raw.get("digest", "")
    if not digest and raw["format_version"] == FIRST_VERSION:
        return
    if not digest or _digest(description.replace(digest, "", 1), tensors) != digest:
        raise WeightsError(f"{path}: damaged: not the numbers that it was written with", "fetch or copy the file again")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file; whatever is wrong with its bytes becomes a ``WeightsError`` that names it."""
    if not is_file(path):  # a pipe would block for ever
        raise WeightsError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, UnicodeError) as error:
        hint = "fetch or copy the file again"
        if path.suffix in (".pth", ".pt", ".ckpt"):
            hint = "only safetensors are read; `lorair weights convert` makes them of the authors' .pth files"
        raise WeightsError(f"{path}: not a safetensors file, or damaged: {_one_line(error)}", hint) from None


def _assign(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load ``state`` and name the first key that is missing, left over or of another kind."""
    expected = module.state_dict()
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing:
        raise WeightsError(f"{where} lacks the tensor {missing[0]!r}{and_more(missing)}")
    if extra:
        raise WeightsError(f"{where} has no place for the tensor {extra[0]!r}{and_more(extra)}")
    for key, tensor in state.items():
        found, wanted = (f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (tensor, expected[key]))
        if found != wanted:
            raise WeightsError(f"{where} holds the tensor {key!r} as {found}, expected {wanted}")
    module.load_state_dict(dict(state), assign=True)


def joined_licences(*licences: str) -> str:
    """Of what is made of several checkpoints: what any of them asks for, each said once, as SPDX writes it."""
    return " AND ".join(dict.fromkeys(licence for text in licences for licence in text.split(" AND ")))


def and_more(names: Collection[str]) -> str:
    """What follows the first of these names in an error."""
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def info_as_dict(info: CheckpointInfo) -> dict[str, Any]:
    """A description as its file holds it: plain values, with the version of the format."""
    raw = asdict(info) | {"format_version": FORMAT_VERSION}
    # What most files have nothing to say of is left out, so that older versions read them.
    if not info.experts_of:
        del raw["experts_of"]
    if info.network.edges == NetworkConfig.edges:
        del raw["network"]["edges"]
    raw["router"]["encoder"]["kind"] = next(k for k, v in ENCODERS.items() if isinstance(info.router.encoder, v))
    return raw


def _info_from_json(path: Path, metadata: Mapping[str, str]) -> CheckpointInfo:
    if METADATA_KEY not in metadata:
        raise WeightsError(f"{path}: not a lorair checkpoint (its metadata says nothing about the model)")
    try:
        raw = json.loads(metadata[METADATA_KEY])
        if (version := raw.pop("format_version", None)) not in (FIRST_VERSION, FORMAT_VERSION):
            raise WeightsError(f"{path}: format {version!r}, this program reads {FORMAT_VERSION!r}", "update lorair")
        if not isinstance(raw.pop("digest", ""), str):
            raise WeightsError(f"{path}: its description is damaged: digest is no text")
        encoder = raw["router"]["encoder"]
        raw["router"]["encoder"] = build(ENCODERS[encoder.pop("kind")], encoder, "router.encoder")
        info = build(CheckpointInfo, raw)
        _check(info)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else _one_line(error)
        raise WeightsError(f"{path}: its description is damaged: {reason}") from None
    return info


def _check(info: CheckpointInfo) -> None:
    """``ValueError`` if network, router and degradations do not fit together."""
    n = len(info.degradations)
    if info.router.classes != n:
        raise ValueError(f"{info.router.classes} classes for {n} degradations")
    if info.network.experts not in (0, n):
        raise ValueError(f"{info.network.experts} experts for {n} degradations")
    if info.network.prior_channels != info.router.prior_channels:
        raise ValueError(f"a prior of {info.router.prior_channels} for a network of {info.network.prior_channels}")
    told = info.provenance
    stages = told.get("stages", [])
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise ValueError("provenance.stages is no list of tables")
    for name in ("command", "data"):
        if not isinstance(told.get(name, ""), str):
            raise ValueError(f"provenance.{name} is no text")
    if not 1 <= info.top_k <= n:
        raise ValueError(f"top_k {info.top_k} of {n} experts")
