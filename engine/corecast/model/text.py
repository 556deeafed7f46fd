"""A layer table as text that a person can write: one line for each call, read back exactly.

    data: float32 1x3x8x8
    nn.conv2d#0(data, %stem.weight: float32 16x3x3x3) padding=[1, 1, 1, 1] -> float32 1x16x8x8  @Conv_0 follows
    nn.relu#0(nn.conv2d#0) -> float32 1x16x8x8
    return nn.relu#0

`%` marks a parameter; `@name` is the node's name in the source model; `follows` or `original` says what the operator
does when its producer's layout changes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

from corecast.model.layer import Attribute, Behaviour, Call, LayerTable, Operand
from corecast.model.tensor import TensorType

_CALL = re.compile(r"^(?P<id>\S+?#\d+)\((?P<operands>.*?)\)(?P<attributes>.*?) -> (?P<rest>.*)$")
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


def _operand(operand: Operand, table: LayerTable) -> str:
    if operand.layer is not None:
        return table.layers[operand.layer].id
    if operand.parameter is not None:
        return f"%{operand.parameter}: {operand.type}"
    return operand.argument or str(operand.type)


def parse_table(text: str, *, model: str = "model", ir: str = "text") -> LayerTable:
    """Read what `format_table` prints. Raises `ValueError` with the line that it cannot read.

    A reference to a layer with several results stands for the first of them.
    """
    arguments: dict[str, TensorType] = {}
    calls: list[Call] = []
    returns: tuple[Operand, ...] = ()
    places: dict[str, int] = {}
    seen: Counter[str] = Counter()

    def operand(text: str) -> Operand:
        if text.startswith("%"):
            name, _, tensor = text[1:].partition(": ")
            return Operand(type=TensorType.parse(tensor), parameter=name)
        if text in places:
            return Operand(type=calls[places[text]].results[0], layer=places[text])
        if text in arguments:
            return Operand(type=arguments[text], argument=text)
        return Operand(type=TensorType.parse(text))

    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line:
            continue
        match = _CALL.match(line)
        if match:
            op, _, ordinal = match["id"].rpartition("#")
            if int(ordinal) != seen[op]:
                raise ValueError(f"line {number}: {match['id']} should be {op}#{seen[op]}")
            operands = tuple(operand(part) for part in match["operands"].split(", ") if part)
            attributes = {key: _attribute(value) for key, value in _ATTRIBUTE.findall(match["attributes"])}
            rest, source, behaviour = _tail(match["rest"])
            results = tuple(TensorType.parse(part) for part in rest.split(", ") if part)
            call = Call(
                op=op, operands=operands, attributes=attributes, results=results, source=source, behaviour=behaviour
            )  # fmt: skip
            places[match["id"]] = len(calls)
            calls.append(call)
            seen[op] += 1
        elif line.startswith("return "):
            returns = tuple(operand(part) for part in line.removeprefix("return ").split(", "))
        elif ": " in line:
            name, _, tensor = line.partition(": ")
            arguments[name] = TensorType.parse(tensor)
        else:
            raise ValueError(f"line {number}: cannot read {line!r}")
    return LayerTable.of(calls, model=model, ir=ir, arguments=arguments, returns=returns)


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
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value
