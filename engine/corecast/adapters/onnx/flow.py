"""A model and dtype decisions in; the dtype that each of its values is made in, and those that it is read in, out.

Nothing is changed here. A layer that no decision names reads and makes what the model gave it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from onnx import NodeProto

from corecast.adapters.onnx.load import reads
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.survey import Values


class Flow:
    """The dtypes of a graph's values once its planned nodes compute in theirs."""

    def __init__(self, model: Model, planned: Mapping[str, str]) -> None:
        self.values = Values(model)
        self._planned = planned
        self._made: dict[str, str] = {}
        self._read: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for node in model.proto.graph.node:
            if node.name in planned:
                made = (name for name in node.output if name and "float" in self.given(name))
                self._made.update(dict.fromkeys(made, planned[node.name]))
        for name in model.outputs:
            self._read[name][self.given(name)] = None
        for node in reversed(model.proto.graph.node):
            for name, dtypes in self.inputs(node).items():
                self._read[name].update(dict.fromkeys(dtypes))

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

    def inputs(self, node: NodeProto) -> dict[str, list[str]]:
        """What a node reads, and in which dtypes: an alias stands once for each that it is read in."""
        result = node.output[0]
        if not self.stays(node):
            return {}
        if result in self.values.aliases:
            others = {name: [self.given(name)] for name in reads(node)}
            return {**others, node.input[0]: self.dtypes(result)}
        cast = {name for name, _ in self.values.floats(node)} if node.name in self._planned else set()
        return {name: [self._planned[node.name] if name in cast else self.given(name)] for name in reads(node)}

    def stays(self, node: NodeProto) -> bool:
        """Whether a node is there afterwards: one that makes a weight only where that is read as it was, and one that
        hands on a value only where somebody reads it.
        """
        result = node.output[0]
        if result in self.values.aliases:
            return bool(self.read(result))
        return result not in self.values.weights or self.given(result) in self.dtypes(result)

    def unread(self, weight: str) -> bool:
        """Whether an initializer that somebody read is now read by nobody."""
        return weight in self.values.read and not self.read(weight)
