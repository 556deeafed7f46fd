"""The body of ResNet-50, from the end of its stem to its last block, as one module of Relax that calls our kernels.

Bias, residual and relu are in the kernels' epilogues. Weights are seeded; in int8 so are the scales, which are chosen
such that the values of each layer fill the range. All runs in one CUDA graph of TVM's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
import tvm
import tvm_ffi
from tvm import relax

from corecast.backends.schedules.hwnc_sm90.kernel import arguments
from corecast.backends.schedules.hwnc_sm90.problem import Conv, Epilogue
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs
from gpu.compiling import Wanted, compiled_modules
from gpu.reference import DTYPES, Example, random_weights
from gpu.timing import queued_seconds, seconds

# Width of the middle, blocks, stride of the first.
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
TARGET = {"kind": "cuda", "arch": "sm_90a"}


@dataclass(frozen=True)
class Call:
    """A convolution of the value `source`, to which the value `residual` is added; values are numbered as they come."""

    conv: Conv
    source: int
    residual: int | None = None


def body(batch: int, dtype: str) -> Iterator[Call]:
    """The 52 convolutions in the order in which they are called; value 0 is what the stem made."""
    size, channels, value, made = 56, 64, 0, 0
    scaled = Epilogue(scale=dtype == "int8", bias=True)
    for middle, blocks, stride in STAGES:
        for block in range(blocks):
            step = stride if block == 0 else 1
            after, shortcut = size // step, value
            plain = Conv(batch, size, size, channels, middle, dtype=dtype, out_dtype=dtype, epilogue=scaled)
            cut = replace(scaled, activation="relu")
            yield Call(replace(plain, epilogue=cut), value)
            inner = replace(plain, channels=middle, epilogue=cut)
            yield Call(replace(inner, kernel=(3, 3), strides=(step, step), padding=(1, 1, 1, 1)), made + 1)
            made += 2
            if block == 0:
                yield Call(replace(plain, out_channels=4 * middle, strides=(step, step)), value)
                shortcut = made = made + 1
            last = replace(inner, height=after, width=after, out_channels=4 * middle)
            source = made if block else made - 1
            yield Call(replace(last, epilogue=replace(cut, residual=True)), source, shortcut)
            made += 1
            value, size, channels = made, after, 4 * middle


class Network:
    """The body for a batch and a dtype, built with the knobs that `knobs` has for each convolution."""

    def __init__(self, batch: int, dtype: str, knobs: Mapping[Conv, Knobs]) -> None:
        self.calls = list(body(batch, dtype))
        kinds = list(dict.fromkeys(call.conv for call in self.calls))
        symbols = {conv: f"hwnc_{number}" for number, conv in enumerate(kinds)}
        wanted = [Wanted(conv, knobs[conv], symbols[conv]) for conv in kinds]
        modules = compiled_modules(wanted)
        module = self._module(symbols, dtype).with_attr("external_mods", modules)
        with tvm.transform.PassContext(config={"relax.backend.use_cuda_graph": True}):
            built = tvm.compile(module, target=tvm.target.Target(TARGET))
        self.run = relax.VirtualMachine(built, tvm.cuda(0))["main"]
        self._fill(dtype)

    def _module(self, symbols: dict[Conv, str], dtype: str) -> tvm.ir.IRModule:
        """What the stem made comes in as float32, as the result goes out: both casts stand outside the graph."""
        first = self.calls[0].conv
        shape = (first.height, first.width, first.batch, first.channels)
        given = relax.Var("x", relax.TensorType(shape, "float32"))
        parameters = [
            [
                relax.Var(f"{argument.role}{number}", relax.TensorType(argument.shape, argument.dtype))
                for argument in arguments(call.conv)
                if argument.role in ("weights", "scale", "bias")
            ]
            for number, call in enumerate(self.calls)
        ]
        builder = relax.BlockBuilder()
        flat = [variable for each in parameters for variable in each]
        with builder.function("main", [given, *flat], attrs={"num_input": 1}):
            with builder.dataflow():
                values = [builder.emit(relax.op.astype(given, dtype))]
                for call, own in zip(self.calls, parameters, strict=True):
                    result = arguments(call.conv)[-1]
                    operands = [values[call.source], *own]
                    operands += [] if call.residual is None else [values[call.residual]]
                    kind = relax.TensorType(result.shape, result.dtype)
                    values.append(builder.emit(relax.op.call_dps_packed(symbols[call.conv], operands, out_ty=kind)))
                output = builder.emit_output(builder.emit(relax.op.astype(values[-1], "float32")))
            builder.emit_func_output(output)
        return builder.get()

    def _fill(self, dtype: str) -> None:
        """Random operands; the reference goes along, and says how large the sums of each layer are."""
        torch.manual_seed(0)
        first = self.calls[0].conv
        shape = (first.height, first.width, first.batch, first.channels)
        spread = 40 if dtype == "int8" else 1
        self.given = (torch.randn(shape, device="cuda") * spread).clamp(0, 127).round()
        self.parameters: list[torch.Tensor] = []
        values = [self.given.to(DTYPES[dtype])]
        needed = {index for call in self.calls for index in (call.source, call.residual) if index is not None}
        for number, call in enumerate(self.calls):
            operands = {"data": values[call.source], "weights": random_weights(call.conv)}
            channels = call.conv.out_channels
            if dtype == "int8":
                spread = Example.of(replace(call.conv, out_dtype="int32", epilogue=Epilogue()), operands).expected.std()
                operands["scale"] = (torch.rand(channels, device="cuda") * 0.2 + 0.9) * float(30 / spread)
            operands["bias"] = torch.randn(channels, device="cuda") * (3 if dtype == "int8" else 0.1)
            self.parameters += [operands[role] for role in ("weights", "scale", "bias") if role in operands]
            if call.residual is not None:
                operands["residual"] = values[call.residual]
            values.append(
                _in_float32(call.conv, operands) if dtype == "int8" else Example.of(call.conv, operands).rounded()
            )
            for index in range(len(values) - 1):
                if index not in needed or all(index not in (c.source, c.residual) for c in self.calls[number + 1 :]):
                    values[index] = values[index][:0]
        self.expected = values[-1].float()

    def error(self) -> float:
        """The norm of what is off, of the norm of what should come out."""
        result = torch.from_dlpack(self.run(*self._operands()))
        return float((result - self.expected).norm() / self.expected.norm())

    def seconds(self) -> float:
        operands = self._operands()
        return queued_seconds(lambda: self.run(*operands), busy=2_000_000)

    def _operands(self) -> list[object]:
        return [tvm_ffi.from_dlpack(tensor) for tensor in (self.given, *self.parameters)]


def _in_float32(conv: Conv, operands: dict[str, torch.Tensor]) -> torch.Tensor:
    """An int8 layer with each rounding of the kernel: another one would grow from layer to layer."""
    sums = Example.of(replace(conv, out_dtype="int32", epilogue=Epilogue()), operands).expected.float()
    # Multiplied and added with one rounding.
    value = (sums.double() * operands["scale"].double() + operands["bias"].double()).float()
    if "residual" in operands:
        value = value + operands["residual"].float()
    if conv.epilogue.activation == "relu":
        value = value.clamp(min=0)
    return value.round().clamp(-128, 127).to(torch.int8)


class Bottleneck(torch.nn.Module):
    """A block as PyTorch has it: three convolutions with batch norms, and a shortcut."""

    def __init__(self, channels: int, middle: int, stride: int) -> None:
        super().__init__()
        steps = ((channels, middle, 1, 1), (middle, middle, 3, stride), (middle, 4 * middle, 1, 1))
        self.convs = torch.nn.ModuleList(_normed(*step) for step in steps)
        same = channels == 4 * middle and stride == 1
        self.shortcut = torch.nn.Identity() if same else _normed(channels, 4 * middle, 1, stride)

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        first, second, third = self.convs
        value = third(torch.relu_(second(torch.relu_(first(data)))))
        return torch.relu_(value.add_(self.shortcut(data)))


def _normed(channels: int, out_channels: int, kernel: int, stride: int) -> torch.nn.Sequential:
    conv = torch.nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return torch.nn.Sequential(conv, torch.nn.BatchNorm2d(out_channels))


def rival(batch: int) -> float:
    """The same body in PyTorch: float16, channels last, cuDNN's fastest kernels, one CUDA graph of the eager calls."""
    torch.backends.cudnn.benchmark = True
    blocks, channels = [], 64
    for middle, count, stride in STAGES:
        for block in range(count):
            blocks.append(Bottleneck(channels, middle, stride if block == 0 else 1))
            channels = 4 * middle
    model = torch.nn.Sequential(*blocks).eval().half().cuda().to(memory_format=torch.channels_last)
    data = torch.randn(batch, 64, 56, 56, device="cuda").half().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return seconds(lambda: model(data), calls=1)
