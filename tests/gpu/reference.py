"""A convolution in, tensors for it and what must come out: sums in float64, exact for int8, and the error allowed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from corecast.backends.schedules.hwnc_sm90.kernel import arguments
from corecast.backends.schedules.hwnc_sm90.problem import Conv

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "int8": torch.int8,
    "float32": torch.float32,
    "int32": torch.int32,
}
# Half of a unit in the last place, of values of size 1; and what the sums may be off, of the sum of absolute products.
ROUNDING = {"float16": 2**-11, "bfloat16": 2**-8, "float8_e4m3fn": 2**-4, "float32": 2**-24}
SUMS = {"float16": 2**-20, "bfloat16": 2**-20, "float8_e4m3fn": 2**-10, "int8": 0.0}
# The least magnitudes that are not flushed: below them the error is absolute.
SMALLEST = {"float16": 2**-25, "bfloat16": 2**-134, "float8_e4m3fn": 2**-10, "float32": 2**-126}
GUARD = 4096


@dataclass
class Example:
    """Operands of a convolution on the GPU, by role, and the value that each result should round to.

    `doubt` is how far the sum that a kernel rounds may be from `expected`, for each value.
    """

    conv: Conv
    operands: dict[str, torch.Tensor]
    expected: torch.Tensor
    doubt: torch.Tensor

    @staticmethod
    def fresh(conv: Conv, seed: int) -> Example:
        """Random operands; a seed gives the same ones again."""
        torch.manual_seed(seed)
        shapes = {argument.role: argument.shape for argument in arguments(conv)}
        depth = conv.channels * conv.kernel[0] * conv.kernel[1]
        spread = 1.0 if conv.dtype != "int8" else 73.0
        operands = {"data": _random(shapes["data"], conv.dtype, 1.0)}
        operands["weights"] = random_weights(conv)
        gain = 40.0 / (spread * spread * depth**0.5) if conv.dtype == "int8" else 1.0
        if "shift" in shapes:
            operands["shift"] = torch.randint(-9999, 9999, shapes["shift"], device="cuda", dtype=torch.int32)
        if "scale" in shapes:
            operands["scale"] = (torch.rand(shapes["scale"], device="cuda") + 0.5) * gain
        if "bias" in shapes:
            operands["bias"] = torch.randn(shapes["bias"], device="cuda") * (10 if conv.out_dtype == "int8" else 1)
        if "residual" in shapes:
            operands["residual"] = _random(shapes["residual"], conv.out_dtype, 1.0)
        return Example.of(conv, operands)

    @staticmethod
    def of(conv: Conv, operands: dict[str, torch.Tensor]) -> Example:
        sums, size = _sums(conv, operands["data"], operands["weights"])
        return Example(conv, operands, *_finished(conv, operands, sums, size * SUMS[conv.dtype]))

    def rounded(self) -> torch.Tensor:
        """What is expected, in the dtype of the result."""
        if self.conv.out_dtype == "int8":
            return self.expected.round().clamp(-128, 127).to(torch.int8)
        return self.expected.to(DTYPES[self.conv.out_dtype])

    def result(self) -> torch.Tensor:
        """Memory for a result with noise in and around it: what is not written shows, and what is written beside."""
        shape = self.expected.shape
        size = DTYPES[self.conv.out_dtype].itemsize
        self._around = torch.randint(
            0, 256, (self.expected.numel() * size + 2 * GUARD,), device="cuda", dtype=torch.uint8
        )
        if self.conv.out_dtype not in ("int8", "int32"):
            self._around.fill_(0xFF)  # not a number in every float
        self._before = self._around.clone()
        return self._around[GUARD:-GUARD].view(DTYPES[self.conv.out_dtype]).view(shape)

    def called(self, function: object) -> str | None:
        """Run a kernel; what is wrong with its result, or None."""
        result = self.result()
        function(*self.operands.values(), result)  # type: ignore[operator]
        torch.cuda.synchronize()
        return self.objection(result)

    def objection(self, result: torch.Tensor) -> str | None:
        edges = slice(None, GUARD), slice(-GUARD, None)
        if any(not torch.equal(self._around[edge], self._before[edge]) for edge in edges):
            return "it writes outside its result"
        found = result.double()
        if self.conv.out_dtype == "int32":
            wrong = found != self.expected
        elif self.conv.out_dtype == "int8":
            wrong = (found - self.expected.clamp(-128, 127)).abs() > 0.5 + self.doubt
        else:
            rounding, least = ROUNDING[self.conv.out_dtype], SMALLEST[self.conv.out_dtype]
            bound = self.expected.clamp(-448, 448) if self.conv.out_dtype == "float8_e4m3fn" else self.expected
            wrong = ~((found - bound).abs() <= bound.abs() * rounding * 1.01 + self.doubt * (1 + rounding) + least)
        if not wrong.any():
            return None
        place = tuple(wrong.nonzero()[0].tolist())
        return (
            f"{int(wrong.sum())} of {wrong.numel()} values are wrong, the first at {place}: "
            f"{found[place].item():.6g} for {self.expected[place].item():.6g}"
        )


def random_weights(conv: Conv) -> torch.Tensor:
    """Floats of a size that keeps the spread of the data; integers of the whole range."""
    rows, columns = conv.kernel
    depth = conv.channels * rows * columns
    return _random((rows, columns, conv.out_channels, conv.channels), conv.dtype, depth**-0.5)


def _random(shape: tuple[int, ...], dtype: str, spread: float) -> torch.Tensor:
    if dtype == "int8":
        return torch.randint(-128, 128, shape, device="cuda", dtype=torch.int8)
    return (torch.randn(shape, device="cuda") * spread).to(DTYPES[dtype])


def _sums(conv: Conv, data: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sums, and those of the absolute products, in float64."""
    top, left, bottom, right = conv.padding
    height, width, batch, channels = data.shape
    padded = torch.zeros(
        height + top + bottom, width + left + right, batch, channels, device="cuda", dtype=torch.float64
    )
    padded[top : top + height, left : left + width] = data.double()
    found = torch.zeros(conv.out_height * conv.out_width * batch, conv.out_channels, device="cuda", dtype=torch.float64)
    size = torch.zeros_like(found)
    for line in range(conv.kernel[0]):
        for column in range(conv.kernel[1]):
            first, second = line * conv.dilation[0], column * conv.dilation[1]
            part = padded[
                first : first + (conv.out_height - 1) * conv.strides[0] + 1 : conv.strides[0],
                second : second + (conv.out_width - 1) * conv.strides[1] + 1 : conv.strides[1],
            ].reshape(-1, channels)
            found += part @ weights[line, column].double().T
            if conv.dtype != "int8":
                size += part.abs() @ weights[line, column].double().abs().T
    shape = (conv.out_height, conv.out_width, batch, conv.out_channels)
    return found.view(shape), size.view(shape)


def _finished(
    conv: Conv, operands: dict[str, torch.Tensor], sums: torch.Tensor, doubt: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The epilogue in float64. Each of its roundings in float32 adds to the doubt."""
    spec = conv.epilogue
    value = sums + operands["shift"].double() if spec.shift else sums
    value, doubt = value * spec.gain, doubt * abs(spec.gain)
    size = value.abs()
    if spec.scale:
        value, doubt, size = (each * operands["scale"].double() for each in (value, doubt, size))
    if spec.bias:
        value, size = value + operands["bias"].double(), size + operands["bias"].double().abs()
    if spec.residual:
        residual = operands["residual"].double() * spec.residual_scale
        value, size = value + residual, size + residual.abs()
    doubt = doubt + size * 2**-22
    if spec.activation == "relu":
        value = value.clamp(min=0)
    elif spec.activation == "clip":
        value = value.clamp(*spec.clip)
    elif spec.activation == "gelu":
        value = 0.5 * value * (1 + torch.erf(value * 0.5**0.5))
        doubt = doubt * 1.2 + size * 2**-21
    return value * spec.rescale, doubt * abs(spec.rescale)
