"""How long a photo, or a batch of tiles, takes in the network, against the released way and against the device's floor.

    python benchmarks/speed.py [--scale paper] [--size 512] [--runs 5] [--threads N] [--precision float32]
    python benchmarks/speed.py --device cuda --tiles 1 4 16 --precision bfloat16 float16 [--compile default]

Four ways of running the same mixture of experts, interleaved, medians in seconds:

released      float32, experts added up anew in every convolution, on a deep copy of that convolution, as the authors'
              code does for a single photo
unfolded      the same without the copies
folded        folded once, float32 (on a GPU torch lets convolutions use TF32, as everybody's programs do)
ours          folded once, in channels_last, in the precision that ``auto`` picks here, or in each one named; what
              ``lorair restore`` runs. ``--compile MODE`` adds the same after torch.compile in that mode

There are two floors: the network's arithmetic (torch's own count of multiplications and additions, two per pair) at the
rate that matrix products reach on the same device, a large one and ones shaped like the network's own 1x1
convolutions; and its traffic (what convolutions and normalisations read and write, as if everything between them were
free) at the rate of a large copy. Weights are random: they do not change the time.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lorair_cli.cli.process import prepare_process
from lorair_cli.model.blocks import LayerNorm2d
from lorair_cli.model.experts import ExpertConv2d
from lorair_cli.model.network import RestorationNetwork, fold
from lorair_cli.restoration.device import DTYPES, choose_device, choose_precision
from lorair_cli.training.recipe_file import load_recipe

EXPERTS = {"paper": 3, "compact": 10}
"""Scale and its number of experts: Setting I, whose weights the authors published, and the bundled ten."""


def released_way(
    conv: ExpertConv2d, x: Tensor, mixture: Tensor | None, gain: Tensor | None = None, intake: Tensor | None = None
) -> Tensor:
    """One convolution as the released code runs it: a deep copy that gets the mixed weight, then is thrown away."""
    mixed = copy.deepcopy(conv)
    if mixture is not None and conv.expert_a is not None:
        mixed.weight.data = conv.mixed_weight(mixture)[0]
    x = x if intake is None else x * intake
    y = torch.nn.functional.conv2d(x, mixed.weight, mixed.bias, conv.stride, conv.padding, groups=conv.groups)
    return y if gain is None else y * gain


def timed(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def rate(dtype: torch.dtype, m: int, k: int, n: int, device: torch.device) -> float:
    """Operations a second of a matrix product ``(m, k) @ (k, n)``: the best of ten."""
    a, b = torch.rand(m, k, device=device).to(dtype), torch.rand(k, n, device=device).to(dtype)
    a @ b
    return 2 * m * k * n / min(timed(lambda: a @ b) for _ in range(10))


def copy_rate(device: torch.device, values: int = 2**26) -> float:
    """Bytes a second that a large copy reads and writes: the best of ten."""
    source, goal = torch.rand(values, device=device), torch.empty(values, device=device)
    goal.copy_(source)
    return 2 * 4 * values / min(timed(lambda: goal.copy_(source)) for _ in range(10))


def traffic(network: nn.Module, run: Callable[[], object]) -> int:
    """Values that the convolutions and normalisations of ``network`` read and write in a ``run``, weights left out."""
    total = 0

    def count(module: nn.Module, given: tuple[Any, ...], made: Tensor) -> None:
        nonlocal total
        total += given[0].numel() + made.numel()

    counted = (m for m in network.modules() if isinstance(m, ExpertConv2d | LayerNorm2d))
    hooks = [module.register_forward_hook(count) for module in counted]
    run()
    for hook in hooks:
        hook.remove()
    return total


@torch.inference_mode()
def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=EXPERTS, default="paper")
    parser.add_argument("--size", type=int, default=512, help="side of the photo, or of each tile, in pixels")
    parser.add_argument("--tiles", type=int, nargs="+", default=[1], help="tiles in a batch; one table each")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, help="torch's own choice if not given")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--precision",
        nargs="+",
        default=["auto"],
        help="of ours; float32 is what a processor without bfloat16 gets",
    )
    parser.add_argument("--compile", metavar="MODE", help="of torch.compile: default, reduce-overhead, max-autotune")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    precisions = list(dict.fromkeys(choose_precision(name, device) for name in args.precision))
    torch.manual_seed(0)
    config = replace(load_recipe(args.scale).network, experts=EXPERTS[args.scale])
    network = RestorationNetwork(config).eval().to(device)
    for parameter in network.parameters():  # as initialised, experts and branches are zero
        parameter.add_(0.02 * torch.randn_like(parameter))
    where = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {torch.get_num_threads()} threads"
    )
    print(f"{args.scale} scale, {where}, torch {torch.__version__}")
    copied = copy_rate(device)
    for tiles in args.tiles:
        _measure(network, tiles, args.size, precisions, args.runs, args.compile, copied)


def _measure(
    network: RestorationNetwork,
    tiles: int,
    size: int,
    precisions: list[str],
    runs: int,
    mode: str | None,
    copied: float,
) -> None:
    """Time and print one size of batch; ``copied`` is the device's ``copy_rate``."""
    config, device = network.config, network.intro.weight.device
    mixture = torch.zeros(config.experts, device=device)
    mixture[1] = 1.0
    lq, prior = torch.rand(tiles, 3, size, size, device=device), torch.rand(tiles, config.prior_channels).to(device)
    last = lq.contiguous(memory_format=torch.channels_last)
    plain = fold(network, mixture).requires_grad_(False)
    mixed_forward = ExpertConv2d.forward

    def released() -> Tensor:
        ExpertConv2d.forward = released_way  # type: ignore[method-assign, assignment]
        try:
            return network(lq, prior, mixture[None])
        finally:
            ExpertConv2d.forward = mixed_forward  # type: ignore[method-assign]

    ways: dict[str, Callable[[], Tensor]] = {
        "released": released,
        "unfolded": lambda: network(lq, prior, mixture[None]),
        "folded": lambda: plain(lq, prior),
    }
    quickest: dict[str, list[str]] = {}
    for precision in precisions:
        name = "ours" if len(precisions) == 1 else f"ours, {precision}"
        ours = fold(network, mixture, DTYPES[precision]).to(memory_format=torch.channels_last)
        ways[name] = partial(ours, last, prior)
        quickest[precision] = [name]
        if mode:
            ways[f"{name}, compiled"] = partial(torch.compile(ours, mode=mode), last, prior)
            quickest[precision].append(f"{name}, compiled")
    with FlopCounterMode(display=False) as counter:
        exact = plain(lq, prior)
    work, moved = counter.get_total_flops(), traffic(plain, lambda: plain(lq, prior))
    apart = {name: float((run() - exact).abs().max()) for name, run in ways.items()}  # and warmed up by it
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, run in ways.items():
            seconds[name].append(timed(run))
    folding = statistics.median(timed(lambda: fold(network, mixture, DTYPES[precisions[0]])) for _ in range(runs))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"\n{tiles} of {size}x{size}, {' and '.join(precisions)}, {work / 1e9:.0f} GFLOP, "
        f"{moved / 1e9:.2f} billion values moved, folding {folding:.3f} s once per photo\n"
    )
    print("| way | seconds | times as fast as released | furthest from folded float32 |")
    print("|---|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.4f} | {medians['released'] / median:.2f} | {apart[name]:.1e} |")
    pixels = tiles * (size // config.stem) ** 2
    shapes = {
        "2048 x 2048 x 2048": (2048, 2048, 2048),
        f"{pixels} x {config.width} x {2 * config.width}": (pixels, config.width, 2 * config.width),
        f"{pixels // 16} x {4 * config.width} x {8 * config.width}": (pixels // 16, 4 * config.width, 8 * config.width),
    }
    if device.type == "cuda":
        shapes = {"8192 x 8192 x 8192": (8192, 8192, 8192)} | shapes
    for precision in precisions:
        dtype, best = DTYPES[precision], min(medians[name] for name in quickest[precision])
        print(f"\n| floor in {precision} | rate | the network at that rate, s | reached by ours |")
        print("|---|---|---|---|")
        for name, (m, k, n) in shapes.items():
            reached = rate(dtype, m, k, n, device)
            print(
                f"| product {name} | {reached / 1e9:.0f} GFLOP/s | {work / reached:.4f} | {work / reached / best:.0%} |"
            )
        least = moved * dtype.itemsize / copied
        print(f"| traffic, as a copy | {copied / 1e9:.0f} GB/s | {least:.4f} | {least / best:.0%} |")


if __name__ == "__main__":
    prepare_process()
    main()
