from dataclasses import replace

import pytest
import torch

from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.settings import SETTINGS
from lorair_cli.weights import loading
from lorair_cli.weights.checkpoint import load_checkpoint, save_checkpoint
from lorair_cli.weights.combine import experts_alone
from lorair_cli.weights.loading import load_weights


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_has_compact_weights_of_its_own_degradations(setting):
    checkpoint = load_weights(setting)
    assert (checkpoint.info.setting, checkpoint.info.degradations) == (setting, SETTINGS[setting].degradations)
    assert checkpoint.build_network().config.experts == len(SETTINGS[setting].degradations)
    assert checkpoint.build_router().head.out_features == len(SETTINGS[setting].degradations)


@pytest.mark.parametrize("setting", ["3task", "5task", "4task", "3task-real"])
def test_settings_share_all_but_the_expert_for_rain_that_is_their_own(setting):
    shared = load_weights("10task").narrowed(SETTINGS[setting])
    found = load_weights(setting)
    for key, tensor in found.network.items():
        same = [torch.equal(a, b) for a, b in zip(tensor, shared.network[key], strict=True)]
        if key.endswith(EXPERT_TENSORS):
            changed = {name for name, equal in zip(found.info.degradations, same, strict=True) if not equal}
            assert changed == {"rain"}, key
        else:
            assert all(same), key
    assert all(torch.equal(v, shared.router[k]) for k, v in found.router.items())


def test_a_file_is_taken_as_it_is(tmp_path, checkpoint):
    save_checkpoint(tmp_path / "mine.safetensors", checkpoint)
    read = load_weights(tmp_path / "mine.safetensors")
    assert read.info == checkpoint.info
    assert all(torch.equal(read.network[k], v) for k, v in checkpoint.network.items())


def test_a_setting_has_experts_of_its_own_from_the_files_behind_the_shared_one(tmp_path, checkpoint, monkeypatch):
    paths = [tmp_path / "shared.safetensors", tmp_path / "own.safetensors"]
    save_checkpoint(paths[0], checkpoint, torch.float16)
    shared = load_checkpoint(paths[0])
    grown = {k: v + 1 if k.endswith(EXPERT_TENSORS) else v for k, v in shared.network.items()}
    grown_shared = replace(shared, network=grown)
    save_checkpoint(paths[1], experts_alone(grown_shared, shared, ("haze",), SETTINGS["3task"]), torch.float16)
    monkeypatch.setattr(loading, "find_weights", lambda *name: paths)
    found = load_weights("3task")
    assert found.files == tuple(paths) and found.info.degradations == SETTINGS["3task"].degradations
    assert found.info.experts_of == ""
    at = SETTINGS["3task"].index("haze")
    whole = shared.narrowed(SETTINGS["3task"])
    for key, tensor in found.network.items():
        change = tensor - whole.network[key]
        if key.endswith(EXPERT_TENSORS):
            assert torch.all(change[:at] == 0) and torch.all(change[at + 1 :] == 0), key
            assert change[at].mean() == pytest.approx(1, abs=1e-2), key
        else:
            assert torch.all(change == 0), key
    assert all(torch.equal(v, whole.router[k]) for k, v in found.router.items())
    found.build_network(), found.build_router()
