"""A model in; the same function out with every run of per-channel scales and shifts as one multiply and one add.

    conv2d -> add(bias) -> batch_norm    becomes    conv2d (scaled weight) -> add
    relu -> batch_norm -> multiply -> add    becomes    relu -> multiply -> add

A scale goes into the convolution or the matmul before it where nothing else reads that result or its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax
from tvm.ir import Call, TupleGetItem, Var
from tvm_ffi import structural_equal

from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.rebuild import Line, Rebuild
from corecast.adapters.relax.tensors import constant_array, dtype_of, numpy_dtype, static_shape

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One binding that computes `data * scale + shift` with a factor and a term for each place of one axis.

    `scaled_by` and `shifted_by` are the parameters that the two came from; `name` is the source node's.
    """

    data: Var
    axis: int
    name: str
    scale: Vector | None = None
    shift: Vector | None = None
    scaled_by: Var | None = None
    shifted_by: Var | None = None


@dataclass(frozen=True)
class Weighted:
    """The result of a call whose weight can take up a scale, and the axis of the weight that makes its channels."""

    result: Var
    weight: Var
    outputs: int


@dataclass(frozen=True)
class Run:
    """Steps that follow each other and that nobody else reads, and the call that takes up their scale, if one can."""

    steps: Sequence[Step]
    root: Weighted | None

    @property
    def scale(self) -> Vector | None:
        """The product of all factors."""
        factors = [step.scale for step in self.steps if step.scale is not None]
        return np.prod(factors, axis=0) if factors else None

    @property
    def shift(self) -> Vector | None:
        """What the terms add up to, each scaled by the factors after it."""
        total: Vector | None = None
        for step in self.steps:
            if total is not None and step.scale is not None:
                total = total * step.scale
            if step.shift is not None:
                total = step.shift if total is None else total + step.shift
        return total

    @property
    def is_settled(self) -> bool:
        """Whether it stands already as it would be written: at most one multiply, then at most one add."""
        kinds = ["*" * (step.scale is not None) + "+" * (step.shift is not None) for step in self.steps]
        return kinds in (["*"], ["+"], ["*", "+"]) and (self.root is None or "*" not in kinds)


def absorb(model: Model) -> Model:
    """Rewrite every run of scales and shifts that is not settled."""
    rebuild = Rebuild(model)
    runs = {var: run for var, run in _runs(rebuild).items() if not run.is_settled}
    inner = {step.data for run in runs.values() for step in run.steps[1:]}
    roots = {run.root.result: run for run in runs.values() if run.root is not None and run.scale is not None}
    for line in rebuild.lines:
        if line.var in roots:
            _scale_weight(rebuild, roots[line.var])
        if line.var in runs:
            rebuild.replace(line.var, _written(rebuild, runs[line.var]))
        elif line.var not in inner:
            rebuild.keep(line)
    return rebuild.finish()


def _scale_weight(rebuild: Rebuild, run: Run) -> None:
    """From here on, the root's weight is the scaled one."""
    root, scale = run.root, run.scale
    if root is None or scale is None:
        return
    weight = rebuild.arrays[root.weight]
    scaled = _along(scale, root.outputs, weight.ndim) * weight
    rebuild.replace(root.weight, rebuild.parameter(scaled.astype(weight.dtype), root.weight.name, takes_name=True))


def _written(rebuild: Rebuild, run: Run) -> Any:
    """The result of a run: its root, scaled and shifted by what is left to do."""
    first, last = run.steps[0], run.steps[-1]
    result = rebuild.new(first.data)
    left = [(relax.op.multiply, run.scale, "scaled_by")] if run.root is None and run.scale is not None else []
    if run.shift is not None:
        left.append((relax.op.add, run.shift, "shifted_by"))
    for place, (combine, vector, source) in enumerate(left):
        name = last.name if place == len(left) - 1 else rebuild.fresh(last.name)
        result = rebuild.emit(combine(result, _operand(rebuild, run, vector, source)), name)
    return result


def _operand(rebuild: Rebuild, run: Run, vector: Vector, source: str) -> Var:
    """The parameter for a run's scale or shift; it goes by the name of the last one that it was made of."""
    data = run.steps[0].data
    sources = [var for var in (getattr(step, source) for step in run.steps) if var is not None]
    array = _along(vector, run.steps[0].axis, data.ty.ndim).astype(numpy_dtype(dtype_of(data.ty) or ""))
    if not sources:
        return rebuild.parameter(array, f"{run.steps[-1].name}.{'scale' if source == 'scaled_by' else 'shift'}")
    return rebuild.parameter(array, sources[-1].name, takes_name=rebuild.uses[sources[-1]] == 1)


def _along(vector: Vector, axis: int, rank: int) -> Vector:
    """A vector as a tensor of a rank with its elements along one axis."""
    return vector.reshape([-1 if place == axis else 1 for place in range(rank)])


def _runs(rebuild: Rebuild) -> dict[Var, Run]:
    """All runs by the variable of their last step."""
    steps: dict[Var, list[Step]] = {}
    producers: dict[Var, Line] = {}
    for line in rebuild.lines:
        producers[line.var] = line
        step = _step(rebuild, line, producers)
        if step is not None:
            before = steps.get(step.data)
            goes_on = before is not None and before[0].axis == step.axis and rebuild.uses[step.data] == 1
            steps[line.var] = chain = steps.pop(step.data) if goes_on else []
            chain.append(step)
    return {var: Run(chain, _root(rebuild, chain[0], producers)) for var, chain in steps.items()}


