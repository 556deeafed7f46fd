"""The layer table: one row for each call of a model, as plain data that `resolve` and `plan` see instead of an IR.

An adapter states the calls of a module in binding order (`Call`); `LayerTable.of` numbers and measures them.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from corecast.model.operators import WEIGHTED, Operator
from corecast.model.tensor import TensorType

Attribute = None | bool | int | float | str | tuple[int | float | str, ...]

# How an operator behaves when its producer's layout changes: it follows, it forces the original layout (a pair of
# transposes stands around it), or nobody knows.
Behaviour = Literal["follows", "original", "unknown"]


class Operand(BaseModel):
    """One tensor that a call takes: the result of another layer, a parameter, or an argument of the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: TensorType
    layer: int | None = None
    parameter: str | None = None
    argument: str | None = None


class Call(BaseModel):
    """What an adapter says of one call; everything else about a layer follows from the calls together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    op: str
    operands: tuple[Operand, ...] = ()
    results: tuple[TensorType, ...] = ()
    attributes: dict[str, Attribute] = Field(default_factory=dict)
    source: str | None = None
    behaviour: Behaviour = "unknown"


class Layer(Call):
    """A call with its place in the model.

    `ordinal` is the zero-based place among all calls of `op` in binding order; `depth` the number of such calls after
    this one on the longest path to the output; `hash` a short digest of operator, attributes, types and neighbours;
    `consumers` the indices of the layers that read its results.
    """

    index: int
    ordinal: int
    depth: int
    hash: str
    consumers: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """`nn.conv2d#7`: how plans, messages and command lines name a layer."""
        return f"{self.op}#{self.ordinal}"

    @property
    def name(self) -> str | None:
        """The anchor: the name of its first parameter (a convolution's weight), or None."""
        return next((operand.parameter for operand in self.operands if operand.parameter), None)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(operand.parameter for operand in self.operands if operand.parameter)

    @property
    def producers(self) -> tuple[int, ...]:
        """The indices of the layers whose results it reads, in the order of its operands."""
        return tuple(operand.layer for operand in self.operands if operand.layer is not None)

    @property
    def operator(self) -> Operator | None:
        """What the operator means where it has a weight: a convolution or a dense layer."""
        return WEIGHTED.get(self.op) if len(self.operands) > 1 else None

    @property
    def data_layout(self) -> str | None:
        """`NCHW`, or None for an operator that carries no layout."""
        return self._layout("data_attribute", "data")

    @property
    def kernel_layout(self) -> str | None:
        return self._layout("kernel_attribute", "kernel")

    def _layout(self, attribute: str, default: str) -> str | None:
        if not self.operator:
            return None
        key = getattr(self.operator, attribute)
        return str(self.attributes[key]) if key in self.attributes else getattr(self.operator, default)

    def size(self, axis: str) -> int | str | None:
        """The size along an axis letter: N and C, D, H, W of the data; O, I and KD, KH, KW of the kernel."""
        operator = self.operator
        if not operator:
            return None
        if axis == "N" or axis == "C" or axis in "DHW":
            return _along(self.data_layout, self.operands[0].type, axis)
        return _along(self.kernel_layout, self.operands[1].type, axis.removeprefix("K"))

    @property
    def groups(self) -> int:
        value = self.attributes.get("groups", 1)
        return value if isinstance(value, int) else 1

    @property
    def flops(self) -> int | None:
        """Floating point (or integer) operations: two for each multiply-add; one for each element elsewhere."""
        elements = self.results[0].elements if self.results else None
        if elements is None:
            return None
        if self.op == "matmul" and len(self.operands) == 2:
            shape = self.operands[0].type.shape
            depth: int | str | None = shape[-1] if shape else None
            return 2 * elements * depth if isinstance(depth, int) else None
        if not self.operator:
            return elements
        kernel = self.operands[1].type
        transposed = self.op.endswith("_transpose")
        outputs = self.operands[0].type.elements if transposed else elements
        channels = self.size("O") if not transposed else self.size("I")
        if outputs is None or kernel.elements is None or not isinstance(channels, int) or channels == 0:
            return None
        # Every element of the kernel meets each place that one of its own channels is computed at.
        return 2 * outputs * (kernel.elements // channels)

    @property
    def bytes(self) -> int | None:
        """Bytes read and written once: operands and results."""
        sizes = [operand.type.bytes for operand in self.operands] + [result.bytes for result in self.results]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def _along(layout: str | None, tensor: TensorType, axis: str) -> int | str | None:
    if not layout or tensor.shape is None:
        return None
    if layout == "NC":  # a dense layer's batch axes are all of its axes but the last
        return tensor.shape[-1] if axis == "C" else tensor.shape[0] if axis == "N" and len(tensor.shape) > 1 else None
    if axis not in layout or len(tensor.shape) != len(layout):
        return None
    return tensor.shape[layout.index(axis)]


class LayerTable(BaseModel):
    """All layers of one function, its arguments, and the operands that it returns.

    Reads back from its JSON (`model_dump_json`, `model_validate_json`). `fingerprint` covers graph, attributes, shapes,
    dtypes and names, not the values of the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    model: str
    ir: str
    arguments: dict[str, TensorType]
    layers: tuple[Layer, ...]
    returns: tuple[Operand, ...]

    @classmethod
    def of(
        cls,
        calls: Sequence[Call],
        *,
        model: str,
        ir: str,
        arguments: Mapping[str, TensorType],
        returns: Sequence[Operand],
    ) -> LayerTable:
        """Number, connect and measure the calls of a module, which stand in binding order."""
        consumers = _consumers(calls)
        depths = _depths(calls, consumers)
        seen: Counter[str] = Counter()
        layers = []
        for index, call in enumerate(calls):
            layers.append(
                Layer.model_construct(
                    # `dict`, not `model_dump`: operands and types are frozen and can be shared.
                    **dict(call),
                    index=index,
                    ordinal=seen[call.op],
                    depth=depths[index],
                    hash=_structural_hash(call, calls, consumers[index]),
                    consumers=tuple(consumers[index]),
                )
            )
            seen[call.op] += 1
        return cls.model_construct(
            version=1, model=model, ir=ir, arguments=dict(arguments), layers=tuple(layers), returns=tuple(returns)
        )

    @cached_property
    def by_op(self) -> dict[str, tuple[Layer, ...]]:
        """The layers of each operator, by ordinal."""
        groups: defaultdict[str, list[Layer]] = defaultdict(list)
        for layer in self.layers:
            groups[layer.op].append(layer)
        return {op: tuple(layers) for op, layers in groups.items()}

    @cached_property
    def by_id(self) -> dict[str, Layer]:
        return {layer.id: layer for layer in self.layers}

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything but weight values; equal for equal models wherever they were loaded from."""
        content = self.model_dump_json(include={"ir", "arguments", "layers", "returns"})
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    def find(self, text: str) -> Layer | None:
        """The layer that a person means: an id, a parameter's name, or the source model's node name."""
        if text in self.by_id:
            return self.by_id[text]
        return next((layer for layer in self.layers if text == layer.source or text in layer.parameters), None)


def _consumers(calls: Sequence[Call]) -> list[list[int]]:
    consumers: list[list[int]] = [[] for _ in calls]
    for index, call in enumerate(calls):
        for producer in dict.fromkeys(operand.layer for operand in call.operands):
            if producer is not None:
                consumers[producer].append(index)
    return consumers


def _depths(calls: Sequence[Call], consumers: Sequence[Iterable[int]]) -> list[int]:
    """For each call, how many calls of its own operator follow it on the longest path; one sweep for each operator."""
    depths = [0] * len(calls)
    for op in dict.fromkeys(call.op for call in calls):
        longest = [0] * len(calls)
        for index in range(len(calls) - 1, -1, -1):
            after = max((longest[consumer] for consumer in consumers[index]), default=0)
            if calls[index].op == op:
                depths[index] = after
                after += 1
            longest[index] = after
    return depths


def _structural_hash(call: Call, calls: Sequence[Call], consumers: Iterable[int]) -> str:
    """Sixteen characters that tell a layer from one of other attributes, types or neighbours; names play no part."""
    neighbours = [
        "parameter" if operand.parameter else "argument" if operand.layer is None else calls[operand.layer].op
        for operand in call.operands
    ]
    parts = [
        call.op,
        *(f"{key}={call.attributes[key]}" for key in sorted(call.attributes)),
        *(str(operand.type) for operand in call.operands),
        *(str(result) for result in call.results),
        *neighbours,
        *sorted(calls[consumer].op for consumer in consumers),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
