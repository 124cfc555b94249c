from dataclasses import replace

import pytest
import torch

from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.model.ranks import at_rank
from lorair_cli.settings import get_setting
from lorair_cli.weights.checkpoint import Checkpoint
from lorair_cli.weights.combine import combine, experts_alone, with_router

SHARED = {"stage": "pretrain", "steps": 9}


def told(checkpoint, *stages):
    return replace(
        checkpoint,
        info=replace(
            checkpoint.info, provenance={"data": "mine", "command": f"train {len(stages)}", "stages": list(stages)}
        ),
    )


@pytest.fixture
def base(tiny_checkpoint):
    return told(tiny_checkpoint, SHARED)


@pytest.fixture
def donor(base):
    """The same network and router with other experts and another head, for the same degradations in another order."""
    order = ("noise", "rain", "haze")
    rows = torch.tensor([base.info.degradations.index(name) for name in order])
    network = {k: v[rows] + 1 if k.endswith(EXPERT_TENSORS) else v for k, v in base.network.items()}
    router = {k: v[rows] * 2 if k.startswith("head.") else v for k, v in base.router.items()}
    info = replace(base.info, setting="mine", degradations=order)
    return told(Checkpoint(info, network, router), SHARED, {"stage": "finetune", "steps": 4})


def test_the_named_experts_are_the_donors_and_nothing_else_changes(base, donor):
    result = combine(base, donor, ("haze", "noise"))
    assert result.info == replace(base.info, provenance=result.info.provenance)
    assert result.network.keys() == base.network.keys()
    for key, tensor in result.network.items():
        if key.endswith(EXPERT_TENSORS):
            rain, haze, noise = base.network[key]
            assert torch.equal(tensor, torch.stack([rain, haze + 1, noise + 1])), key
        else:
            assert torch.equal(tensor, base.network[key]), key
    assert all(torch.equal(v, base.router[k]) for k, v in result.router.items())


def test_licences_and_data_are_told_apart(base, donor):
    def given(checkpoint, licence, data):
        info = replace(checkpoint.info, licence=licence, provenance=checkpoint.info.provenance | {"data": data})
        return replace(checkpoint, info=info)

    base = given(base, "Apache-2.0 AND CC-BY-4.0", "1800 photos; others")
    told = combine(base, given(donor, "CC-BY-4.0 AND MIT", "800 photos"), ("rain",)).info
    assert told.licence == "Apache-2.0 AND CC-BY-4.0 AND MIT"
    assert told.provenance["data"] == "1800 photos; others; 800 photos", "which is no part of 1800"


def test_licence_and_data_of_both_are_told(base, donor, further):
    for other in (donor, further):
        info = replace(other.info, licence="CC-BY-NC-4.0", provenance=other.info.provenance | {"data": "yours"})
        other = replace(other, info=info)
        result = combine(base, other, ("rain",)) if other.network else with_router(base, other)
        assert result.info.licence == "Apache-2.0 AND CC-BY-NC-4.0" and result.info.provenance["data"] == "mine; yours"
        again = combine(result, other, ("haze",)) if other.network else with_router(result, other)
        assert again.info.licence == result.info.licence
        assert again.info.provenance["data"] == result.info.provenance["data"], "said once"


def test_a_donor_without_a_router_gives_none(base, further):
    with pytest.raises(WeightsError, match="has no router"):
        with_router(base, replace(further, router={}), any_router=True)


def test_a_share_gives_the_mean_of_both(base, donor):
    result = combine(base, donor, ("haze", "noise"), 0.25)
    for key, tensor in result.network.items():
        if key.endswith(EXPERT_TENSORS):
            rain, haze, noise = base.network[key]
            torch.testing.assert_close(tensor, torch.stack([rain, haze + 0.25, noise + 0.25]))
            assert torch.equal(tensor[0], rain)
    told = result.info.provenance
    assert told["stages"][-1] == {"stage": "finetune", "steps": 4, "experts": ["haze", "noise"], "share": 0.25}
    assert told["command"] == "train 1; experts haze, noise, 0.25 of them: train 2"


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(base, donor, share):
    with pytest.raises(UsageError, match="share"):
        combine(base, donor, ("haze",), share)


