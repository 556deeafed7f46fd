"""A layer's convolution as a module of its own in; built, run, timed and compared with numpy's answer out.

Built as it would be in a deployed module: with its weight known, so that TVM packs it ahead, and with or without a
schedule from a log. That happens in a process of its own, which a faulty schedule may take down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import autotvm, relay
from tvm.contrib import graph_executor
from tvm.contrib.popen_pool import PopenWorker
from tvm.ir import IRModule

from corecast.adapters.relay.survey import enumerate_calls, plain_type
from corecast.model import TensorType
from corecast.verify.tuned import Array, differs, seeded_operand

TIMEOUT = 300.0
SEED = 0

# Four-bit values are handed over in eight bits: numpy has none, and a converted module casts them itself.
_CARRIERS = {"int4": ("int8", -8, 8), "uint4": ("uint8", 0, 16)}


@dataclass(frozen=True)
class Convolution:
    """A convolution as a module of `data` and `kernel` (TVM's JSON), and what numpy needs to know to compute it."""

    module: str
    data: TensorType
    kernel: TensorType
    data_layout: str
    kernel_layout: str
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True)
class Outcome:
    """The median time of a run, and how the answer differs from numpy's, if it does."""

    seconds: float
    wrong: str | None


def convolution(module: IRModule, layer: str) -> Convolution:
    """The convolution that a layer of a module computes, by the layer's id."""
    main = relay.transform.InferType()(module)["main"]
    call = next(call for name, call in enumerate_calls(main) if name == layer)
    types = [plain_type(argument.checked_type) for argument in call.args]
    variables = [
        relay.var(name, shape=argument.checked_type.shape, dtype=_carrier(ty.dtype))
        for name, argument, ty in zip(("data", "kernel"), call.args, types, strict=True)
    ]
    operands = [
        var if var.type_annotation.dtype == ty.dtype else relay.cast(var, ty.dtype)
        for var, ty in zip(variables, types, strict=True)
    ]
    function = relay.Function(variables, relay.Call(call.op, operands, call.attrs))
    attributes = call.attrs
    return Convolution(
        tvm.ir.save_json(relay.transform.InferType()(IRModule.from_expr(function))),
        types[0],
        types[1],
        str(attributes.data_layout),
        str(attributes.kernel_layout),
        _ints(attributes.strides),
        _ints(attributes.padding),
        _ints(attributes.dilation),
        int(attributes.groups),
    )


def _carrier(dtype: str) -> str:
    return _CARRIERS[dtype][0] if dtype in _CARRIERS else dtype


def _ints(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


class Worker:
    """A process that runs convolutions; what it prints goes to the end of a file."""

    def __init__(self, log: Path) -> None:
        self._file = log.open("a", encoding="utf-8")
        self._process = PopenWorker(stdout=self._file, stderr=self._file)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._file.close()

    def run(self, computed: Convolution, target: str, row: str | None) -> Outcome:
        """Build and run a convolution with the schedule in a row of AutoTVM's log, or without one.

        Raises whatever building and running raises there, `ChildProcessError` where the process ended, and
        `TimeoutError`.
        """
        try:
            self._process.send(run, (computed, target, row), timeout=TIMEOUT)
            outcome: Outcome = self._process.recv()
        except Exception:
            # A fault on a GPU outlives the call that met it: the next one starts a process of its own.
            self._process.kill()
            raise
        return outcome


def run(computed: Convolution, target: str, row: str | None) -> Outcome:
    """What the worker does."""
    random = np.random.default_rng(SEED)
    data, kernel = (_operand(random, ty) for ty in (computed.data, computed.kernel))
    chip = tvm.target.Target(target) if target.startswith("llvm") else tvm.target.Target(target, host="llvm")
    records = None if row is None else [autotvm.record.decode(row)]
    with autotvm.apply_history_best(records), tvm.transform.PassContext(opt_level=3):
        library = relay.build(tvm.ir.load_json(computed.module), target=chip, params={"kernel": tvm.nd.array(kernel)})
    device = tvm.device(chip.kind.name, 0)
    runner = graph_executor.GraphModule(library["default"](device))
    runner.set_input("data", tvm.nd.array(data))
    runner.run()
    result = runner.get_output(0).numpy()
    wrong = differs(result, reference(computed, data, kernel).astype(result.dtype))
    timing = runner.benchmark(device, number=1, repeat=5, min_repeat_ms=40)
    return Outcome(float(timing.median), wrong)


def _operand(random: np.random.Generator, ty: TensorType) -> Array:
    shape = tuple(int(size) for size in ty.shape or ())
    if ty.dtype in _CARRIERS:
        carrier, low, high = _CARRIERS[ty.dtype]
        return random.integers(low, high, shape).astype(carrier)
    return seeded_operand(random, shape, ty.dtype)


def reference(computed: Convolution, data: Array, kernel: Array) -> NDArray[Any]:
    """The convolution by numpy in float64, in which sums of products of eight bits are exact.

    Integers are returned as int64, so that a narrower result type wraps around as it does on the device. Raises
    `ValueError` for layouts with packed axes.
    """
    source = _transposed(data, computed.data_layout, "NHWC").astype(np.float64)
    weight = _transposed(kernel, computed.kernel_layout, "HWIO").astype(np.float64)
    top, left, bottom, right = computed.padding
    padded = np.pad(source, ((0, 0), (top, bottom), (left, right), (0, 0)))
    rows, columns, inputs, outputs = weight.shape
    down, across = computed.strides
    height = (padded.shape[1] - computed.dilation[0] * (rows - 1) - 1) // down + 1
    width = (padded.shape[2] - computed.dilation[1] * (columns - 1) - 1) // across + 1
    result = np.zeros((padded.shape[0], height, width, outputs))
    share = outputs // computed.groups
    for row, column, group in np.ndindex(rows, columns, computed.groups):
        y, x = row * computed.dilation[0], column * computed.dilation[1]
        window = padded[:, y : y + (height - 1) * down + 1 : down, x : x + (width - 1) * across + 1 : across]
        ins, outs = slice(group * inputs, (group + 1) * inputs), slice(group * share, (group + 1) * share)
        result[..., outs] += window[..., ins] @ weight[row, column][:, outs]
    whole = data.dtype.kind in "iu"
    return _transposed(result.astype(np.int64) if whole else result, "NHWC", computed.data_layout)


def _transposed(array: NDArray[Any], layout: str, wanted: str) -> NDArray[Any]:
    if sorted(layout) != sorted(wanted):
        raise ValueError(f"numpy is not asked about the layout {layout}")
    turned: NDArray[Any] = array.transpose([layout.index(axis) for axis in wanted])
    return turned
