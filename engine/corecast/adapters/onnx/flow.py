"""A model and dtype decisions in; the dtype that each of its values is made in, and those that it is read in, out.

Nothing is changed here. A layer that no decision names reads and makes what the model gave it. What a cast of the
model's own makes without loss is read from before that cast, wherever another dtype is wanted than the one it gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from onnx import NodeProto

from corecast.adapters.onnx.load import reads
from corecast.adapters.onnx.model import Model, domain_of
from corecast.adapters.onnx.survey import Values
from corecast.model import is_lossless


class Reading(NamedTuple):
    """A value as somebody reads it."""

    value: str
    dtype: str


class Flow:
    """The dtypes of a graph's values once its planned nodes compute in theirs."""

    def __init__(self, model: Model, planned: Mapping[str, str]) -> None:
        self.values = Values(model)
        self._planned = planned
        self._made: dict[str, str] = {}
        self._read: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._casts: dict[str, str] = {}  # from the result of each cast of the model's own to what it casts
        for node in model.proto.graph.node:
            if node.op_type == "Cast" and not domain_of(node.domain) and node.output[0] not in self.values.weights:
                self._casts[node.output[0]] = node.input[0]
            if node.name in planned:
                made = (name for name in node.output if name and "float" in self.given(name))
                self._made.update(dict.fromkeys(made, planned[node.name]))
        for name in model.outputs:
            self._read[name][self.given(name)] = None
        for node in reversed(model.proto.graph.node):
            for readings in self.inputs(node).values():
                for value, dtype in readings:
                    self._read[value][dtype] = None

    def given(self, name: str) -> str:
        """The dtype that the model gave a value."""
        return self.values.type_of(name).dtype

    def made(self, name: str) -> str:
        """The dtype that a value is made in."""
        return self._made.get(name, self.given(name))

    def read(self, name: str) -> list[str]:
        """The dtypes that a value is read in, the last reader's first; none where nobody reads it."""
        return list(self._read.get(name, ()))

    def dtypes(self, name: str) -> list[str]:
        """All dtypes that a value is there in; a weight and an alias are made as they are read."""
        if name in self.values.aliases:
            return self.read(name)
        if name in self.values.weights:
            return self.read(name) or [self.given(name)]
        return list(dict.fromkeys([self.made(name), *self.read(name)]))

    def inputs(self, node: NodeProto) -> dict[str, list[Reading]]:
        """What a node reads for each of its inputs: for an alias, once for each dtype that it is read in."""
        result = node.output[0]
        if not self.stays(node):
            return {}
        if result in self._casts:
            return {node.input[0]: [self._start(node.input[0])]}
        as_given = {name: [Reading(name, self.given(name))] for name in reads(node)}
        if result in self.values.aliases:
            return {**as_given, node.input[0]: [self._reading(node.input[0], dtype) for dtype in self.dtypes(result)]}
        if node.name not in self._planned:
            return as_given
        cast = (name for name, _ in self.values.floats(node))
        return {**as_given, **{name: [self._reading(name, self._planned[node.name])] for name in cast}}

    def _reading(self, name: str, dtype: str) -> Reading:
        return Reading(name if dtype == self.given(name) else self._start(name).value, dtype)

    def _start(self, name: str) -> Reading:
        """What a value is cast from: itself as it is made, or what a cast of the model's own has made it of."""
        origin = self.values.origin(name)
        if origin in self._casts:
            start = self._start(self._casts[origin])
            if is_lossless(start.dtype, self.given(origin)):
                return start
        return Reading(name, self.made(origin))

    def stays(self, node: NodeProto) -> bool:
        """Whether a node is there afterwards: one that makes a weight only where that is read as it was, and one that
        hands on a value or casts it only where somebody reads it.
        """
        result = node.output[0]
        if result in self.values.aliases or (result in self._casts and result in self.values.read):
            return bool(self.read(result))
        return result not in self.values.weights or self.given(result) in self.dtypes(result)

    def unread(self, weight: str) -> bool:
        """Whether an initializer that somebody read is now read by nobody."""
        return weight in self.values.read and not self.read(weight)
