"""What to measure and how it is told: a name in, the lines of a Markdown table for docs/hopper.md out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch

from gpu import checks, sanitizing, timing, tuning
from gpu import network as body
from gpu.compiling import all_proposals
from gpu.layers import LAYERS, Layer

BATCHES = (1, 8, 32, 128)
DTYPES = ("float16", "int8")


def right(options: dict[str, int]) -> Iterator[str]:
    """Every point of the space of small convolutions; `kernels=N` draws N of each."""
    yield from checks.check(options.get("kernels"))
    yield "\nArguments that a kernel cannot take are refused before it is launched:\n"
    yield from checks.refusals()


def sanitized(options: dict[str, int]) -> Iterator[str]:  # noqa: ARG001
    """Kernels under compute-sanitizer."""
    yield from sanitizing.sanitized()


def peaks(options: dict[str, int]) -> Iterator[str]:  # noqa: ARG001
    """What the chip and its libraries reach: large products of matrices, and a copy."""
    side = 8192
    halves = [torch.randn(side, side, device="cuda").half() for _ in range(2)]
    bytes_ = [torch.randint(-128, 128, (side, side), device="cuda", dtype=torch.int8) for _ in range(2)]
    source = torch.empty(2**31, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    operations = 2 * side**3
    timing.seconds(lambda: halves[0] @ halves[1], calls=100)  # until the clocks are up
    yield "| what | came to |"
    yield "| --- | --- |"
    versions = f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    yield f"| device | {torch.cuda.get_device_name()}, {versions} |"
    product = timing.seconds(lambda: halves[0] @ halves[1])
    yield f"| float16, cuBLAS, 8192 cubed | {operations / product / 1e12:.0f} TFLOP/s |"
    product = timing.seconds(lambda: torch._int_mm(bytes_[0], bytes_[1].t()))
    yield f"| int8, `torch._int_mm`, 8192 cubed | {operations / product / 1e12:.0f} TOP/s |"
    copy = timing.seconds(lambda: target.copy_(source))
    yield f"| copy, bytes read and written | {2 * source.numel() / copy / 1e12:.2f} TB/s |"


def layers(options: dict[str, int]) -> Iterator[str]:
    """Each convolution of ResNet-50 beside cuDNN; `batch=N` for one batch, `candidates=K`, `seconds=S` at most."""
    batches = (options["batch"],) if "batch" in options else BATCHES
    start = time.monotonic()
    deadline = start + options.get("seconds", 3600)
    cudnn = {(batch, layer): timing.seconds(layer.cudnn(batch)) for batch in batches for layer in LAYERS}
    cold = {(batch, layer): timing.cold_seconds(layer.cudnn(batch)) for batch in batches for layer in LAYERS}
    products = {(batch, layer): _int_product(layer, batch) for batch in batches for layer in LAYERS}
    kinds = tuning.each_kind(batches, DTYPES, LAYERS)
    found, wrong = tuning.tuned(kinds, options.get("candidates", 8), deadline)
    for batch in batches:
        yield f"\n### Batch {batch}\n"
        yield (
            "| layer (input) x count | cuDNN float16, us | float16, us | int8, us | `_int_mm`, us | TFLOP/s | TOP/s "
            "| cold: cuDNN, float16, int8 | float16 | int8 |"
        )
        yield "|" + " --- |" * 10
        sums = dict.fromkeys(("cudnn", *DTYPES), 0.0)
        ratios: dict[str, list[float]] = {dtype: [] for dtype in DTYPES}
        for layer in LAYERS:
            own = [found.get(f"{batch} | {layer} | {dtype}") for dtype in DTYPES]
            if None in own:
                yield f"| {layer} | not measured |"
                continue
            rival = cudnn[batch, layer]
            rates = [layer.conv(batch, "float16").operations / each.seconds / 1e12 for each in own]
            for dtype, each in zip(DTYPES, own, strict=True):
                ratios[dtype].append(rival / each.seconds)
                sums[dtype] += layer.count * each.seconds
            sums["cudnn"] += layer.count * rival
            product = products[batch, layer]
            yield (
                f"| {layer} x{layer.count} | {rival * 1e6:.1f} | "
                + " | ".join(f"{each.seconds * 1e6:.1f} ({rival / each.seconds:.2f})" for each in own)
                + f" | {'' if product is None else f'{product * 1e6:.1f}'} | {rates[0]:.0f} | {rates[1]:.0f}"
                + f" | {cold[batch, layer] * 1e6:.1f}, {own[0].cold * 1e6:.1f}, {own[1].cold * 1e6:.1f} | "
                + " | ".join(tuning.knobs_text(each.knobs) for each in own)
                + " |"
            )
        totals = ", ".join(
            f"{dtype} {sums[dtype] * 1e6:.0f} us ({sums['cudnn'] / max(sums[dtype], 1e-12):.2f}; "
            f"least {min(ratios[dtype], default=0):.2f}, at least 1 in {sum(r >= 0.995 for r in ratios[dtype])}, "
            f"at least 1.5 in {sum(r >= 1.495 for r in ratios[dtype])} of {len(ratios[dtype])})"
            for dtype in DTYPES
        )
        yield f"\nSum over the 52: cuDNN float16 {sums['cudnn'] * 1e6:.0f} us, {totals}."
    guesses = [each.guess / each.seconds for each in found.values() if each.guess == each.guess]
    yield "\n### First guess\n"
    candidates = options.get("candidates", 8)
    yield (
        f"Without measuring, the first guess takes {median(guesses):.2f} times the best of {candidates} candidates "
        f"in the median of {len(guesses)} layers, at most {max(guesses):.2f}; "
        f"more than 1.3 in {sum(guess > 1.3 for guess in guesses)}. {len(found)} layers took "
        f"{time.monotonic() - start:.0f} seconds to compile, check and time, cuDNN included."
    )
    yield from (f"**wrong: {line}**" for line in wrong)


def network(options: dict[str, int]) -> Iterator[str]:
    """The body of ResNet-50 with first guesses, beside torch's; `batch=N` for one batch."""
    batches = (options["batch"],) if "batch" in options else BATCHES
    convs = [call.conv for batch in batches for dtype in DTYPES for call in body.body(batch, dtype)]
    kinds = list(dict.fromkeys(convs))
    knobs = {conv: found[0] for conv, found in zip(kinds, all_proposals(kinds, 1), strict=True)}
    yield "| batch | torch float16, CUDA graph, ms | float16, ms | int8, ms | off in float16 | off in int8 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for batch in batches:
        rival, cells, errors = body.rival(batch), [], []
        for dtype in DTYPES:
            network = body.Network(batch, dtype, knobs)
            errors.append(f"{network.error():.1e}")
            seconds = network.seconds()
            cells.append(f"{seconds * 1e3:.3f} ({rival / seconds:.2f})")
            del network
            torch.cuda.empty_cache()
        yield f"| {batch} | {rival * 1e3:.3f} | {' | '.join([*cells, *errors])} |"


def _int_product(layer: Layer, batch: int) -> float | None:
    """torch's product of int8 matrices, int32 out, for a convolution that is one."""
    rows = batch * layer.size**2
    if layer.kernel > 1 or layer.stride > 1 or rows <= 16:
        return None
    data = torch.randint(-128, 128, (rows, layer.channels), device="cuda", dtype=torch.int8)
    weights = torch.randint(-128, 128, (layer.out_channels, layer.channels), device="cuda", dtype=torch.int8)
    try:
        return timing.seconds(lambda: torch._int_mm(data, weights.t()))
    except RuntimeError:  # sizes that cuBLAS does not take
        return None


Table = Callable[[dict[str, int]], Iterator[str]]
TABLES: dict[str, Table] = {
    "peaks": peaks,
    "right": right,
    "sanitized": sanitized,
    "layers": layers,
    "network": network,
}
