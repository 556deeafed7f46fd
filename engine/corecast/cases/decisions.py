"""Decisions as text that a person can write, one line for layers that are decided alike; and what a plan has other.

    nn.conv2d#0           keep
    nn.conv2d#1..52       layout HWNC, HWOI; tune tensorcore, 8 trials
    todo: nn.dense#0      untouched

A layer without a line is untouched. A `todo` line says what should be decided one day.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from corecast.cases.result import Finding
from corecast.model import LayerTable
from corecast.plan import Plan, PlannedLayer, compress
from corecast.plan.ids import expand
from corecast.recipe import PROPERTIES, ChangeDType, ChangeLayout, Edit, Keep, Pad, Property, Quantize, Tune

UNTOUCHED = "untouched"

_IDS = r"[^\s,#]+#\d+(?:\.\.\d+)?"
_LINE = re.compile(rf"(?P<todo>todo:\s*)?(?P<layers>{_IDS}(?:, *{_IDS})*)\s+(?P<edits>\S.*)")
_EDIT = re.compile(
    r"layout (?P<data>\w+), (?P<kernel>\w+)"
    r"|dtype (?P<dtype>\w+) -> (?P<accumulator>\w+)"
    r"|quantize (?P<activations>u?int8)(?P<asymmetric> asymmetric)?(?P<per_tensor>, weights per tensor)?"
    r"|tune (?P<tuner>\w+)(?:, (?P<trials>\d+) trials)?"
    r"|pad (?P<axis>channels|batch) to (?P<to>\d+)"
    rf"|keep (?P<property>{'|'.join(PROPERTIES)})"
)

_HOW = (
    "decisions are written `layout HWNC, HWOI`, `dtype int8 -> int32`, `quantize uint8`, `tune tensorcore, 8 trials`, "
    "`pad channels to 32`, `keep layout`, `keep` and `untouched`, with `;` between them"
)

Decided = Mapping[Property, Edit]


class DecisionsError(ValueError):
    """A line that says nothing about layers; `line` counts from zero."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Expected:
    """What a line wants of some layers; `line` is its zero-based place in the text."""

    layers: tuple[str, ...]
    edits: Decided
    line: int
    todo: bool


def parse_decisions(text: str) -> list[Expected]:
    """Read what `format_decisions` prints, and `todo` lines. Raises `DecisionsError`."""
    expected: list[Expected] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise DecisionsError(number, "a line names layers and what is decided: `nn.conv2d#1..5  layout HWNC, HWOI`")
        layers = tuple(expand(re.sub(r",\s*", ", ", match["layers"])))
        for layer in layers:
            if seen.setdefault(layer, number) != number or layers.count(layer) > 1:
                raise DecisionsError(number, f"{layer} has a line already")
        edits = {edit.property: edit for edit in _edits(match["edits"], number)}
        expected.append(Expected(layers, edits, number, match["todo"] is not None))
    return expected


def _edits(text: str, line: int) -> Iterator[Edit]:
    for part in (part.strip() for part in text.split(";")):
        if part == "keep":
            yield from (Keep(property=name) for name in PROPERTIES)
        elif part != UNTOUCHED:
            yield _edit(part, line)


