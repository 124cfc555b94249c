import pytest
import torch
from safetensors.torch import save_file

from lorair_cli.errors import WeightsError
from lorair_cli.model.config import ClipEncoderConfig
from lorair_cli.model.encoders import ClipEncoder
from lorair_cli.weights import clip

TINY = ClipEncoderConfig(view=28, width=64, layers=1, features=16)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file such as the hub has: half precision, the text tower too."""
    torch.manual_seed(4)
    state = {name: value.half() for name, value in ClipEncoder(TINY).state_dict().items()}
    save_file(state | {"token_embedding.weight": torch.zeros(3)}, tmp_path / "clip.safetensors")
    monkeypatch.setattr(clip, "fetch", lambda repository, revision, file: tmp_path / "clip.safetensors")
    return state


def test_the_image_tower_is_taken_as_float32(published):
    encoder = ClipEncoder(TINY)
    encoder.load_state_dict(clip.clip_weights(encoder))
    assert all(torch.equal(value, published[name].float()) for name, value in encoder.state_dict().items())


def test_another_size_is_refused(published):
    with pytest.raises(WeightsError, match="does not hold 'visual"):
        clip.clip_weights(ClipEncoder(ClipEncoderConfig(view=28, width=64, layers=2, features=16)))
