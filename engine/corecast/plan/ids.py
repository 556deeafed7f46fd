"""Layer ids in, a short text out, and back: `nn.conv2d#1..52, add#0`."""

from __future__ import annotations

from collections.abc import Iterable


def compress(ids: Iterable[str]) -> str:
    """Write ids with their runs folded; the order of first appearance is kept within each operator."""
    runs: list[tuple[str, int, int]] = []
    for layer in ids:
        op, _, text = layer.rpartition("#")
        number = int(text)
        if runs and runs[-1][0] == op and runs[-1][2] == number - 1:
            runs[-1] = (op, runs[-1][1], number)
        else:
            runs.append((op, number, number))
    return ", ".join(f"{op}#{first}" if first == last else f"{op}#{first}..{last}" for op, first, last in runs)


def shorten(text: str, limit: int = 60) -> str:
    """The first of the ids that `compress` wrote, where there are too many to be read."""
    return text if len(text) <= limit else f"{text[: limit - 1].rsplit(', ', 1)[0]}, …"


def expand(text: str) -> list[str]:
    """Read what `compress` wrote. Raises `ValueError`."""
    ids = []
    for part in text.split(", ") if text else []:
        op, mark, numbers = part.rpartition("#")
        first, _, last = numbers.partition("..")
        if not mark or not first.isdigit() or not (last or first).isdigit():
            raise ValueError(f"{part!r} is not a layer id")
        ids += [f"{op}#{number}" for number in range(int(first), int(last or first) + 1)]
    return ids


def place_of(id: str) -> tuple[str, int]:
    """Operator and ordinal of a layer: what ids are ordered by. Raises `ValueError`."""
    op, _, ordinal = id.rpartition("#")
    return op, int(ordinal)
