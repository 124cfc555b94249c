"""Experts and router of several trainings in one checkpoint: each from where it was trained best, or a mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.model.ranks import at_rank
from lorair_cli.model.router import ROUTER_HEAD
from lorair_cli.settings import Setting
from lorair_cli.weights.checkpoint import Checkpoint, joined_licences

_NO_STRANGERS = "experts mean nothing to another network, and little to the prior of another router"


def combine(
    base: Checkpoint, donor: Checkpoint, experts: tuple[str, ...], share: float = 1.0, any_router: bool = False
) -> Checkpoint:
    """``base`` with the experts of some degradations from ``donor``, or with a mean of both.

    An expert is a change of the network's weights, learnt under the priors of a router: it means something only to the
    network and the router that it was trained with. Both must be the same to the last bit, but for the router's head,
    which names degradations and reaches the network through the choice of experts alone. With ``any_router`` only the
    network must: for a router that was trained further and kept its prior (``keeps_prior`` in a recipe).

    Experts of another rank come to that of ``base``: of a higher one, what is nearest to them.

    Args:
        base: everything but those experts.
        donor: where they come from; may know more or other degradations besides, and may hold experts alone.
        experts: degradations that both know.
        share: above 0 to 1, of the donor's weights in the mean with the base's. Below 1, one of the two experts must
            have grown from the other: then weights between theirs are mostly good too, and less given to the habits
            of the longer training (Wortsman et al., ICML 2022). Of strangers the mean is nothing.

    Raises:
        UsageError: a degradation is unknown to either, or given twice, or there is none; no such share, or a mean of
            experts of different ranks.
        WeightsError: ``base`` is not whole, one has no experts, or its network or router is not the same.
    """
    base.refuse_experts_alone()
    if not experts or len(set(experts)) < len(experts):
        raise UsageError("the experts to take are one degradation or more, each once", "for example rain,snow=FILE")
    if not 0 < share <= 1:
        raise UsageError(f"share {share:g} is not above 0 and up to 1")
    for checkpoint in (base, donor):
        if unknown := [name for name in experts if name not in checkpoint.info.degradations]:
            known = ", ".join(checkpoint.info.degradations)
            raise UsageError(f"{_name(checkpoint)} knows no {unknown[0]!r}", f"choose from {known}")
        if not checkpoint.info.network.experts:
            raise WeightsError(f"{_name(checkpoint)} has no experts")
    if donor.info.experts_of:
        if donor.info.experts_of != base.plain_digest():
            raise WeightsError(f"{_name(donor)} holds experts for another network than {_name(base)}", _NO_STRANGERS)
    else:
        _same(_plain_network(base), _plain_network(donor), donor)
        if not any_router:
            _same(_prior_maker(base), _prior_maker(donor), donor)
    to, of = (torch.tensor([c.info.degradations.index(name) for name in experts]) for c in (base, donor))
    rank, had = base.info.network.rank, donor.info.network.rank
    theirs = {key: tensor[of] for key, tensor in donor.network.items() if key.endswith(EXPERT_TENSORS)}
    if rank != had:
        if share != 1:
            raise UsageError("a mean needs experts of the same rank", f"they have {rank} and {had}")
        theirs = at_rank(theirs, had, rank)
    network = dict(base.network)
    for key, taken in theirs.items():
        mean = torch.lerp(base.network[key][to].float(), taken.float(), share)  # with share 1, taken to the bit
        network[key] = base.network[key].index_copy(0, to, mean.to(base.network[key].dtype))
    given: dict[str, Any] = {"experts": list(experts)}
    given |= {} if share == 1 else {"share": share}
    given |= {} if rank == had else {"rank": rank}
    part = "" if share == 1 else f", {share:g} of them"
    provenance = _provenance(base, donor, given, f"experts {', '.join(experts)}{part}")
    return Checkpoint(
        replace(base.info, licence=joined_licences(base.info.licence, donor.info.licence), provenance=provenance),
        network,
        base.router,
    )


def experts_alone(checkpoint: Checkpoint, base: Checkpoint, experts: tuple[str, ...], setting: Setting) -> Checkpoint:
    """The experts of some degradations without the network: what ``setting`` has of its own beside ``base``.

    Args:
        checkpoint: what :func:`combine` made of ``base``.
        base: says which network the experts belong to, and which stages of training they share with all others.
        experts: degradations that ``checkpoint`` knows, each once.
        setting: what they are for.

    Raises:
        UsageError: the setting does not have one of these degradations.
    """
    for name in experts:
        setting.index(name)
    part = checkpoint.narrowed(replace(setting, degradations=experts))
    told, shared = part.info.provenance, base.info.provenance
    own = {
        "command": told.get("command", "").removeprefix(f"{shared.get('command', '')}; "),
        "stages": [stage for stage in told.get("stages", []) if stage not in shared.get("stages", [])],
    }
    info = replace(part.info, provenance=told | own, experts_of=base.plain_digest())
    return Checkpoint(info, {k: v for k, v in part.network.items() if k.endswith(EXPERT_TENSORS)}, {})


def with_router(base: Checkpoint, donor: Checkpoint, any_router: bool = False) -> Checkpoint:
    """``base`` with the router of ``donor``, which may have no network.

    Its prior must be the one that the network of ``base`` was trained under: only the head may differ, unless
    ``any_router`` says that the donor's kept its prior (``keeps_prior`` in a recipe).

    Raises:
        WeightsError: the router tells other degradations, or in another order, or its prior is not the same.
    """
    donor.refuse_experts_alone()
    if not donor.router:
        raise WeightsError(f"{_name(donor)} has no router")
    if donor.info.degradations != base.info.degradations:
        known = ", ".join(donor.info.degradations)
        raise WeightsError(f"the router of {_name(donor)} knows {known}: not the degradations of the other's experts")
    if donor.info.router.prior_channels != base.info.network.prior_channels:
        raise WeightsError(f"the router of {_name(donor)} has a prior of another size than the network takes")
    if not any_router:
        _same(_prior_maker(base), _prior_maker(donor), donor)
    provenance = _provenance(base, donor, {"router": True}, "router")
    info = replace(
        base.info,
        router=donor.info.router,
        untouched_as=donor.info.untouched_as,
        licence=joined_licences(base.info.licence, donor.info.licence),
        provenance=provenance,
    )
    return Checkpoint(info, base.network, donor.router)


def _plain_network(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return {f"network.{k}": v for k, v in checkpoint.plain_network().items()}


def _prior_maker(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The router but for its head."""
    return {f"router.{k}": v for k, v in checkpoint.router.items() if not k.startswith(ROUTER_HEAD)}


def _same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], donor: Checkpoint) -> None:
    """``WeightsError`` unless both are the same tensors to the last bit."""
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in ours or key not in theirs or not torch.equal(ours[key], theirs[key]):
            hint = _NO_STRANGERS
            if key.startswith("router."):
                hint += "; if it kept its prior in training, say --any-router"
            raise WeightsError(f"{_name(donor)} was not trained on the same network and router: {key} differs", hint)


def _provenance(base: Checkpoint, donor: Checkpoint, given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The base's, and what the donor's training did beyond it and by what command, with what it has ``given``."""
    ours, theirs = base.info.provenance, donor.info.provenance
    before = list(ours.get("stages", []))
    since = [{**stage, **given} for stage in theirs.get("stages", []) if stage not in before]
    command = f"{ours.get('command', 'not stated')}; {what}: {theirs.get('command', 'not stated')}"
    seen, more = (str(told.get("data", "not stated")) for told in (ours, theirs))
    joined = seen if f"; {more}; " in f"; {seen}; " else f"{seen}; {more}"
    return {**ours, "command": command, "data": joined, "stages": before + since}


def _name(checkpoint: Checkpoint) -> str:
    return ", ".join(map(str, checkpoint.files)) or "the checkpoint"
