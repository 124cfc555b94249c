from dataclasses import replace

import pytest
import torch

from lorair_cli.errors import TrainingError
from lorair_cli.model.config import ClipEncoderConfig, RouterConfig
from lorair_cli.model.encoders import ClipEncoder
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.settings import get_setting
from lorair_cli.training import origins as module
from lorair_cli.training.folder import RunFolder
from lorair_cli.training.origins import Origins
from lorair_cli.weights.checkpoint import Checkpoint, CheckpointInfo, save_checkpoint

SETTING = get_setting("3task")


def landed(recipe, setting=SETTING, experts=True, network=True, seed=7, stages=("x",)):
    """A checkpoint of random weights, none of them zero."""
    torch.manual_seed(seed)
    n = len(setting.degradations)
    config = replace(recipe.network, experts=n if experts else 0)
    router = Router(RouterConfig(recipe.encoder, n))

    def noisy(module):
        state = module.state_dict()
        return {k: v + 0.1 * torch.randn(v.shape) if v.is_floating_point() else v + 5 for k, v in state.items()}

    info = CheckpointInfo(
        setting.name,
        recipe.scale,
        setting.degradations,
        config,
        router.config,
        provenance={"stages": [{"stage": stage} for stage in stages]},
    )
    return Checkpoint(info, noisy(RestorationNetwork(config)) if network else {}, noisy(router))


@pytest.fixture
def origins(tmp_path, recipe):
    def make(start=None, recipe=recipe, setting=SETTING):
        return Origins(RunFolder(tmp_path), recipe, setting, start)

    return make


def taken(module, tensors):
    """Names of the module's tensors that are those of ``tensors``."""
    return {k for k, v in module.state_dict().items() if k in tensors and torch.equal(v, tensors[k])}


def test_without_a_start_weights_are_random_and_the_same_for_a_seed(origins, listen):
    routers = []
    for _ in range(2):
        torch.manual_seed(0)
        routers.append(origins().router("router", listen()))
    assert taken(routers[0], routers[1].state_dict()) == routers[0].state_dict().keys()


@pytest.mark.parametrize(("stage", "what"), [("pretrain", "router"), ("finetune", "router")])
def test_a_stage_without_the_one_before_says_which_to_run(origins, listen, stage, what):
    with pytest.raises(TrainingError, match=rf"{stage} needs a {what}: .* holds no {what}\.safetensors"):
        origins().router(stage, listen())


def test_stage_2_needs_a_network(origins, listen, recipe):
    save_checkpoint(origins().folder.result("router"), landed(recipe, network=False))
    with pytest.raises(TrainingError, match=r"holds no pretrain\.safetensors"):
        origins().network("finetune", listen())


def test_stage_2_is_stage_1_with_new_experts_that_change_nothing(origins, listen, recipe):
    before = landed(recipe, experts=False)
    save_checkpoint(origins().folder.result("pretrain"), before)
    network = origins().network("finetune", listen())
    assert taken(network, before.network) == before.network.keys()
    assert network.config.experts == 3
    assert all((p == 0).all() for name, p in network.named_parameters() if name.endswith("expert_b"))
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in network.named_parameters() if name.endswith(EXPERT_TENSORS)}


def test_stage_2_may_train_everything(origins, listen, recipe):
    save_checkpoint(origins().folder.result("pretrain"), landed(recipe, experts=False))
    everything = replace(recipe, finetune=replace(recipe.finetune, trains="all"))
    network = origins(recipe=everything).network("finetune", listen())
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("how", ["never drawn", "not named"])
def test_an_expert_that_does_not_learn_stays(origins, listen, recipe, how):
    start = landed(recipe)
    sampling = replace(recipe.finetune.sampling, ratios={"haze": 0.0})
    change = {"sampling": sampling} if how == "never drawn" else {"only": ("rain", "noise")}
    learning = replace(recipe, finetune=replace(recipe.finetune, **change))
    network = origins(start, learning).network("finetune", listen())
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], weight_decay=0.0)
    # The router errs: a photo goes to the expert for haze.
    for mixture in ([0.5, 0.5, 0.0], [0.0, 1.0, 0.0]):
        network(torch.rand(1, 3, 32, 32), torch.rand(1, 8), torch.tensor([mixture])).sum().backward()
        optimizer.step()
    state = {k: v for k, v in network.state_dict().items() if k.endswith(EXPERT_TENSORS)}
    for name, same in (("rain", False), ("haze", True), ("noise", True)):
        label = SETTING.degradations.index(name)
        assert all(torch.equal(v[label], start.network[k][label]) for k, v in state.items()) == same, name


