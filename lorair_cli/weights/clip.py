"""OpenAI's CLIP ViT-L/14-336 from the hub: what a router of paper scale starts from."""

from __future__ import annotations

from safetensors.torch import load_file
from torch import Tensor, nn

from lorair_cli.errors import WeightsError
from lorair_cli.weights.hub import fetch
from lorair_cli.weights.manifest import WeightFile

REPOSITORY = "timm/vit_large_patch14_clip_336.openai"
"""Where open_clip has its ``ViT-L-14-336-quickgelu``, ``openai``; MIT licence."""
FILE = WeightFile("open_clip_model.safetensors", "", 0)
TOWER = "visual."
"""How the names of the image tower's tensors begin, in the file and in ``ClipEncoder``."""


def clip_weights(encoder: nn.Module) -> dict[str, Tensor]:
    """State of a ``ClipEncoder``, float32, downloaded once and checked.

    Raises:
        WeightsError: there is no network and no earlier download, or the file does not fit ``encoder``.
    """
    try:
        path = fetch(REPOSITORY, "main", FILE)
    except WeightsError as error:
        raise WeightsError(
            f"CLIP's weights are needed to train at paper scale: {error.message}",
            f"train once with a network, or put {REPOSITORY} into the hub's cache",
        ) from None
    tensors = {name: value.float() for name, value in load_file(path).items() if name.startswith(TOWER)}
    own = encoder.state_dict()
    for name, value in own.items():
        if name not in tensors or tensors[name].shape != value.shape:
            raise WeightsError(f"{path}: does not hold {name!r} of the recipe's encoder", "leave [encoder] as it is")
    return {name: tensors[name] for name in own}
