"""A layer table as text that a person can write: one line for each call, read back exactly.

    data: float32 1x3x8x8
    nn.conv2d#0(data, %stem.weight: float32 16x3x3x3) padding=[1, 1, 1, 1] -> float32 1x16x8x8  @Conv_0 follows
    nn.relu#0(nn.conv2d#0) -> float32 1x16x8x8
    return nn.relu#0
    %stem.weight: min=-0.5 max=0.75 mean=0.01 mean_abs=0.2 zeros=0.0 nans=0.0

`%` marks a parameter; `split#0.1` is the second result of `split#0`; `@name` is the node's name in the source model;
`follows` or `original` says what the operator does when its producer's layout changes. The last lines say what is known
of the values of weights, where anything is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields

from corecast.model.layer import Attribute, Behaviour, Call, LayerTable, Operand
from corecast.model.tensor import TensorType
from corecast.model.weights import WeightSummary

_CALL = re.compile(r"^(?P<id>\S+?#\d+)\((?P<operands>.*?)\)(?P<attributes>.*?) -> (?P<rest>.*)$")
_RESULT = re.compile(r"^(?P<id>\S+#\d+)(?:\.(?P<result>\d+))?$")
_ATTRIBUTE = re.compile(r"(\w+)=(\[[^\]]*\]|\"(?:[^\"\\]|\\.)*\"|\S+)")
_TAIL = re.compile(r"\s+(?:@(?P<source>\S+)|(?P<behaviour>follows|original|unknown))$")


def format_table(table: LayerTable) -> str:
    """Print a table; `parse_table` reads it back."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: LayerTable) -> Iterator[str]:
    for name, tensor in table.arguments.items():
        yield f"{name}: {tensor}"
    for layer in table.layers:
        operands = ", ".join(_operand(operand, table) for operand in layer.operands)
        attributes = "".join(f" {key}={json.dumps(value)}" for key, value in layer.attributes.items())
        results = ", ".join(map(str, layer.results))
        source = f" @{layer.source}" if layer.source else ""
        behaviour = "" if layer.behaviour == "unknown" else f" {layer.behaviour}"
        yield f"{layer.id}({operands}){attributes} -> {results}{source}{behaviour}"
    yield "return " + ", ".join(_operand(operand, table) for operand in table.returns)
    for name, summary in table.weights.items():
        yield f"%{name}: " + " ".join(f"{key}={json.dumps(value)}" for key, value in asdict(summary).items())


def _operand(operand: Operand, table: LayerTable) -> str:
    if operand.layer is not None:
        return table.layers[operand.layer].id + (f".{operand.result}" if operand.result else "")
    if operand.parameter is not None:
        return f"%{operand.parameter}: {operand.type}"
    return operand.argument or str(operand.type)


def parse_table(text: str, *, model: str = "model", ir: str = "text") -> LayerTable:
    """Read what `format_table` prints. Raises `TableError` with the line that it cannot read.

    `split#0` is the first result of a layer, `split#0.1` its second.
    """
    reader = _Reader()
    for number, line in enumerate(text.split("\n")):
        reader.read(line.strip(), number + 1)
    return LayerTable.of(
        reader.calls,
        model=model,
        ir=ir,
        arguments=reader.arguments,
        returns=reader.returns,
        weights=reader.weights,
    )


class TableError(ValueError):
    """A line of a layer table that says nothing; `line` counts from one."""

    def __init__(self, line: int, message: str):
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


