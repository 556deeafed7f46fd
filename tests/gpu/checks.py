"""Every combination of knobs that there is for a set of small convolutions, on fresh data: which of them are wrong."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import torch

from corecast.backends.schedules.hwnc_sm90.problem import Conv, Epilogue
from corecast.backends.schedules.hwnc_sm90.space import points
from gpu.compiling import Wanted, compile_all
from gpu.reference import Example

# So many multiprocessors are taken to be there, so that persistent blocks have several tiles each.
FEW = 3
_SAME = (1, 1, 1, 1)
# Odd sizes, borders that are not square, channels that fill no step, strides, dilation, every dtype and every epilogue.
SMALL = {
    "3x3, half": Conv(5, 9, 7, 72, 88, (3, 3), (1, 1), _SAME, epilogue=Epilogue(bias=True, activation="relu")),
    "3x3, stride 2, half": Conv(33, 13, 15, 64, 128, (3, 3), (2, 2), _SAME, epilogue=Epilogue(scale=True, bias=True)),
    "1x1, half": Conv(3, 7, 7, 264, 136, epilogue=Epilogue(bias=True, residual=True, activation="gelu")),
    "product, half to float": Conv(77, 1, 1, 1024, 512, out_dtype="float32", epilogue=Epilogue(bias=True)),
    "5x2, dilated, bfloat": Conv(
        2,
        17,
        11,
        48,
        40,
        (5, 2),
        (1, 2),
        (3, 0, 4, 2),
        (2, 3),
        "bfloat16",
        "bfloat16",
        Epilogue(bias=True, residual=True, activation="clip", clip=(-0.5, 1.5)),
    ),
    "3x3, int8": Conv(
        130,
        4,
        5,
        64,
        64,
        (3, 3),
        (1, 1),
        _SAME,
        dtype="int8",
        out_dtype="int8",
        epilogue=Epilogue(scale=True, bias=True, residual=True, residual_scale=0.37, activation="relu", rescale=0.81),
    ),
    "7x7, one image, int8 to int32": Conv(
        1, 19, 23, 16, 36, (7, 7), (2, 2), (3, 3, 3, 3), dtype="int8", out_dtype="int32"
    ),
    "1x1, stride 2, int8 to half": Conv(
        8, 14, 14, 256, 512, (1, 1), (2, 2), dtype="int8", epilogue=Epilogue(scale=True, bias=True)
    ),
    "3x3, one image, int8": Conv(
        1,
        14,
        14,
        256,
        256,
        (3, 3),
        (1, 1),
        _SAME,
        dtype="int8",
        out_dtype="int8",
        epilogue=Epilogue(shift=True, gain=0.5, scale=True),
    ),
    "3x3, float8": Conv(
        6,
        8,
        8,
        96,
        112,
        (3, 3),
        (1, 1),
        _SAME,
        dtype="float8_e4m3fn",
        out_dtype="float8_e4m3fn",
        epilogue=Epilogue(scale=True, bias=True, residual=True, residual_scale=0.5, activation="relu", rescale=2.0),
    ),
    "1x1, float8 to half": Conv(16, 6, 6, 512, 256, dtype="float8_e4m3fn", epilogue=Epilogue(scale=True)),
}


def wanted(limit: int | None) -> Iterator[Wanted]:
    """The kernels of the small convolutions; of each convolution so many, drawn anew each time, or all."""
    for name, conv in SMALL.items():
        if reason := conv.objection():
            raise ValueError(f"{name}: {reason}")
        found = list(points(conv))
        yield from (
            Wanted(conv, knobs, name, FEW) for knobs in random.sample(found, min(limit or len(found), len(found)))
        )


def refusals() -> Iterator[str]:
    """Arguments that a kernel cannot take: each has to be refused before anything is launched."""
    conv = SMALL["1x1, half"]
    knobs = next(iter(points(conv)))
    ((_, function),) = compile_all([Wanted(conv, knobs)])
    if isinstance(function, Exception):
        raise function
    example = Example.fresh(conv, 0)
    operands = list(example.operands.values())
    data = operands[0]
    shifted = torch.empty(data.numel() + 4, device="cuda", dtype=data.dtype)[4:].view(data.shape)
    wrong = {
        "misaligned by 8 bytes": shifted,
        "not contiguous": torch.empty(*data.shape[:-1], 2 * data.shape[-1], device="cuda", dtype=data.dtype)[..., ::2],
        "of another dtype": data.float(),
        "of another shape": data[:1],
        "in the memory of the host": data.cpu(),
    }
    for what, tensor in wrong.items():
        result = example.result()
        before = result.clone()
        try:
            function(tensor, *operands[1:], result)
            said = "**taken**"
        except Exception as error:  # TVM raises several kinds
            said = f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:160]}"
        torch.cuda.synchronize()
        untouched = torch.equal(result.view(torch.uint8), before.view(torch.uint8))
        yield f"- data {what}: {said}{'' if untouched else ' **and the result was written**'}"


def check(limit: int | None = None) -> Iterator[str]:
    """A table: for each convolution how many kernels were right, and every one that was wrong."""
    start, right, wrong = time.monotonic(), dict.fromkeys(SMALL, 0), []
    for number, (each, function) in enumerate(compile_all(wanted(limit))):
        if isinstance(function, Exception):
            reason: str | None = f"{type(function).__name__}: {str(function)[-300:]}"
        else:
            try:
                reason = Example.fresh(each.conv, number).called(function)
            except Exception as error:  # the context is lost, and with it all that would follow
                yield f"**{each.name} {each.knobs}: {error}**"
                raise
        if reason is None:
            right[each.name] += 1
        else:
            wrong.append(f"**{each.name}, {each.knobs}: {reason}**")
    yield "| convolution | kernels right |"
    yield "| --- | --- |"
    yield from (f"| {name} | {count} |" for name, count in right.items())
    yield ""
    yield f"{sum(right.values())} right, {len(wrong)} wrong, in {time.monotonic() - start:.0f} seconds."
    yield from wrong