def test_neither_source_is_changed(base, donor):
    before = [{k: v.clone() for k, v in c.network.items()} for c in (base, donor)]
    combine(base, donor, ("rain",))
    for checkpoint, network in zip((base, donor), before, strict=True):
        assert all(torch.equal(v, network[k]) for k, v in checkpoint.network.items())


def test_what_the_donor_learnt_alone_is_told_with_the_experts_it_gave(base, donor):
    provenance = combine(base, donor, ("rain", "noise")).info.provenance
    assert provenance["stages"] == [SHARED, {"stage": "finetune", "steps": 4, "experts": ["rain", "noise"]}]
    assert provenance["data"] == "mine"
    assert provenance["command"] == "train 1; experts rain, noise: train 2"


@pytest.mark.parametrize(
    ("experts", "message"),
    [((), "one degradation or more"), (("rain", "rain"), "each once"), (("snow",), "knows no 'snow'")],
)
def test_experts_that_cannot_be_taken_are_refused(base, donor, experts, message):
    with pytest.raises(UsageError, match=message):
        combine(base, donor, experts)


@pytest.mark.parametrize("part", ["network", "router"])
def test_a_donor_of_another_network_or_router_is_refused(base, donor, part):
    changed = dict(getattr(donor, part))
    key = next(k for k in sorted(changed) if not k.endswith(EXPERT_TENSORS) and not k.startswith("head."))
    changed[key] = changed[key] + 1
    with pytest.raises(WeightsError, match=f"not trained on the same network and router: {part}"):
        combine(base, replace(donor, **{part: changed}), ("rain",))


def test_another_router_is_let_through_where_one_says_so_and_another_network_never(base, donor):
    other = replace(donor, router={k: v + 1 for k, v in donor.router.items()})
    result = combine(base, other, ("rain",), any_router=True)
    assert all(torch.equal(v, base.router[k]) for k, v in result.router.items())
    assert torch.equal(result.network["intro.expert_b"][0], base.network["intro.expert_b"][0] + 1)
    other = replace(donor, network={k: v + 1 for k, v in donor.network.items()})
    with pytest.raises(WeightsError, match="not trained on the same network"):
        combine(base, other, ("rain",), any_router=True)


def test_a_donor_without_experts_is_refused(base, donor):
    info = replace(donor.info, network=replace(donor.info.network, experts=0))
    with pytest.raises(WeightsError, match="no experts"):
        combine(base, replace(donor, info=info), ("rain",))


def test_experts_of_a_higher_rank_are_taken_at_the_bases(base, donor):
    """Their products B A are the donor's where those have no more directions than the base's rank."""
    had = base.info.network.rank
    experts = {k: v for k, v in donor.network.items() if k.endswith(EXPERT_TENSORS)}
    info = replace(donor.info, network=replace(donor.info.network, rank=had + 3))
    higher = replace(donor, info=info, network=donor.network | at_rank(experts, had, had + 3))
    result = combine(base, higher, ("rain",))
    assert result.info.network == base.info.network
    for key, tensor in result.network.items():
        assert tensor.shape == base.network[key].shape
        if key.endswith("expert_a"):
            other = key[:-1] + "b"
            product, theirs = (c.network[other] @ c.network[key] for c in (result, donor))
            torch.testing.assert_close(product[0], theirs[1], rtol=1e-4, atol=1e-4)
            assert torch.equal(tensor[1:], base.network[key][1:])
    assert result.info.provenance["stages"][-1]["rank"] == had
    result.build_network()
    with pytest.raises(UsageError, match="same rank"):
        combine(base, higher, ("rain",), 0.5)


