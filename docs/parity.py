"""Prints the parity tables of docs/from-relay.md: `python docs/parity.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import golden_networks as networks

MEASURES = {
    "Layers with the layouts and dtypes that they had there, of all": 0,
    "Layout transforms at every inference, ours / theirs": 1,
    "Casts, ours / theirs, those of weights included": 2,
}


def main() -> None:
    cells = {pair: networks.parity(*pair).cells for pair in networks.RECORDED}
    for title, measure in MEASURES.items():
        print(f"{title}:\n")
        print("\n".join(table({pair: three[measure] for pair, three in cells.items()})), end="\n\n")


def table(cells: dict[tuple[str, str], str]) -> Iterator[str]:
    """Networks down, variants across; a variant that was not recorded for a network leaves its cell empty."""
    variants = list(dict.fromkeys(variant for _, variant in cells))
    yield line(["network", *(f"`{variant}`" for variant in variants)])
    yield line(["---", *("---:" for _ in variants)])
    for name in dict.fromkeys(name for name, _ in cells):
        yield line([name, *(cells.get((name, variant), "") for variant in variants)])


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
