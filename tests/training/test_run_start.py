"""What a run takes from other weights, and what of them it leaves alone."""

import shutil
from dataclasses import replace

import pytest
import torch
from runs import SETTING, training

from lorair_cli.errors import TrainingError, UsageError, WeightsError
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.settings import get_setting
from lorair_cli.training.recipe import STAGES
from lorair_cli.weights.checkpoint import load_checkpoint, read_info, save_checkpoint
from lorair_cli.weights.combine import experts_alone


def test_a_run_can_start_from_landed_weights(tmp_path, whole, recipe, clean, accelerator, listen):
    start = whole / "finetune.safetensors"
    listener = listen()
    run = training(tmp_path, recipe, clean, start_from=start)
    assert run.run(["finetune"], accelerator, listener) == tmp_path / "finetune.safetensors"
    assert any("tensors come from the checkpoint to start from" in line for line in listener.lines)
    stages = read_info(tmp_path / "finetune.safetensors").provenance["stages"]
    assert [s["stage"] for s in stages] == [*STAGES, "finetune"]
    assert stages[-1]["start_from"] == "finetune.safetensors" and stages[0]["start_from"] is None
    with pytest.raises(TrainingError, match="start_from"):
        training(tmp_path, recipe, clean).run(["finetune"], accelerator, listener)


def test_a_start_that_is_no_network_leaves_the_folder_to_another_try(
    tmp_path, whole, recipe, clean, accelerator, listen
):
    start = load_checkpoint(whole / "finetune.safetensors")
    own, folder = tmp_path / "own.safetensors", tmp_path / "run"
    save_checkpoint(own, experts_alone(start, start, ("rain",), SETTING))
    for name, message in ((own, "experts alone"), (tmp_path / "none.safetensors", "no such file")):
        with pytest.raises(WeightsError, match=message):
            training(folder, recipe, clean, start_from=name).run(["finetune"], accelerator, listen())
    run = training(folder, recipe, clean, start_from=whole / "finetune.safetensors")
    assert run.run(["finetune"], accelerator, listen()) == folder / "finetune.safetensors"


def test_a_run_takes_its_share_of_weights_that_know_more(tmp_path, recipe, clean, accelerator, listen, checkpoint_of):
    wide, listener = checkpoint_of("10task"), listen()
    recipe = replace(
        recipe, network=replace(wide.info.network, experts=0), encoder=wide.info.router.encoder, view_mode="native"
    )
    save_checkpoint(tmp_path / "wide.safetensors", wide)
    run = training(tmp_path / "run", recipe, clean, start_from=tmp_path / "wide.safetensors")
    run.run(["finetune"], accelerator, listener)
    experts = sum(name.endswith(EXPERT_TENSORS) for name in wide.network)
    assert any(line.startswith(f"finetune: {experts} of ") for line in listener.lines)
    head = load_checkpoint(tmp_path / "run" / "finetune.safetensors").router["head.weight"]
    rows = [wide.info.degradations.index(name) for name in get_setting("3task").degradations]
    assert torch.equal(head, wide.router["head.weight"][rows])


def test_a_router_trained_further_can_keep_its_prior(tmp_path, whole, recipe, clean, accelerator, listen):
    before = load_checkpoint(whole / "finetune.safetensors").build_router()
    views = torch.rand(8, 3, 3, recipe.encoder.view, recipe.encoder.view, generator=torch.Generator().manual_seed(0))

    def strayed(keeps_prior):
        folder = tmp_path / str(keeps_prior)
        kept = replace(recipe, keeps_prior=keeps_prior, router=replace(recipe.router, steps=20, learning_rate=5e-3))
        run = training(folder, kept, clean, start_from=whole / "finetune.safetensors")
        run.run(["router"], accelerator, listen())
        after = load_checkpoint(folder / "router.safetensors").build_router()
        with torch.no_grad():
            return float((after(views)[0] - before(views)[0]).square().mean())

    assert strayed(100.0) < strayed(0.0)
    with pytest.raises(TrainingError, match="keeps_prior needs a router"):
        training(tmp_path / "new", replace(recipe, keeps_prior=1.0), clean).run(["router"], accelerator, listen())


def test_only_the_experts_named_learn(tmp_path, whole, recipe, clean, accelerator, listen):
    start = whole / "finetune.safetensors"
    before = load_checkpoint(start)
    expert_b = next(tensor for name, tensor in before.network.items() if name.endswith("expert_b"))
    met = [bool(tensor.any()) for tensor in expert_b]  # they start at zero: those that the little router sent photos to
    assert any(met) and not all(met)
    for label, name in ((met.index(True), "met"), (met.index(False), "never met")):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(whole / "router.safetensors", folder)
        only = (SETTING.degradations[label],)
        named = replace(recipe, finetune=replace(recipe.finetune, only=only, weight_decay=0.0))
        listener = listen()
        path = training(folder, named, clean, start_from=start).run(["finetune"], accelerator, listener)
        changed = {
            (key, i)
            for key, tensor in load_checkpoint(path).network.items()
            for i in range(len(tensor))
            if not torch.equal(tensor[i], before.network[key][i])
        }
        assert bool(changed) == met[label], name
        assert all(key.endswith(EXPERT_TENSORS) and i == label for key, i in changed)
        trained = sum(tensor[label].numel() for key, tensor in before.network.items() if key.endswith(EXPERT_TENSORS))
        assert any(f"trains {trained:,} of" in line for line in listener.lines)
        assert len(listener.progressed) == recipe.finetune.steps, "a step without a photo for it is a step all the same"
    with pytest.raises(UsageError, match=r"finetune\.only: setting 3task has no snow"):
        other = replace(recipe, finetune=replace(recipe.finetune, only=("snow",)))
        training(tmp_path / "other", other, clean).run(["finetune"], accelerator, listen())


def test_a_head_trained_alone_gives_a_router_with_the_same_prior(tmp_path, whole, recipe, clean, accelerator, listen):
    start = whole / "finetune.safetensors"
    head = replace(recipe, router=replace(recipe.router, trains="head"), untouched_as="noise")
    path = training(tmp_path, head, clean, start_from=start).run(["router"], accelerator, listen())
    before, after = (load_checkpoint(p).router for p in (start, path))
    assert {k for k in after if not torch.equal(after[k], before[k])} == {"head.weight", "head.bias"}
