import pytest
import torch

from lorair_cli.settings import SETTINGS
from lorair_cli.weights.checkpoint import save_checkpoint
from lorair_cli.weights.loading import load_weights


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_has_compact_weights_of_its_own_degradations(setting):
    checkpoint = load_weights(setting)
    assert (checkpoint.info.setting, checkpoint.info.degradations) == (setting, SETTINGS[setting].degradations)
    assert checkpoint.build_network().config.experts == len(SETTINGS[setting].degradations)
    assert checkpoint.build_router().head.out_features == len(SETTINGS[setting].degradations)


def test_a_file_is_taken_as_it_is(tmp_path, checkpoint):
    save_checkpoint(tmp_path / "mine.safetensors", checkpoint)
    read = load_weights(tmp_path / "mine.safetensors")
    assert read.info == checkpoint.info
    assert all(torch.equal(read.network[k], v) for k, v in checkpoint.network.items())
