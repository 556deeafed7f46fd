"""How many layers of an operator a model has, and how many of them stand one after another."""

from __future__ import annotations

from collections.abc import Collection

from corecast.model.layer import LayerTable
from corecast.model.record import Record


class Count(Record):
    """`calls` counts every call; `chain` the greatest number of them on one path, so parallel branches count once."""

    op: str
    calls: int
    chain: int


def count(table: LayerTable, ops: Collection[str]) -> Count:
    """Count the calls of some operators, taken together.

    `chain` is what `count_layers` of TVM PR #6748 meant to give, whatever the order of arguments.
    """
    longest: list[int] = []
    for layer in table.layers:
        before = max((longest[producer] for producer in layer.producers), default=0)
        longest.append(before + (layer.op in ops))
    calls = sum(len(table.by_op.get(op, ())) for op in ops)
    return Count(op=" + ".join(ops), calls=calls, chain=max(longest, default=0))
