"""Paper scale in small: a frozen CLIP tower, whole photos squashed to views, real pairs."""

from dataclasses import replace

import pytest
import torch

from lorair_cli.data.degrading import Degrading, write_pairs
from lorair_cli.data.real import find_sets
from lorair_cli.model.config import ClipEncoderConfig
from lorair_cli.model.encoders import ClipEncoder
from lorair_cli.settings import get_setting
from lorair_cli.training import engine, origins
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.run import TrainingRun
from lorair_cli.weights.checkpoint import load_checkpoint

ENCODER = ClipEncoderConfig(view=28, width=64, layers=1, features=16)


class Killed(BaseException):
    """In place of a kill: nothing catches it."""


@pytest.fixture
def run(tmp_path, recipe, clean, monkeypatch):
    """``run(name)``: a run in a folder of its own, and how often a photo's views were encoded so far."""
    torch.manual_seed(1)
    published = ClipEncoder(ENCODER).state_dict()
    monkeypatch.setattr(origins, "clip_weights", lambda encoder: published)
    encoded, original = [], ClipEncoder.forward
    monkeypatch.setattr(ClipEncoder, "forward", lambda self, x: encoded.append(len(x)) or original(self, x))
    setting = get_setting("3task-real")
    write_pairs(clean, setting, tmp_path / "sets", Degrading(side=48))
    whole = {"photo_sides": (256, 256), "turned": 0.75, "untouched": 0.0}
    stages = {s: replace(recipe.stage(s), sampling=replace(recipe.stage(s).sampling, **whole)) for s in STAGES}
    small = replace(recipe, encoder=ENCODER, view_mode="resize", learns_strength=False, **stages)

    def make(name):
        folder, sets = tmp_path / name, find_sets([tmp_path / "sets"], setting)
        return TrainingRun(setting, small, None, None, folder, None, "", "", real=sets, workers=0), encoded, published

    return make


def test_clip_is_left_alone_asked_once_and_a_killed_run_ends_the_same(run, accelerator, listen, monkeypatch):
    whole, encoded, published = run("whole")
    result = load_checkpoint(whole.run(STAGES, accelerator, listen()))
    assert all(torch.equal(result.router[f"encoder.{name}"], value) for name, value in published.items())
    photos = sum(whole.recipe.stage(stage).steps * whole.recipe.stage(stage).photos for stage in STAGES)
    assert set(encoded) == {5}, "each photo alone, its five views together"
    assert len(encoded) < photos, "views that came again were not encoded again"

    monkeypatch.setattr(engine, "SAVE_SECONDS", 0.0)
    killed, _, _ = run("killed")

    def kill():
        raise Killed

    for at in (3, 5, 6):  # one in each stage, counted in each call's steps
        with pytest.raises(Killed):
            killed.run(STAGES, accelerator, listen(at=at, do=kill))
    again = load_checkpoint(killed.run(STAGES, accelerator, listen()))
    assert all(torch.equal(value, again.network[name]) for name, value in result.network.items())
    assert all(torch.equal(value, again.router[name]) for name, value in result.router.items())