def _edit(text: str, line: int) -> Edit:
    match = _EDIT.fullmatch(text)
    if match is None:
        raise DecisionsError(line, f"`{text}` is no decision; {_HOW}")
    given: dict[str, object] = {name: value for name, value in match.groupdict().items() if value}
    if activations := given.get("activations"):
        given = {
            "activations": activations,
            "symmetric": activations == "int8" and "asymmetric" not in given,
            "weights": "per_tensor" if "per_tensor" in given else "per_channel",
        }
    kinds: tuple[type[Edit], ...] = (ChangeLayout, ChangeDType, Quantize, Tune, Pad, Keep)
    kind = next(kind for kind in kinds if given.keys() <= kind.model_fields.keys())
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise DecisionsError(line, f"`{text}`: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def format_decisions(plan: Plan, before: Iterable[Expected] = ()) -> str:
    """What a plan decides, as a case expects it; what is still to be done of `todo` lines stays."""
    todo = {}
    for item in before:
        layers = [layer for layer in item.layers if _decided(plan.by_id.get(layer)) != item.edits]
        if item.todo and layers:
            todo[f"todo: {compress(layers)}"] = (layers, _text(item.edits))
    spoken_for = {layer for layers, _ in todo.values() for layer in layers}
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for layer in plan.layers:
        if layer.id not in spoken_for:
            groups[_text(_decided(layer))].append(layer.id)
    lines = [(compress(ids), text) for text, ids in groups.items()]
    lines += [(layers, text) for layers, (_, text) in todo.items()]
    width = min(44, max((len(layers) for layers, _ in lines), default=0))
    return "".join(f"{layers:<{width}}  {text}\n" for layers, text in lines)


def _decided(layer: PlannedLayer | None) -> Decided:
    decisions = {name: layer.decision(name) for name in PROPERTIES} if layer else {}
    return {name: decision.edit for name, decision in decisions.items() if decision}


def _text(decided: Decided) -> str:
    parts = [str(edit) for edit in decided.values()]
    if parts == [f"keep {name}" for name in PROPERTIES]:
        return "keep"
    return "; ".join(parts) or UNTOUCHED


def compare(expected: Iterable[Expected], plan: Plan, table: LayerTable, first: int) -> Iterator[Finding]:
    """What a plan decides otherwise than expected; `first` is the line, from one, where the expectations begin."""
    told: set[str] = set()
    for item in expected:
        told.update(item.layers)
        unknown = [layer for layer in item.layers if layer not in table.by_id]
        if unknown:
            text = f"the model has no {compress(unknown)}"
            yield Finding(kind="problem", text=text, line=first + item.line)
        known = [layer for layer in item.layers if layer in table.by_id]
        yield from _compare_line(item, known, plan, first + item.line)
    silent = [layer for layer in plan.layers if layer.id not in told]
    yield from _noisy(((layer.id, {}) for layer in silent), plan, first)


def _compare_line(item: Expected, layers: list[str], plan: Plan, line: int) -> Iterator[Finding]:
    met = [layer for layer in layers if _decided(plan.by_id.get(layer)) == item.edits]
    if item.todo:
        open_ = [layer for layer in layers if layer not in met]
        if met:
            yield Finding(kind="done", text=_text(item.edits), line=line, layers=compress(met))
        if open_:
            yield Finding(kind="todo", text=_text(item.edits), line=line, layers=compress(open_))
        return
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for layer in layers:
        actual = _decided(plan.by_id.get(layer))
        lacking = {name: edit for name, edit in item.edits.items() if actual.get(name) != edit}
        if lacking:
            missing[_text(lacking)].append(layer)
    for text, ids in missing.items():
        yield Finding(kind="missing", text=text, line=line, layers=compress(ids))
    yield from _noisy(((layer, item.edits) for layer in layers), plan, line)


def _noisy(layers: Iterable[tuple[str, Decided]], plan: Plan, line: int) -> Iterator[Finding]:
    """What is decided about layers beyond what is expected of them, with the places that decided it."""
    noisy: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for layer, edits in layers:
        planned = plan.by_id.get(layer)
        beyond: defaultdict[str, dict[Property, Edit]] = defaultdict(dict)
        for name, edit in _decided(planned).items():
            decision = planned.decision(name) if planned else None
            if decision and edits.get(name) != edit:
                beyond[f"{decision.rule}, {decision.place}"][name] = edit
        for because, decided in beyond.items():
            noisy[_text(decided), because].append(layer)
    for (text, because), ids in noisy.items():
        yield Finding(kind="noisy", text=text, line=line, layers=compress(ids), because=because)
