"""A kernel of the model in, a convolution with its epilogue out, and which argument is what; or why it is not ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from corecast.backends.schedules.hwnc_sm90.kernel import Argument, Role
from corecast.backends.schedules.hwnc_sm90.problem import RESULTS, Conv, Epilogue
from corecast.backends.workloads import Scalar, Step, Workload

# In this order may things be done to a sum; what comes earlier in a model after something later is not ours.
_ORDER = ("shift", "gain", "scale", "bias", "residual", "activation", "rescale", "rounded", "ended", "written")
_INT8 = (-128.0, 127.0)


@dataclass(frozen=True)
class Kernel:
    """A convolution and the arguments of its kernel, in the order of the model's."""

    conv: Conv
    takes: tuple[Argument, ...]


class NotOurs(Exception):  # noqa: N818
    """Why a kernel is not this family's, as a clause."""


def read(workload: Workload) -> Kernel | str:
    """What the kernel computes, or why the family does not take it."""
    try:
        return _Reader(workload).kernel()
    except NotOurs as reason:
        return str(reason)


@dataclass
class _Reader:
    """Goes through the steps of a kernel, and keeps what has been understood so far."""

    workload: Workload
    roles: dict[int, Role] = field(default_factory=dict)
    spec: Epilogue = field(default_factory=Epilogue)
    at: int = -1

    def kernel(self) -> Kernel:
        if not self.workload.steps:
            raise NotOurs("its operators cannot be told")
        first, *others = self.workload.steps
        if first.op != "nn.conv2d":
            raise NotOurs(f"it begins with {first.op}; the family takes nn.conv2d and what follows it")
        conv = self._convolution(first)
        value, dtype = len(self.workload.arguments), first.result.dtype
        for step in others:
            if value not in step.operands:
                raise NotOurs(f"{step.op} reads something else than the value before it")
            handler = _HANDLERS.get(step.op)
            if handler is None:
                raise NotOurs(f"{step.op} follows it, which its epilogue does not have")
            handler(self, step, [operand for operand in step.operands if operand != value])
            value, dtype = value + 1, step.result.dtype
        if dtype == "int8" and self.at < _ORDER.index("rounded"):
            raise NotOurs("its sums are cut to int8 without being rounded")
        conv = replace(conv, out_dtype=dtype, epilogue=self.spec)
        if reason := conv.objection():
            raise NotOurs(reason)
        return Kernel(conv, self._arguments(conv))

    def _convolution(self, step: Step) -> Conv:
        layouts = step.attributes["data_layout"], step.attributes["kernel_layout"], step.attributes["out_layout"]
        if layouts[0] != "HWNC" or layouts[1] != "HWOI" or layouts[2] not in ("HWNC", ""):
            raise NotOurs(f"its layouts are {layouts[0]}, {layouts[1]} and {layouts[2]}, not HWNC, HWOI and HWNC")
        if step.attributes["groups"] != 1:
            raise NotOurs(f"it has {step.attributes['groups']} groups")
        data_at, weights_at = step.operands
        if not isinstance(data_at, int) or not isinstance(weights_at, int):
            raise NotOurs("one of its operands is a number")
        self._has(data_at, "data")
        self._has(weights_at, "weights")
        data, weights = self.workload.value(data_at), self.workload.value(weights_at)
        if data.dtype != weights.dtype:
            raise NotOurs(f"its operands are {data.dtype} and {weights.dtype}")
        height, width, batch, channels = data.shape
        rows, columns, out_channels, _ = weights.shape
        attributes = step.attributes
        top, left, bottom, right = attributes["padding"]
        return Conv(
            batch,
            height,
            width,
            channels,
            out_channels,
            (rows, columns),
            (attributes["strides"][0], attributes["strides"][1]),
            (top, left, bottom, right),
            (attributes["dilation"][0], attributes["dilation"][1]),
            data.dtype,
        )

    def _has(self, argument: int, role: Role) -> None:
        if argument >= len(self.workload.arguments) or argument in self.roles:
            raise NotOurs(f"its {role} is no argument of its own")
        self.roles[argument] = role

    def _next(self, what: str, step: Step) -> None:
        place = _ORDER.index(what)
        if place <= self.at:
            raise NotOurs(f"{step.op} comes after what its epilogue does later")
        self.at = place

    def _arguments(self, conv: Conv) -> tuple[Argument, ...]:
        tensors = self.workload.arguments
        if len(self.roles) != len(tensors):
            raise NotOurs("it does not read one of its arguments")
        takes = [Argument(self.roles[number], tensor.shape, tensor.dtype) for number, tensor in enumerate(tensors)]
        for argument in takes:
            if argument.role == "residual" and argument.dtype != conv.out_dtype:
                raise NotOurs(f"its residual is {argument.dtype} and its result {conv.out_dtype}")
        result = self.workload.steps[-1].result
        return (*takes, Argument("result", result.shape, result.dtype))

    # ── what may follow: each is told the step and its other operands ────────────────────────────────────────────────

    def _add(self, step: Step, others: list[int | Scalar]) -> None:
        tensor = self._tensor(step, others)
        if tensor == step.result.shape and max(tensor[:-1], default=1) > 1:
            self._next("residual", step)
            self._has(_number(others), "residual")
            self.spec = replace(self.spec, residual=True)
        elif step.result.dtype == "int32":
            self._vector("shift", step, others)
            self.spec = replace(self.spec, shift=True)
        else:
            self._vector("bias", step, others)
            self.spec = replace(self.spec, bias=True)

    def _multiply(self, step: Step, others: list[int | Scalar]) -> None:
        if step.result.dtype == "int32":
            raise NotOurs("its sums of integers are multiplied")
        if len(others) == 1 and isinstance(others[0], Scalar):
            factor = float(others[0].value)
            if self.at < _ORDER.index("gain"):
                self._next("gain", step)
                self.spec = replace(self.spec, gain=factor)
            else:
                self._next("rescale", step)
                self.spec = replace(self.spec, rescale=factor)
        else:
            self._vector("scale", step, others)
            self.spec = replace(self.spec, scale=True)

    def _relu(self, step: Step, others: list[int | Scalar]) -> None:  # noqa: ARG002
        if self.spec.activation != "none":
            raise NotOurs("it has two activations")
        if self.at < _ORDER.index("rounded"):  # after rounding it is the same as before
            self._next("activation", step)
        self.spec = replace(self.spec, activation="relu")

    def _gelu(self, step: Step, others: list[int | Scalar]) -> None:  # noqa: ARG002
        self._next("activation", step)
        self.spec = replace(self.spec, activation="gelu")

    def _clip(self, step: Step, others: list[int | Scalar]) -> None:
        bounds = tuple(float(other.value) for other in others if isinstance(other, Scalar))
        if len(bounds) != 2:
            raise NotOurs("its clip has bounds that are no numbers")
        if self.at == _ORDER.index("rounded"):
            if bounds != _INT8:
                raise NotOurs(f"its integers end at {bounds[0]:g} and {bounds[1]:g}")
            self._next("ended", step)
        else:
            self._next("activation", step)
            self.spec = replace(self.spec, activation="clip", clip=(bounds[0], bounds[1]))

    def _round(self, step: Step, others: list[int | Scalar]) -> None:  # noqa: ARG002
        self._next("rounded", step)

    def _astype(self, step: Step, others: list[int | Scalar]) -> None:  # noqa: ARG002
        to = step.result.dtype
        if to == "float32" and self.at <= _ORDER.index("shift"):
            return
        if to not in RESULTS or (to == "int8") != (self.at == _ORDER.index("ended")):
            raise NotOurs(f"its values are cast to {to} in between")
        self._next("written", step)

    def _vector(self, role: Role, step: Step, others: list[int | Scalar]) -> None:
        shape = self._tensor(step, others)
        if shape[-1:] != step.result.shape[-1:] or any(size != 1 for size in shape[:-1]):
            raise NotOurs(f"{step.op} has an operand of the shape {shape}, not one number for each output channel")
        self._next(role, step)
        self._has(_number(others), role)

    def _tensor(self, step: Step, others: list[int | Scalar]) -> tuple[int, ...]:
        if len(others) != 1 or not isinstance(others[0], int):
            raise NotOurs(f"{step.op} has a number where its epilogue reads a tensor")
        return self.workload.value(others[0]).shape


def _number(others: list[int | Scalar]) -> int:
    assert isinstance(others[0], int)
    return others[0]


_HANDLERS: dict[str, Callable[[_Reader, Step, list[int | Scalar]], None]] = {
    "add": _Reader._add,
    "multiply": _Reader._multiply,
    "nn.relu": _Reader._relu,
    "nn.gelu": _Reader._gelu,
    "clip": _Reader._clip,
    "round": _Reader._round,
    "astype": _Reader._astype,
}