def _root(rebuild: Rebuild, first: Step, producers: dict[Var, Line]) -> Weighted | None:
    """The convolution or matmul before a run, if it can take up the run's scale."""
    line = producers.get(first.data)
    if line is None or rebuild.uses[first.data] != 1 or not isinstance(line.value, Call):
        return None
    find = _CHANNELS.get(getattr(line.value.op, "name", ""))
    if find is None:
        return None
    weight = line.value.args[1]
    if weight not in rebuild.arrays or rebuild.uses[weight] != 1 or not _is_float(dtype_of(weight.ty)):
        return None
    channels, outputs = find(line.value)
    return Weighted(line.var, weight, outputs) if channels == first.axis and outputs is not None else None


def _is_float(dtype: str | None) -> bool:
    return dtype in {"float16", "bfloat16", "float32", "float64"}


def _conv_channels(call: Call) -> tuple[int | None, int | None]:
    layout = call.attrs.out_layout or call.attrs.data_layout
    return _place("C", layout), _place("O", call.attrs.kernel_layout)


def _transposed_conv_channels(call: Call) -> tuple[int | None, int | None]:
    # The weight of a grouped one holds the outputs of a single group.
    return _conv_channels(call) if int(call.attrs.groups) == 1 else (None, None)


def _matmul_channels(call: Call) -> tuple[int | None, int | None]:
    data, weight = call.args[0].ty.ndim, call.args[1].ty.ndim
    return (data - 1, 1) if data > 1 and weight == 2 else (None, None)


def _place(axis: str, layout: str) -> int | None:
    return layout.index(axis) if layout.isalpha() and axis in layout else None


# Where the channels of the result and those of the weight are.
_CHANNELS: dict[str, Callable[[Call], tuple[int | None, int | None]]] = {
    "relax.nn.conv1d": _conv_channels,
    "relax.nn.conv2d": _conv_channels,
    "relax.nn.conv3d": _conv_channels,
    "relax.nn.conv1d_transpose": _transposed_conv_channels,
    "relax.nn.conv2d_transpose": _transposed_conv_channels,
    "relax.nn.conv3d_transpose": _transposed_conv_channels,
    "relax.matmul": _matmul_channels,
}


def _step(rebuild: Rebuild, line: Line, producers: dict[Var, Line]) -> Step | None:
    """A binding as a scale and a shift, if it is one."""
    value = line.value
    if isinstance(value, TupleGetItem):
        return _batch_norm(rebuild, line, producers)
    op = value.op.name if isinstance(value, Call) and hasattr(value.op, "name") else None
    if op not in _ARITHMETIC or not _is_float(dtype_of(line.var.ty)):
        return None
    for data, operand in _orders(value):
        array = _array(rebuild, operand)
        if array is not None and isinstance(data, Var) and data not in rebuild.arrays:
            axis = _channel_axis(array, static_shape(data.ty))
            if axis is None or not structural_equal(data.ty, line.var.ty):
                return None
            source = operand if isinstance(operand, Var) else None
            return _ARITHMETIC[op](data, axis, line.var.name, array.reshape(-1).astype(np.float64), source)
    return None


def _orders(call: Call) -> list[tuple[Any, Any]]:
    left, right = call.args[:]
    return [(left, right), (right, left)] if call.op.name in {"relax.add", "relax.multiply"} else [(left, right)]


def _array(rebuild: Rebuild, expr: Any) -> Array | None:
    return rebuild.arrays.get(expr) if isinstance(expr, Var) else constant_array(expr)


def _channel_axis(array: Array, shape: tuple[int, ...] | None) -> int | None:
    """The one axis of the data that an operand of the same rank runs along, or None."""
    if shape is None or array.ndim != len(shape) or len(shape) < 2:
        return None
    axes = [place for place, size in enumerate(array.shape) if size != 1] or [1]
    return axes[0] if len(axes) == 1 and array.shape[axes[0]] == shape[axes[0]] else None


_ARITHMETIC: dict[str, Callable[[Var, int, str, Vector, Var | None], Step]] = {
    "relax.add": lambda data, axis, name, vector, source: Step(data, axis, name, shift=vector, shifted_by=source),
    "relax.subtract": lambda data, axis, name, vector, source: Step(data, axis, name, shift=-vector, shifted_by=source),
    "relax.multiply": lambda data, axis, name, vector, source: Step(data, axis, name, scale=vector, scaled_by=source),
    "relax.divide": lambda data, axis, name, vector, source: Step(data, axis, name, scale=1 / vector, scaled_by=source),
}


def _batch_norm(rebuild: Rebuild, line: Line, producers: dict[Var, Line]) -> Step | None:
    """`batch_norm(data, gamma, beta, mean, variance)[0]` at inference, with all four known."""
    item = line.value
    norm = producers.get(item.tuple_value) if isinstance(item.tuple_value, Var) else None
    if norm is None or item.index != 0 or rebuild.uses[norm.var] != 1:
        return None
    call = norm.value
    if not isinstance(call, Call) or getattr(call.op, "name", None) != "relax.nn.batch_norm" or call.attrs.training:
        return None
    if not isinstance(call.args[0], Var) or call.args[0] in rebuild.arrays:
        return None
    gamma, beta, mean, variance = (_array(rebuild, argument) for argument in call.args[1:])
    if gamma is None or beta is None or mean is None or variance is None:
        return None
    scale = 1 / np.sqrt(variance.astype(np.float64) + float(call.attrs.epsilon))
    scale = scale * gamma if call.attrs.scale else scale
    shift = -mean * scale + (beta if call.attrs.center else 0)
    data = call.args[0]
    axis = int(call.attrs.axis) % data.ty.ndim
    # The axis of a single factor is whichever a multiply by it would be taken to have.
    axis = _channel_axis(_along(scale, axis, data.ty.ndim), static_shape(data.ty)) or axis
    sources = [argument if isinstance(argument, Var) else None for argument in call.args[1:3]]
    return Step(data, axis, norm.var.name, scale, shift, *sources)
