"""One mixture of a checkpoint as a plain network: a checkpoint without experts, or ONNX. Checked, then written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.imaging.files import atomic_write
from lorair_cli.model.network import RestorationNetwork, fold
from lorair_cli.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

TOLERANCE = 1e-4
"""Largest difference allowed between the exported network and the one with experts, of colours in [0, 1]."""
OPSET = 18
"""Version of ONNX's operators: old enough for runtimes of 2023."""

Network = Callable[[Tensor, Tensor], Tensor]
"""Photo ``(1, 3, h, w)`` and prior ``(1, prior)`` to a photo of the same size."""


def export(checkpoint: Checkpoint, shares: Mapping[str, float], path: Path) -> float:
    """Fold one mixture into the network and write it; the suffix ``.safetensors`` or ``.onnx`` chooses the format.

    The safetensors file is a checkpoint as any other, router included, that always uses this mixture. The ONNX file
    holds the network alone: inputs ``lq`` ``(1, 3, h, w)`` of any size, RGB in [0, 1], and ``prior`` of the router;
    output ``restored``, not clamped.

    Args:
        checkpoint: weights with experts.
        shares: weight of each degradation in the mixture, above zero; brought to a sum of one.
        path: the file to write; one that exists is replaced.

    Returns:
        The largest difference found to the network with experts, at most ``TOLERANCE``.

    Raises:
        UsageError: the suffix is neither of the two, a degradation is unknown, or ONNX is not installed.
        WeightsError: the weights have no experts, the result differs, or the file cannot be written.
    """
    if path.suffix not in (".safetensors", ".onnx"):
        raise UsageError(f"{path}: cannot export to {path.suffix!r}", "use .safetensors or .onnx")
    if not checkpoint.info.network.experts:
        raise WeightsError("these weights have no experts, there is nothing to fold")
    mixture = mixture_of(checkpoint.info.degradations, shares)
    whole = checkpoint.build_network()
    folded = fold(whole, mixture)
    if path.suffix == ".safetensors":
        info = checkpoint.info
        provenance = info.provenance | {"folded": dict(zip(info.degradations, mixture.tolist(), strict=True))}
        plain = replace(info, network=folded.config, provenance=provenance)
        result = Checkpoint(plain, folded.state_dict(), checkpoint.router)
        difference = _checked(whole, mixture, folded, path)
        save_checkpoint(path, result)
        _compare_file(path, result)
        return difference
    data, network = _to_onnx(folded)
    difference = _checked(whole, mixture, network, path)
    try:
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or error}") from None
    return difference


def mixture_of(degradations: tuple[str, ...], shares: Mapping[str, float]) -> Tensor:
    """Expert weights ``(n,)`` in label order, summing to one; ``UsageError`` if the shares make no mixture."""
    if unknown := sorted(shares.keys() - set(degradations)):
        raise UsageError(f"these weights know no {unknown[0]!r}", f"choose from {', '.join(degradations)}")
    mixture = torch.tensor([shares.get(name, 0.0) for name in degradations])
    if not bool((mixture >= 0).all() & mixture.isfinite().all() & (mixture.sum() > 0)):
        raise UsageError("the shares of a mixture are positive numbers", "for example --mixture rain=0.7,haze=0.3")
    return mixture / mixture.sum()


@torch.no_grad()
def _checked(whole: RestorationNetwork, mixture: Tensor, network: Network, path: Path) -> float:
    """Largest difference between ``network`` and ``whole`` under ``mixture``; ``WeightsError`` above the tolerance."""
    generator = torch.Generator().manual_seed(0)
    multiple = whole.config.multiple
    worst = 0.0
    # One size that fits the network's stride, and an odd one that has to be padded.
    for h, w in ((2 * multiple, 3 * multiple), (multiple + 1, 2 * multiple - 1)):
        lq = torch.rand(1, 3, h, w, generator=generator)
        prior = torch.rand(1, whole.config.prior_channels, generator=generator)
        difference = (network(lq, prior) - whole(lq, prior, mixture[None])).abs().max()
        worst = max(worst, float(difference)) if bool(difference.isfinite()) else float("inf")
    if worst > TOLERANCE:
        raise WeightsError(f"{path}: not written, it would differ from the network by {worst:.1e}")
    return worst


def _compare_file(path: Path, checkpoint: Checkpoint) -> None:
    written = load_checkpoint(path).network
    if not all(torch.equal(written[key], tensor) for key, tensor in checkpoint.network.items()):
        path.unlink()
        raise WeightsError(f"{path}: not what was written: the disk may be damaged")


class _TwoInputs(nn.Module):
    """The folded network, with nothing but tensors as arguments."""

    def __init__(self, network: RestorationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, lq: Tensor, prior: Tensor) -> Tensor:
        """As the network's."""
        out: Tensor = self.network(lq, prior)
        return out


def _to_onnx(network: RestorationNetwork) -> tuple[bytes, Network]:
    """An ONNX file in memory, and the same as a function that ONNX Runtime computes."""
    try:
        import onnx  # noqa: F401  (torch's exporter needs it)
        import onnxruntime
    except ImportError:
        raise UsageError("ONNX is not installed", "pip install 'lorair[onnx]'") from None
    config = network.config
    example = (torch.rand(1, 3, 3 * config.multiple, 2 * config.multiple), torch.rand(1, config.prior_channels))
    free = {2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad(), TemporaryDirectory() as folder:
        # The tracing exporter is the older one, but the newer one cannot follow padding to a multiple of the stride:
        # its files would take only such sizes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _TwoInputs(network).eval(),
            example,
            Path(folder, "network.onnx"),
            dynamo=False,
            opset_version=OPSET,
            input_names=["lq", "prior"],
            output_names=["restored"],
            dynamic_axes={"lq": free, "restored": free},
        )
        data = Path(folder, "network.onnx").read_bytes()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(lq: Tensor, prior: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"lq": lq.numpy(), "prior": prior.numpy()})[0])

    return data, run
