"""An ONNX file and a plan for it in, the same file with the plan written on its nodes out: for viewers of graphs.

Each node has in its metadata what was decided about its layer and what was not, with the rule: what `corecast plan`
prints, at the place in the graph where it holds. Viewers such as Netron show a node's metadata when it is clicked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx
from onnx import NodeProto

from corecast.adapters.faults import of_its_file
from corecast.adapters.onnx.file import parse
from corecast.adapters.onnx.load import graphs_in
from corecast.adapters.source import read_content
from corecast.adapters.whole import whole_file
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.plan.plan import IN_A_SENTENCE


@of_its_file
def write_overlay(model: str | Path, table: LayerTable, plan: Plan, output: Path) -> int:
    """Write a copy of a file with a plan on it; weights that it keeps in other files stay there.

    Args:
        model: the file that the plan was made for.
        table: its layers, as Relax or ONNX.
        output: is replaced where it exists; whole or not at all.

    Returns:
        How many nodes have something written on them.

    Raises:
        ModelError: where the file is no ONNX model.
        OSError: where the output cannot be written.
    """
    path = Path(model)
    proto = parse(read_content(path))
    reasons = _reasons(plan)
    notes = {layer.source: [*_notes(plan, layer.id, reasons)] for layer in table.layers if layer.source}
    written = sum(_annotate(node, notes) for node in _nodes(proto.graph))
    with whole_file(output) as draft:
        onnx.save(proto, str(draft), format="protobuf")
    return written


def _notes(plan: Plan, layer: str, reasons: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """What a plan says of a layer, by a name for each piece."""
    yield "corecast.layer", layer
    planned = plan.by_id.get(layer)
    for decision in planned.decisions if planned else ():
        if decision:
            yield f"corecast.{decision.edit.property}", f"{decision.edit} ({decision.rule}, {decision.place})"
    if layer in reasons:
        yield "corecast.not_done", "; ".join(reasons[layer])


def _reasons(plan: Plan) -> Mapping[str, Sequence[str]]:
    """For each layer, why requests were not carried out on it."""
    reasons: dict[str, list[str]] = {}
    for rule in plan.rules:
        for request in rule.requests:
            for kind, because in request.undone:
                reason = f"{request.request} ({rule.rule}): {IN_A_SENTENCE[kind]} {because.reason}"
                for layer in because.layers:
                    reasons.setdefault(layer, []).append(reason)
    return reasons


def _nodes(graph: onnx.GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for inner in graphs_in(node):
            yield from _nodes(inner)


def _annotate(node: NodeProto, notes: dict[str, list[tuple[str, str]]]) -> bool:
    """A node is known by its name, or where it has none by what it makes."""
    found = next((notes[name] for name in (node.name, *node.output) if name in notes), ())
    for key, value in found:
        node.metadata_props.add(key=key, value=value)
    return bool(found)