def test_the_latest_stage_counts(origins, listen, recipe):
    early, late = landed(recipe, experts=False, network=False, seed=1), landed(recipe, experts=False, seed=2)
    save_checkpoint(origins().folder.result("router"), early)
    assert taken(origins().router("pretrain", listen()), early.router)
    save_checkpoint(origins().folder.result("pretrain"), late)
    assert taken(origins(landed(recipe)).router("finetune", listen()), late.router) == late.router.keys()


def test_a_start_gives_every_stage_its_weights(origins, listen, recipe):
    start = landed(recipe)
    source, listener = origins(start), listen()
    for stage in ("router", "pretrain", "finetune"):
        assert taken(source.router(stage, listener), start.router) == start.router.keys()
    plain = {k for k in start.network if not k.endswith(EXPERT_TENSORS)}
    assert taken(source.network("pretrain", listener), start.network) == plain
    assert taken(source.network("finetune", listener), start.network) == start.network.keys()
    total = len(start.router)
    assert f"router: {total} of {total} tensors come from the checkpoint to start from" in listener.lines


def test_a_router_alone_starts_a_network_from_random_weights(origins, listen, recipe):
    source, listener = origins(landed(recipe, network=False)), listen()
    assert taken(source.router("pretrain", listener), source.start.router) == source.start.router.keys()
    torch.manual_seed(1)
    given = source.network("pretrain", listener).state_dict()
    torch.manual_seed(1)
    assert taken(origins().network("pretrain", listen()), given) == given.keys()
    assert listener.lines == ["pretrain: random weights: the checkpoint to start from is a router alone"]
    save_checkpoint(source.folder.result("pretrain"), landed(recipe, experts=False))
    assert source.network("finetune", listener).config.experts == 3
    other = landed(replace(recipe, network=replace(recipe.network, width=12, stem=4)))
    nothing = replace(other, network={k: v for k, v in other.network.items() if k == "intro.weight"})
    with pytest.raises(TrainingError, match="nothing of the checkpoint to start from fits"):
        origins(nothing).network("pretrain", listen())


