"""Layer tables and counts in, tables for a terminal out."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from corecast.model import Count, Layer


def layers_table(layers: Iterable[Layer]) -> Table:
    """Each layer with everything that a selector most often names."""
    columns = ("layer", ">depth", "weight", "node", "shape", "layout", "dtype", ">MFLOP", ">MiB")
    return rows_table(columns, (_layer(layer) for layer in layers))


def _layer(layer: Layer) -> tuple[str, ...]:
    return (
        layer.id,
        str(layer.depth),
        layer.name or "",
        layer.source or "",
        str(layer.results[0]).partition(" ")[2] if layer.results else "",
        (layer.data_layout or "") if layer.operator and layer.operator.has_layout else "",
        layer.results[0].dtype if layer.results else "",
        "" if layer.flops is None else f"{layer.flops / 1e6:.1f}",
        "" if layer.bytes is None else f"{layer.bytes / 2**20:.2f}",
    )


def counts_table(counts: Iterable[Count]) -> Table:
    """Calls of each operator, and the longest chain of them."""
    rows = ((count.op, str(count.calls), str(count.chain)) for count in counts)
    return rows_table(("operator", ">calls", ">longest chain"), rows)


def rows_table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    """A table without lines; a column whose name begins with `>` is aligned to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        # A name may hold what the terminal library takes for markup.
        table.add_row(*map(Text, row))
    return table
