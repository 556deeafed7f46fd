"""The layer table: one row for each call of a model, as plain data that `resolve` and `plan` see instead of an IR.

An adapter states the calls of a module in binding order (`Call`); `LayerTable.of` numbers and measures them. There may
be a hundred thousand of them, so they are plain dataclasses: only what comes as JSON is validated, by `LayerTable`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, PrivateAttr

from corecast.model.files import FormatVersion
from corecast.model.operators import WEIGHTED, Operator
from corecast.model.record import Record
from corecast.model.tensor import TensorType
from corecast.model.weights import WeightSummary

Summarise = Callable[[str], WeightSummary | None]

Attribute = None | bool | int | float | str | tuple[int | float | str, ...]

# How an operator behaves when its producer's layout changes: it follows, it forces the original layout (a pair of
# transposes stands around it), or nobody knows.
Behaviour = Literal["follows", "original", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """One tensor that a call takes: the result of another layer, a parameter, or an argument of the model.

    `result` says which one it is where that layer has several.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    type: TensorType
    layer: int | None = None
    parameter: str | None = None
    argument: str | None = None
    result: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The operator of an IR that types its operators: what it is called there, and the dtypes that it computes in.

    Its operands and its result have one dtype; what it sums in, it does not say. There are no `dtypes` where the IR
    does not say which ones it takes. `quantizes` says whether it may stand between integers with scales by channel.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    op: str
    dtypes: tuple[str, ...] = ()
    quantizes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an adapter says of one call; everything else about a layer follows from the calls together.

    `signature` is there where the IR can state a call in some dtypes only, and in its own layout only.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    op: str
    operands: tuple[Operand, ...] = ()
    results: tuple[TensorType, ...] = ()
    attributes: dict[str, Attribute] = field(default_factory=dict)
    source: str | None = None
    behaviour: Behaviour = "unknown"
    signature: Signature | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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
        for operand in self.operands:
            if operand.parameter:
                return operand.parameter
        return None

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


@dataclass(frozen=True)
class _Values:
    """What looks at the values of weights; tables that say the same are equal, whether they can look or not."""

    look: Summarise | None = field(default=None, compare=False)


class LayerTable(Record):
    """All layers of one function, its arguments, and the operands that it returns.

    Reads back from its JSON (`model_dump_json`, `model_validate_json`). `fingerprint` covers graph, attributes, shapes,
    dtypes and names, not the values of the weights.

    What is known of those is asked for by `weight`: the table of a model at hand looks at them then, one without a
    model has them in `weights`, or does not know.
    """

    version: FormatVersion = 1
    model: str
    ir: str
    arguments: dict[str, TensorType]
    layers: tuple[Layer, ...]
    returns: tuple[Operand, ...]
    weights: dict[str, WeightSummary] = Field(default_factory=dict)

    _values: _Values = PrivateAttr(default=_Values())

    @classmethod
    def of(
        cls,
        calls: Sequence[Call],
        *,
        model: str,
        ir: str,
        arguments: Mapping[str, TensorType],
        returns: Sequence[Operand],
        weights: Mapping[str, WeightSummary] | None = None,
    ) -> LayerTable:
        """Number, connect and measure the calls of a module, which stand in binding order."""
        consumers = _consumers(calls)
        rows = zip(calls, consumers, _depths(calls, consumers), _hashes(calls, consumers), strict=True)
        seen: Counter[str] = Counter()
        layers = []
        for index, (call, readers, depth, hash) in enumerate(rows):
            layers.append(
                Layer(
                    op=call.op,
                    operands=call.operands,
                    results=call.results,
                    attributes=call.attributes,
                    source=call.source,
                    behaviour=call.behaviour,
                    signature=call.signature,
                    index=index,
                    ordinal=seen[call.op],
                    depth=depth,
                    hash=hash,
                    consumers=tuple(readers),
                )
            )
            seen[call.op] += 1
        return cls.model_construct(
            version=1,
            model=model,
            ir=ir,
            arguments=dict(arguments),
            layers=tuple(layers),
            returns=tuple(returns),
            weights=dict(weights or {}),
        )

    def weight(self, name: str) -> WeightSummary | None:
        """What is known of the values of a parameter, looked at once; None where nobody knows them."""
        if name in self.weights:
            return self.weights[name]
        return self._values.look(name) if self._values.look else None

    def looking(self, summarise: Summarise) -> LayerTable:
        """The same table, which looks at the values of a weight when somebody asks."""
        table = self.model_copy()
        table._values = _Values(cache(summarise))
        return table

    def with_weights(self) -> LayerTable:
        """The same table, which says in `weights` what is to be known of every parameter."""
        names = dict.fromkeys(name for layer in self.layers for name in layer.parameters)
        found = {name: summary for name in names if (summary := self.weight(name))}
        return self.model_copy(update={"weights": found})

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """For each layer the first one of the same structural hash: what tells equal layers from others."""
        first: dict[str, int] = {}
        return tuple([first.setdefault(layer.hash, layer.index) for layer in self.layers])

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
        """A digest of everything but weight values; equal for equal models wherever they were loaded from.

        Signatures stay out of it: how many dtypes an operator takes is a matter of the installed library.
        """
        content = self.model_dump_json(
            include={"ir", "arguments", "layers", "returns"}, exclude={"layers": {"__all__": {"signature"}}}
        )
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    def find(self, text: str) -> Layer | None:
        """The layer that a person means: an id, a parameter's name, or the source model's node name."""
        if text in self.by_id:
            return self.by_id[text]
        return next((layer for layer in self.layers if text == layer.source or text in layer.parameters), None)


def _consumers(calls: Sequence[Call]) -> list[list[int]]:
    consumers: list[list[int]] = [[] for _ in calls]
    for index, call in enumerate(calls):
        for producer in dict.fromkeys([operand.layer for operand in call.operands]):
            if producer is not None:
                consumers[producer].append(index)
    return consumers


def _depths(calls: Sequence[Call], consumers: Sequence[Sequence[int]]) -> list[int]:
    """For each call, how many calls of its own operator follow it on the longest path.

    One sweep from the end for all operators: `longest` holds a count for each of them. Most layers have one reader and
    share its counts but for their own operator's.
    """
    places = {op: place for place, op in enumerate(dict.fromkeys(call.op for call in calls))}
    none = (0,) * len(places)
    longest: list[tuple[int, ...]] = [none] * len(calls)
    depths = [0] * len(calls)
    for index in range(len(calls) - 1, -1, -1):
        after = [longest[consumer] for consumer in consumers[index]]
        counts = after[0] if len(after) == 1 else tuple(map(max, *after)) if after else none
        place = places[calls[index].op]
        depths[index] = counts[place]
        longest[index] = (*counts[:place], counts[place] + 1, *counts[place + 1 :])
    return depths


def _hashes(calls: Sequence[Call], consumers: Sequence[Iterable[int]]) -> list[str]:
    """Sixteen characters that tell a layer from one of other attributes, types or neighbours; names play no part."""
    ops = [call.op for call in calls]
    text = cache(str)  # a model has many tensors and few types
    hashes = []
    for call, readers in zip(calls, consumers, strict=True):
        neighbours = [
            "parameter" if operand.parameter else "argument" if operand.layer is None else ops[operand.layer]
            for operand in call.operands
        ]
        parts = [
            call.op,
            *([call.signature.op] if call.signature else []),
            *[f"{key}={call.attributes[key]}" for key in sorted(call.attributes)],
            *[text(operand.type) for operand in call.operands],
            *map(text, call.results),
            *neighbours,
            *sorted([ops[reader] for reader in readers]),
        ]
        hashes.append(hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16])
    return hashes
