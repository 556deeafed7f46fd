"""A converted Relay module in, AutoTVM's tasks out, among them the original's HWNC tensor-core template.

Extraction needs no GPU. A convolution that has no schedule makes AutoTVM print an error in a thread and hand on a
shorter list; here it is an error that names the layers and what each lacks.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import autotvm, relay
from tvm.ir import IRModule

from corecast.adapters.origin import SKIPPABLE
from corecast.adapters.relay.survey import survey
from corecast.adapters.source import last_line
from corecast.lang.problems import CorecastError, Problem
from corecast.model import Layer, TensorType

TEMPLATE = "conv2d_HWNCnc_tensorcore.cuda"
LAYOUT = "HWNC"

# The sizes that the template's tiles of 8x8x32 (four bits) and 8x32x16 (eight bits) divide: N, C and O.
_MULTIPLES = {
    "int4": (8, 32, 8),
    "uint4": (8, 32, 8),
    "int8": (8, 16, 32),
    "uint8": (8, 16, 32),
}
_AXES = ("N", "C", "O")
_WORDS = ("batch", "in_channels", "out_channels")

# Relay pads a convolution for the template where the zeros add at most twice the work that there is.
_WORTH_PADDING = 2

_TOPHUB = "TOPHUB_LOCATION"

# What TVM says, without a GPU, of each `cuda` that its own schedules name without an architecture; ours is not meant.
_NO_GPU = "Unable to detect CUDA version"

_ARCH = re.compile(r"-arch=sm_(\d+)(\w*)")


class TasksError(CorecastError):
    """Layers that asked for the template and that it cannot compute, or a target without it."""


@dataclass(frozen=True)
class TemplateTask:
    """A kernel to tune: its AutoTVM template, what it reads, and the layers that it computes."""

    template: str
    data: TensorType
    kernel: TensorType
    layers: tuple[str, ...]
    task: Any

    @property
    def schedules(self) -> int:
        """How many there are to choose from."""
        return len(self.task.config_space)


def missing(layer: Layer, dtype: str) -> tuple[str, ...]:
    """What a layer lacks for the HWNC template when it computes in `dtype`; nothing where it can be padded."""
    if layer.op != SKIPPABLE:
        return (f"the template is for {SKIPPABLE}",)
    if dtype not in _MULTIPLES:
        return (f"the template computes in {', '.join(_MULTIPLES)}, not in {dtype}",)
    if layer.groups != 1:
        return (f"the template has no groups, and this layer has {layer.groups}",)
    sizes = [layer.size(axis) for axis in _AXES]
    rows = zip(_WORDS, sizes, _MULTIPLES[dtype], strict=True)
    objections = [
        f"{word} {size} is no multiple of {multiple}" for word, size, multiple in rows if not _fits(size, multiple)
    ]
    if not objections or (padding := _against_padding(layer, dtype)) is None:
        return ()
    return (*objections, padding)


def lacks(layer: Layer) -> tuple[str, ...]:
    """What keeps a layer of a converted module from the HWNC template; nothing where the template computes it."""
    if layer.op != SKIPPABLE:
        return missing(layer, "int8")
    dtype = layer.operands[0].type.dtype
    found = []
    if layer.data_layout != LAYOUT:
        found.append(f"its layout is {layer.data_layout}")
    if dtype not in _MULTIPLES:
        found.append(f"it computes in {dtype}")
        dtype = "int8"
    if reasons := missing(layer, dtype):
        found.append(f"in {dtype} {'; '.join(reasons)}")
    return tuple(found)


def _fits(size: int | str | None, multiple: int) -> bool:
    return isinstance(size, int) and size % multiple == 0


def _against_padding(layer: Layer, dtype: str) -> str | None:
    """Why Relay does not pad a layer up to the template's multiples, or None where it does."""
    sizes = [layer.size(axis) for axis in _AXES]
    if not all(isinstance(size, int) for size in sizes):
        return "a dynamic size is never padded"
    if any(step != 1 for step in _pair(layer, "dilation")):
        return "a dilated convolution is never padded"
    extra = _extra_work([int(size) for size in sizes if size is not None], dtype)
    if extra <= _WORTH_PADDING:
        return None
    return f"padding would add {extra:.3g} times the work, and Relay pads up to {_WORTH_PADDING} times"


def _extra_work(sizes: list[int], dtype: str) -> float:
    work = padded = 1
    for size, multiple in zip(sizes, _MULTIPLES[dtype], strict=True):
        work *= size
        padded *= _up(size, multiple)
    return (padded - work) / work


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _pair(layer: Layer, attribute: str) -> tuple[int | float | str, ...]:
    value = layer.attributes.get(attribute)
    return value if isinstance(value, tuple) else ()


