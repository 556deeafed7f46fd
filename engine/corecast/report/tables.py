"""Layer tables and counts in, tables for a terminal out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from corecast.model import Count, Layer


def layers_table(layers: Iterable[Layer]) -> Table:
    """Each layer with everything that a selector most often names."""
    result = _table("layer", "depth", "weight", "node", "shape", "layout", "dtype", ">MFLOP", ">MiB")
    for layer in layers:
        shape = str(layer.results[0]).partition(" ")[2] if layer.results else ""
        result.add_row(
            layer.id,
            str(layer.depth),
            layer.name or "",
            layer.source or "",
            shape,
            layer.data_layout if layer.operator and layer.operator.has_layout else "",
            layer.results[0].dtype if layer.results else "",
            "" if layer.flops is None else f"{layer.flops / 1e6:.1f}",
            "" if layer.bytes is None else f"{layer.bytes / 2**20:.2f}",
        )
    return result


def counts_table(counts: Sequence[Count]) -> Table:
    """Calls of each operator, and the longest chain of them."""
    result = _table("operator", ">calls", ">longest chain")
    for count in counts:
        result.add_row(count.op, str(count.calls), str(count.chain))
    return result


def _table(*columns: str) -> Table:
    """A table without lines; a column that begins with `>` is aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table