def test_the_head_alone_is_trained_on_the_starts_prior_for_other_degradations_too(origins, listen, recipe):
    head = replace(recipe, router=replace(recipe.router, trains="head"))
    for setting in (SETTING, get_setting("10task")):
        start = landed(recipe, setting)
        router = origins(start, head).router("router", listen())
        assert {name for name, p in router.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
        assert taken(router, start.router) >= {k for k in start.router if not k.startswith("head.")}


def test_an_encoder_with_more_stages_and_blocks_starts_as_the_one_it_comes_from(origins, listen, recipe):
    small = replace(recipe.encoder, widths=(4, 8), blocks=(1, 1), statistics="every")
    start = landed(replace(recipe, encoder=small))
    larger = replace(small, widths=(4, 8, 12), blocks=(2, 3, 1))
    router = origins(start, replace(recipe, encoder=larger)).router("router", listen()).eval()
    views = torch.rand(2, 3, 3, small.view, small.view)
    with torch.no_grad():
        for one, other in zip(router(views), start.build_router()(views), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    router.train()(views)[1].square().mean().backward()
    names = ("project.weight", "stages.1.4.project.weight")
    added = [p for name, p in router.encoder.named_parameters() if name in names]
    assert len(added) == 2 and all(float(p.grad.abs().max()) > 0 for p in added), "what is new learns"


def test_the_statistics_of_the_last_stage_alone_are_not_those_of_another_stage(origins, listen, recipe):
    small = replace(recipe.encoder, widths=(4, 8), blocks=(1, 1), statistics="last")
    start = landed(replace(recipe, encoder=small))
    larger = replace(recipe, encoder=replace(small, widths=(4, 8, 12), blocks=(1, 1, 1)))
    router = origins(start, larger).router("router", listen())
    assert "encoder.stages.1.1.weight" in taken(router, start.router)
    given = start.router["encoder.project.weight"]
    assert not torch.equal(router.encoder.project.weight[:, : given.shape[1]], given)


def test_a_head_without_the_rest_of_a_router_is_refused(origins, listen, recipe):
    head = replace(recipe, router=replace(recipe.router, trains="head"))
    with pytest.raises(TrainingError, match="its head alone cannot be trained"):
        origins(None, head).router("router", listen())
    other = replace(recipe, encoder=replace(recipe.encoder, widths=(4, 8)))
    with pytest.raises(TrainingError, match="its head alone cannot be trained: encoder"):
        origins(landed(other), head).router("router", listen())


def test_a_start_of_other_degradations_gives_neither_head_nor_experts(origins, listen, recipe):
    start = landed(recipe, get_setting("4task"))  # three degradations too, so that every shape fits
    router = origins(start).router("router", listen())
    assert taken(router, start.router) == {k for k in start.router if not k.startswith("head.")}
    save_checkpoint(origins().folder.result("router"), landed(recipe, network=False))
    network = origins(start).network("finetune", listen())
    assert taken(network, start.network) == {k for k in start.network if not k.endswith(EXPERT_TENSORS)}
    with pytest.raises(TrainingError, match="run the router stage for this setting first"):
        Origins(RunFolder(origins().folder.path / "new"), recipe, SETTING, start).router("pretrain", listen())


@pytest.mark.parametrize("rank", [1, 5])
def test_experts_come_to_the_recipes_rank(origins, listen, recipe, rank):
    start = landed(recipe)
    had = recipe.network.rank
    other = replace(recipe, network=replace(recipe.network, rank=rank))
    network = origins(start, other).network("finetune", listen())
    name = "middle.blocks.0.conv1"
    a, b = (network.state_dict()[f"{name}.expert_{x}"] for x in "ab")
    whole = start.network[f"{name}.expert_b"] @ start.network[f"{name}.expert_a"]
    missing = torch.linalg.svdvals(whole)[:, rank:].square().sum(1).sqrt()
    torch.testing.assert_close((whole - b @ a).flatten(1).norm(dim=1), missing, rtol=1e-4, atol=1e-4)
    assert a.shape[1] == rank and (a.abs().amax(dim=2) > 0).all(), "no direction is dead"
    if rank > had:
        torch.testing.assert_close(b @ a, whole)


@pytest.mark.parametrize("rank", [1, 5])
def test_an_expert_that_has_learnt_nothing_can_learn_at_any_rank(origins, listen, recipe, rank):
    start = landed(recipe)
    for name, tensor in start.network.items():
        if name.endswith("expert_b"):
            tensor[1] = 0
    other = replace(recipe, network=replace(recipe.network, rank=rank))
    network = origins(start, other).network("finetune", listen())
    network(torch.rand(1, 3, 32, 32), torch.rand(1, 8), torch.tensor([[0.0, 1.0, 0.0]])).square().sum().backward()
    b = network.middle.blocks[0].conv1.expert_b
    assert not b[1].any() and (b.grad[1].abs().amax(0) > 0).all(), "it changes nothing, and every direction can learn"


def test_statistics_of_other_stages_are_not_taken_over(origins, listen, recipe):
    small = replace(recipe.encoder, widths=(4, 8), blocks=(1, 1), statistics="every")
    start = landed(replace(recipe, encoder=small))
    other = replace(recipe, encoder=replace(small, widths=(6, 8, 12), blocks=(1, 1, 1)))
    assert not taken(origins(start, other).router("router", listen()), start.router) & {
        "encoder.norm.weight",
        "encoder.project.weight",
    }


def test_another_size_is_refused(origins, listen, recipe):
    start = landed(replace(recipe, network=replace(recipe.network, width=12)))
    with pytest.raises(TrainingError, match="not of the recipe's size"):
        origins(start).network("finetune", listen())


def test_another_encoder_is_refused(origins, listen, recipe):
    start = landed(replace(recipe, encoder=replace(recipe.encoder, widths=(8, 12))))
    with pytest.raises(TrainingError, match="encoder is not the recipe's"):
        origins(start).router("pretrain", listen())


def test_the_predecessor_is_the_router_of_the_start(origins, recipe):
    start = landed(recipe)
    assert taken(origins(start).predecessor(), start.router) == set(start.router)
    with pytest.raises(TrainingError, match="keeps_prior needs a router"):
        origins().predecessor()
    features = 2 * recipe.encoder.features
    wider = replace(
        recipe,
        encoder=replace(recipe.encoder, features=features),
        network=replace(recipe.network, prior_channels=features // 2),
    )
    with pytest.raises(TrainingError, match="another size"):
        origins(start, wider).predecessor()


def test_a_checkpoint_says_what_its_router_takes_nothing_for(origins, listen, recipe):
    taught = replace(recipe, untouched_as="haze")
    assert origins(recipe=taught).untouched_as("router") == "haze" and origins().untouched_as("router") == ""
    sampling = replace(recipe.router.sampling, untouched=0.0)
    never = replace(taught, router=replace(recipe.router, sampling=sampling))
    for untaught in (never, replace(taught, learns_strength=False), replace(recipe, untouched_as="blur")):
        assert origins(recipe=untaught).untouched_as("router") == ""
    start = landed(recipe)
    start = replace(start, info=replace(start.info, untouched_as="rain"))
    assert origins(start, taught).untouched_as("finetune") == "rain", "its router is the start's"


def test_history_goes_back_to_the_start(origins, recipe):
    start = landed(recipe, stages=("router", "pretrain"))
    assert origins(start).history("router") == [{"stage": "router"}, {"stage": "pretrain"}]
    save_checkpoint(origins().folder.result("router"), landed(recipe, network=False, stages=("other",)))
    assert origins(start).history("pretrain") == [{"stage": "other"}]
    assert origins().history("router") == []


def test_a_clip_router_starts_from_clip_and_leaves_it_alone(origins, listen, recipe, monkeypatch):
    encoder = ClipEncoderConfig(view=28, width=64, layers=1, features=16)
    published = ClipEncoder(encoder).state_dict()
    monkeypatch.setattr(module, "clip_weights", lambda encoder: published)
    router = origins(recipe=replace(recipe, encoder=encoder, view_mode="resize")).router("router", listen())
    assert router.config.view_mode == "resize"
    assert taken(router.encoder, published) == published.keys()
    trained = {name.split(".")[0] for name, p in router.named_parameters() if p.requires_grad}
    assert trained == {"mlp", "head"}


def test_where_a_start_is_from_and_what_it_asks_for_go_on(origins, recipe):
    assert origins().inherited() == {} and origins().licence("CC0-1.0") == "CC0-1.0"
    start = landed(recipe)
    told = {"source": "files of theirs", "repository": "owner/name", "command": "lorair train"}
    start = replace(start, info=replace(start.info, licence="MIT AND Apache-2.0", provenance=told))
    assert origins(start).inherited() == {"source": "files of theirs", "repository": "owner/name"}
    assert origins(start).licence("Apache-2.0") == "MIT AND Apache-2.0"
    assert origins(start).licence("CC-BY-4.0") == "MIT AND Apache-2.0 AND CC-BY-4.0"