def extract(
    module: IRModule, target: str = "cuda -arch=sm_80", parameters: Mapping[str, Any] | None = None
) -> list[TemplateTask]:
    """The tasks of every convolution of a converted module, each kernel once.

    Args:
        module: what `apply` or `convert_layout` and `recast` made.
        target: as TVM writes it; where layers are in HWNC with an `-arch` from `sm_75` on. No GPU is looked for.
        parameters: the weights, for constant folding; the tasks are the same without.

    Raises:
        TasksError: where a layer in HWNC does not fit the template, the target has no tensor cores, or TVM fails.
    """
    layers = survey(module).by_op.get(SKIPPABLE, ())
    if any(layer.data_layout == LAYOUT for layer in layers):
        _check_target(target)
    problems = list(_unfit(layers))
    if problems:
        raise TasksError(problems)
    with _errors_of_threads() as errors, without_network(), _without(_NO_GPU):
        found = autotvm.task.extract_from_program(
            module["main"], target=target, params=dict(parameters or {}), ops=(relay.op.get(SKIPPABLE),)
        )
    if errors:
        message = f"AutoTVM extracts no tasks for `{target}`: {last_line(errors[0])}"
        raise TasksError(Problem("extraction-failed", message))
    return [_task(task, layers) for task in found]


@contextmanager
def without_network() -> Iterator[None]:
    """Keep TVM from looking for tuned schedules on the network, which it does whenever it compiles."""
    before = os.environ.get(_TOPHUB)
    os.environ[_TOPHUB] = "NONE"
    try:
        yield
    finally:
        del os.environ[_TOPHUB]
        if before is not None:
            os.environ[_TOPHUB] = before


@contextmanager
def _without(remark: str) -> Iterator[None]:
    """Leave the lines with a remark out of what TVM's C++ writes to standard error meanwhile."""
    with tempfile.TemporaryFile() as written:
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            written.seek(0)
            os.write(2, b"".join(line for line in written if remark.encode() not in line))


@contextmanager
def _errors_of_threads() -> Iterator[list[BaseException]]:
    """Collect what would be printed: AutoTVM lowers in a thread, and goes on with the tasks that it met before."""
    errors: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda thread: errors.append(thread.exc_value or thread.exc_type())
    try:
        yield errors
    finally:
        threading.excepthook = before


def _check_target(target: str) -> None:
    match = _ARCH.search(target)
    if not match or match[2] or int(match[1]) < 75:
        message = f"`{target}` has no tensor cores that the HWNC template can use"
        help = "name an architecture from sm_75 on, without a letter behind it: `cuda:sm_80`"
        raise TasksError(Problem("no-tensor-cores", message, help=help))


def _unfit(layers: tuple[Layer, ...]) -> Iterator[Problem]:
    for layer in layers:
        reasons = missing(layer, layer.operands[0].type.dtype) if layer.data_layout == LAYOUT else ()
        if reasons:
            message = f"{layer.id} ({layer.name}) is in HWNC, for which there is one schedule: {'; '.join(reasons)}"
            yield Problem("no-schedule", message, help="keep its layout: `skip` it in the rules")


def _task(task: Any, layers: tuple[Layer, ...]) -> TemplateTask:
    data, kernel = (_tensor(argument) for argument in task.args[:2])
    key = (data, kernel, _ints(task.args[2]), _ints(task.args[3]))
    named = tuple(layer.id for layer in layers if _key(layer) == key)
    return TemplateTask(str(task.name), data, kernel, named, task)


def _tensor(argument: Any) -> TensorType:
    _, shape, dtype = argument
    return TensorType(dtype=str(dtype), shape=_ints(shape))


def _ints(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _key(layer: Layer) -> tuple[object, ...]:
    """What a task has of a layer: the tensors as the template will see them, strides and padding."""
    data, kernel = (operand.type for operand in layer.operands[:2])
    if layer.data_layout == LAYOUT:
        batch, channels, outputs = _MULTIPLES[data.dtype]
        data, kernel = _padded(data, batch, channels), _padded(kernel, outputs, channels)
    return data, kernel, _pair(layer, "strides"), _pair(layer, "padding")


def _padded(tensor: TensorType, third: int, fourth: int) -> TensorType:
    """A tensor in HWNC or HWOI with its last two axes made multiples."""
    assert tensor.shape is not None
    *space, third_size, fourth_size = (int(size) for size in tensor.shape)
    return TensorType(dtype=tensor.dtype, shape=(*space, _up(third_size, third), _up(fourth_size, fourth)))