class _Reader:
    """Reads a table line by line, and knows what the lines before have named."""

    def __init__(self) -> None:
        self.arguments: dict[str, TensorType] = {}
        self.calls: list[Call] = []
        self.returns: tuple[Operand, ...] = ()
        self.weights: dict[str, WeightSummary] = {}
        self.places: dict[str, int] = {}
        self.seen: Counter[str] = Counter()

    def read(self, line: str, number: int) -> None:
        try:
            self._read(line)
        except ValueError as error:
            raise TableError(number, str(error)) from error

    def _read(self, line: str) -> None:
        if match := _CALL.match(line):
            self._call(match)
        elif line.startswith("return "):
            self.returns = tuple(map(self._operand, line.removeprefix("return ").split(", ")))
        elif line.startswith("%") and ": " in line:
            name, _, values = line[1:].rpartition(": ")
            self.weights[name] = _summary(values)
        elif ": " in line:
            name, _, tensor = line.partition(": ")
            self.arguments[name] = _tensor(tensor)
        elif line:
            raise ValueError(f"cannot read {line!r}")

    def _call(self, match: re.Match[str]) -> None:
        op, _, ordinal = match["id"].rpartition("#")
        if int(ordinal) != self.seen[op]:
            raise ValueError(f"{match['id']} should be {op}#{self.seen[op]}")
        rest, source, behaviour = _tail(match["rest"])
        self.calls.append(
            Call(
                op=op,
                operands=tuple(self._operand(part) for part in match["operands"].split(", ") if part),
                attributes=_attributes(match["attributes"]),
                results=tuple(_tensor(part) for part in rest.split(", ") if part),
                source=source,
                behaviour=behaviour,
            )
        )
        self.seen[op] += 1
        self.places[match["id"]] = len(self.calls) - 1

    def _operand(self, text: str) -> Operand:
        if text.startswith("%"):
            name, _, tensor = text[1:].partition(": ")
            return Operand(type=_tensor(tensor), parameter=name)
        if (match := _RESULT.match(text)) and match["id"] in self.places:
            layer, result = self.places[match["id"]], int(match["result"] or 0)
            results = self.calls[layer].results
            if result >= len(results):
                raise ValueError(f"{match['id']} has {len(results)} results, counted from 0")
            return Operand(type=results[result], layer=layer, result=result)
        if text in self.arguments:
            return Operand(type=self.arguments[text], argument=text)
        if " " not in text:
            raise ValueError(f"nothing above is called `{text}`")
        return Operand(type=_tensor(text))


def _tensor(text: str) -> TensorType:
    tensor = TensorType.parse(text)
    if not tensor.dtype or "" in (tensor.shape or ()):
        raise ValueError(f"`{text}` is no tensor type; write `float32 1x3x224x224`")
    return tensor


_VALUES = tuple(field.name for field in fields(WeightSummary))


def _summary(text: str) -> WeightSummary:
    values = dict(_ATTRIBUTE.findall(text))
    if tuple(values) != _VALUES or _ATTRIBUTE.sub("", text).strip():
        raise ValueError(f"what is known of a weight is written `{' '.join(f'{name}=0.5' for name in _VALUES)}`")
    return WeightSummary(**{name: _number(value) for name, value in values.items()})


def _number(text: str) -> float | None:
    value = _attribute(text)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"`{text}` is no number; where there is none, it says `null`")


def _attributes(text: str) -> dict[str, Attribute]:
    if rest := _ATTRIBUTE.sub("", text).strip():
        raise ValueError(f"`{rest}` is no attribute; write `groups=1 padding=[1, 1]` without blanks around `=`")
    return {key: _attribute(value) for key, value in _ATTRIBUTE.findall(text)}


def _tail(rest: str) -> tuple[str, str | None, Behaviour]:
    source: str | None = None
    behaviour: Behaviour = "unknown"
    while match := _TAIL.search(rest):
        rest = rest[: match.start()]
        source = match["source"] or source
        if match["behaviour"] == "follows":
            behaviour = "follows"
        elif match["behaviour"] == "original":
            behaviour = "original"
    return rest.strip(), source, behaviour


def _attribute(text: str) -> Attribute:
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError(
            f"`{text}` is no value; a text stands in quotes, `true` and `null` are written small"
        ) from None
    return tuple(value) if isinstance(value, list) else value