@pytest.fixture
def further(base):
    """The same prior with another head, and no network."""
    router = {k: v * 2 if k.startswith("head.") else v for k, v in base.router.items()}
    return told(replace(base, network={}, router=router), SHARED, {"stage": "router", "steps": 5})


def test_a_router_whose_head_learnt_further_is_taken_and_nothing_else(base, further):
    further = replace(further, info=replace(further.info, untouched_as="haze"))
    result = with_router(base, further)
    assert result.info.untouched_as == "haze" != base.info.untouched_as
    assert result.network is base.network
    assert torch.equal(result.router["head.weight"], 2 * base.router["head.weight"])
    assert result.info.provenance["stages"] == [SHARED, {"stage": "router", "steps": 5, "router": True}]
    assert result.info.provenance["command"] == "train 1; router: train 2"
    assert replace(result.info, provenance=base.info.provenance, untouched_as=base.info.untouched_as) == base.info


def test_a_router_of_another_prior_is_taken_only_where_one_says_so(base, further):
    key = next(k for k in sorted(further.router) if not k.startswith("head."))
    other = replace(further, router={**further.router, key: further.router[key] + 1})
    with pytest.raises(WeightsError, match=f"not trained on the same network and router: router.{key}") as caught:
        with_router(base, other)
    assert "--any-router" in (caught.value.hint or "")
    assert torch.equal(with_router(base, other, any_router=True).router[key], base.router[key] + 1)


def test_a_router_of_other_degradations_or_another_size_is_never_taken(base, further):
    info = replace(further.info, degradations=("noise", "rain", "haze"))
    with pytest.raises(WeightsError, match="knows noise, rain, haze"):
        with_router(base, replace(further, info=info), any_router=True)
    encoder = replace(further.info.router.encoder, features=64)
    info = replace(further.info, router=replace(further.info.router, encoder=encoder))
    with pytest.raises(WeightsError, match="prior of another size"):
        with_router(base, replace(further, info=info), any_router=True)


def test_experts_alone_join_the_network_they_belong_to(base, donor):
    setting = get_setting("3task")
    whole = combine(base, donor, ("noise", "rain"))
    alone = experts_alone(whole, base, ("noise", "rain"), setting)
    assert alone.info.degradations == ("noise", "rain") and alone.info.setting == "3task" and not alone.router
    assert all(key.endswith(EXPERT_TENSORS) and len(v) == 2 for key, v in alone.network.items())
    assert alone.info.provenance == {
        "data": "mine",
        "command": "experts noise, rain: train 2",
        "stages": [{"stage": "finetune", "steps": 4, "experts": ["noise", "rain"]}],
    }
    joined = combine(base, alone, ("noise", "rain"))
    assert joined.network.keys() == whole.network.keys()
    assert all(torch.equal(v, whole.network[k]) for k, v in joined.network.items())
    assert joined.info.experts_of == ""
    joined.build_network(), joined.build_router()


def test_experts_alone_are_refused_by_another_network_and_where_a_network_is_needed(base, donor):
    alone = experts_alone(combine(base, donor, ("rain",)), base, ("rain",), get_setting("3task"))
    moved = replace(base, network={k: v + 1 if k == "intro.bias" else v for k, v in base.network.items()})
    with pytest.raises(WeightsError, match="for another network"):
        combine(moved, alone, ("rain",))
    for use in (alone.build_network, alone.build_router, lambda: combine(alone, donor, ("rain",))):
        with pytest.raises(WeightsError, match="experts alone, for another checkpoint") as error:
            use()
        assert "--experts rain=FILE" in error.value.hint
    with pytest.raises(UsageError, match="haze"):
        combine(base, alone, ("haze",))


def test_experts_alone_are_of_the_setting_that_they_are_for(base, donor):
    with pytest.raises(UsageError, match="4task has no degradation 'noise'"):
        experts_alone(combine(base, donor, ("noise",)), base, ("noise",), get_setting("4task"))
