"""How long one photo takes in the network, against the released way of running it and against the processor's floor.

    python benchmarks/speed.py [--scale paper] [--size 512] [--runs 5] [--threads N] [--precision float32]

Four ways of running the same mixture of experts, interleaved, medians in seconds:

released      float32, experts added up anew in every convolution, on a deep copy of that convolution, as the authors'
              code does for a single photo
unfolded      the same without the copies
folded        folded once, float32
ours          folded once, in channels_last, in the precision that ``auto`` picks here; what ``lorair restore`` runs

The floor is the network's arithmetic (torch's own count of multiplications and additions, two per pair) at the rate
that a large matrix product reaches on the same threads, and, for the compact scale, at that of products shaped like the
network's own 1x1 convolutions. Weights are random: they do not change the time.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lorair_cli.cli.process import prepare_process
from lorair_cli.model.experts import ExpertConv2d
from lorair_cli.model.network import RestorationNetwork, fold
from lorair_cli.restoration.device import choose_device, choose_precision
from lorair_cli.training.recipe_file import load_recipe

EXPERTS = {"paper": 3, "compact": 10}
"""Scale and its number of experts: Setting I, whose weights the authors published, and the bundled ten."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


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


@torch.inference_mode()
def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=EXPERTS, default="paper")
    parser.add_argument("--size", type=int, default=512, help="side of the photo in pixels")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, help="torch's own choice if not given")
    parser.add_argument(
        "--precision", default="auto", help="of ours; float32 is what a processor without bfloat16 gets"
    )
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = choose_device("auto")
    precision = choose_precision(args.precision, device)
    torch.manual_seed(0)
    config = replace(load_recipe(args.scale).network, experts=EXPERTS[args.scale])
    network = RestorationNetwork(config).eval().to(device)
    for parameter in network.parameters():  # as initialised, experts and branches are zero
        parameter.add_(0.02 * torch.randn_like(parameter))
    mixture = torch.zeros(config.experts, device=device)
    mixture[1] = 1.0
    lq, prior = torch.rand(1, 3, args.size, args.size, device=device), torch.rand(1, config.prior_channels).to(device)
    last = lq.contiguous(memory_format=torch.channels_last)
    plain = fold(network, mixture).requires_grad_(False)
    ours = fold(network, mixture, DTYPES[precision]).to(memory_format=torch.channels_last)
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
        "ours": lambda: ours(last, prior),
    }
    with FlopCounterMode(display=False) as counter:
        exact = plain(lq, prior)
    work = counter.get_total_flops()
    apart = {name: float((run() - exact).abs().max()) for name, run in ways.items()}  # and warmed up by it
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.runs):
        for name, run in ways.items():
            seconds[name].append(timed(run))
    folding = statistics.median(timed(lambda: fold(network, mixture, DTYPES[precision])) for _ in range(args.runs))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{args.scale} scale, {args.size}x{args.size}, {device.type}, {torch.get_num_threads()} threads, {precision}, "
    )
    print(f"torch {torch.__version__}, {work / 1e9:.0f} GFLOP, folding {folding:.3f} s once per photo\n")
    print("| way | seconds | times as fast as released | furthest from folded float32 |")
    print("|---|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} | {medians['released'] / median:.2f} | {apart[name]:.1e} |")
    pixels = (args.size // config.stem) ** 2
    shapes = {
        "2048 x 2048 x 2048": (2048, 2048, 2048),
        f"{pixels} x {config.width} x {2 * config.width}": (pixels, config.width, 2 * config.width),
        f"{pixels // 16} x {4 * config.width} x {8 * config.width}": (pixels // 16, 4 * config.width, 8 * config.width),
    }
    print(f"\n| matrix product in {precision} | GFLOP/s | the network at that rate, s | reached by ours |")
    print("|---|---|---|---|")
    for name, (m, k, n) in shapes.items():
        reached = rate(DTYPES[precision], m, k, n, device)
        print(f"| {name} | {reached / 1e9:.0f} | {work / reached:.3f} | {work / reached / medians['ours']:.0%} |")


if __name__ == "__main__":
    prepare_process()
    main()
