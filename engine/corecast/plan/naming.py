"""Layers in, a selector out that names these and no others: as a person would write it, or by what each is called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from math import inf

from corecast.lang.spell import format_value, quoted
from corecast.model import Layer, LayerTable
from corecast.plan.ids import compress


def naming(layers: Iterable[Layer], table: LayerTable) -> str:
    """What names these layers and no others: by their weights where those are their own, by nodes, else by places."""
    by_op: defaultdict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        by_op[layer.op].append(layer)
    parts = [part for op, found in by_op.items() for part in _of_op(op, found, table)]
    return parts[0] if len(parts) == 1 else " or ".join(f"({part})" for part in parts)


def _of_op(op: str, layers: Iterable[Layer], table: LayerTable) -> Iterator[str]:
    said: dict[str, list[str]] = {"name": [], "source": []}
    places = []
    for layer in layers:
        if layer.name and _can_be_said(layer.name) and sum(item.name == layer.name for item in table.by_op[op]) == 1:
            said["name"].append(layer.name)
        elif layer.source and _can_be_said(layer.source):
            said["source"].append(layer.source)
        else:
            places.append(layer.id)
    for word, texts in said.items():
        if len(texts) == 1:
            yield f"{op} where {word} == {quoted(texts[0])}"
        elif texts:
            yield f"{op} where {word} in {{{', '.join(map(format_value, texts))}}}"
    if places:
        yield " or ".join(run.replace("#", " #") for run in compress(places).split(", "))


def _can_be_said(text: str) -> bool:
    return "\n" not in text


def describing(layers: Sequence[Layer], table: LayerTable) -> str:
    """The same in the terms in which people think of layers, where some fit: all of an operator, places, names.

    What fits is compared with all layers of the operator; whoever takes it should see that it means the same in a plan.
    """
    by_op: defaultdict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        by_op[layer.op].append(layer)
    parts = [_described(op, found, table) or naming(found, table) for op, found in by_op.items()]
    return parts[0] if len(parts) == 1 else " or ".join(f"({part})" if " where " in part else part for part in parts)


def _described(op: str, layers: Sequence[Layer], table: LayerTable) -> str | None:
    everything = table.by_op[op]
    places = [layer.ordinal for layer in layers]
    if len(layers) == len(everything):
        return op
    if len(layers) == 1:
        return {0: f"{op} #0", len(everything) - 1: f"{op} #-1"}.get(places[0])
    for text, holds in _conditions(layers):
        if [layer.ordinal for layer in everything if holds(layer)] == places:
            return f"{op} where {text}"
    return f"{op} #{places[0]}..{places[-1]}" if places == list(range(places[0], places[-1] + 1)) else None


def _conditions(layers: Sequence[Layer]) -> Iterator[tuple[str, Callable[[Layer], bool]]]:
    """What may tell these layers from others of their operator: groups, channels, the beginning of a name."""
    if all(layer.groups > 1 for layer in layers):
        yield "groups > 1", lambda layer: layer.groups > 1
    for word, axis in (("in_channels", "C"), ("out_channels", "O")):
        sizes = [size for layer in layers if isinstance(size := layer.size(axis), int)]
        if len(sizes) == len(layers):
            yield f"{word} <= {max(sizes)}", partial(_is_within, axis, 0, max(sizes))
            yield f"{word} >= {min(sizes)}", partial(_is_within, axis, min(sizes), inf)
    names = [layer.name or "" for layer in layers]
    shared = "".join(
        one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    )
    prefix = shared[: 1 + max(shared.rfind("."), shared.rfind("/"))]
    if prefix and _can_be_said(prefix) and not set(prefix) & set("*?["):
        yield f"name like {quoted(f'{prefix}*')}", lambda layer: (layer.name or "").startswith(prefix)


def _is_within(axis: str, low: float, high: float, layer: Layer) -> bool:
    size = layer.size(axis)
    return isinstance(size, int) and low <= size <= high
