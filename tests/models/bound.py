"""A layer table and a plan in, a number below which no tool can bring the layout transforms at run time.

Every layer stands in one of two orders of axes, the model's or the planned one. Planned layers stand in the planned
order; arguments, results and operators that `behaviour` binds to the model's order stand in that; each other one may
stand in either. A tensor that is made in one order and read in the other is transposed once, for all of its readers. A
minimum cut of that graph is the fewest transposes. It is a lower bound: a tensor in which the planned order only moves
axes of length one, or which has another rank than the planned layers, costs nothing here, and neither does what stands
next to a transpose of the model's own, which may take up any other.
"""

from __future__ import annotations

from collections.abc import Hashable

import networkx

from corecast.model import LayerTable, Operand, TensorType
from corecast.plan import Plan
from corecast.recipe import ChangeLayout

ORIGINAL, PLANNED = "in the model's order", "in the planned order"

_INDIFFERENT = {"permute_dims"}


def fewest_transforms(table: LayerTable, plan: Plan) -> int:
    """The value of the minimum cut: 0 where no layout is planned."""
    edits = {
        layer: edit
        for layer, edit in plan.decided("layout").items()
        if isinstance(edit, ChangeLayout) and edit.data != table.by_id[layer].data_layout
    }
    if not edits:
        return 0
    first, edit = next(iter(edits.items()))
    permutation = [str(table.by_id[first].data_layout).index(axis) for axis in edit.data]
    graph = networkx.DiGraph()
    graph.add_nodes_from([ORIGINAL, PLANNED])
    for layer in table.layers:
        if layer.id in edits:
            _tie(graph, PLANNED, layer.index)
        elif layer.operator or layer.behaviour != "follows":
            _tie(graph, ORIGINAL, layer.index)
    for made, (tensor, readers) in _tensors(table).items():
        if _is_moved(tensor, permutation):
            _add(graph, made, readers)
    value = networkx.minimum_cut_value(graph, PLANNED, ORIGINAL)
    return int(value)


def _tensors(table: LayerTable) -> dict[Hashable, tuple[TensorType, set[Hashable]]]:
    """Each tensor by what makes it, with what reads it."""
    tensors: dict[Hashable, tuple[TensorType, set[Hashable]]] = {}

    def read(operand: Operand, reader: Hashable) -> None:
        maker = operand.layer if operand.layer is not None else ORIGINAL
        indifferent = operand.layer is not None and table.layers[operand.layer].op in _INDIFFERENT
        if operand.parameter is None and not indifferent and (operand.layer is not None or operand.argument):
            key = (maker, operand.argument, str(operand.type))
            tensors.setdefault(key, (operand.type, set()))[1].add(reader)

    for layer in table.layers:
        if layer.op not in _INDIFFERENT:
            for operand in layer.operands:
                read(operand, layer.index)
    for operand in table.returns:
        read(operand, ORIGINAL)
    return tensors


def _is_moved(tensor: TensorType, permutation: list[int]) -> bool:
    """Whether elements lie elsewhere after the permutation: axes of length one may go anywhere."""
    shape = tensor.shape
    if shape is None or len(shape) != len(permutation):
        return False
    moved = [axis for axis in permutation if shape[axis] != 1]
    return moved != sorted(moved)


def _tie(graph: networkx.DiGraph, end: str, node: Hashable) -> None:
    """A node that stands in the order of this end, whatever it costs."""
    graph.add_edge(end, node)
    graph.add_edge(node, end)


def _add(graph: networkx.DiGraph, made: Hashable, readers: set[Hashable]) -> None:
    """One unit if the maker and its readers do not all stand in one order: two nodes stand for "some" and "all"."""
    maker = made[0] if isinstance(made, tuple) else made
    some, every = ("some", made), ("every", made)
    graph.add_edge(some, every, capacity=1)
    for node in {maker, *readers}:
        graph.add_edge(node, some)
        graph.add_edge(every, node)
