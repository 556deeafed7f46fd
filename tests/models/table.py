"""The zoo in, the table of docs/models.md out: `python tests/models/table.py [NAME...]`.

Names limit it to the models whose name or source holds one of them; the rows of the others stay as they are.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.bound import fewest_transforms
from models.journey import Row, travel
from models.zoo import specimens

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
START, END = "<!-- the table -->", "<!-- the end of the table -->"

COLUMNS = (
    "model",
    "source",
    "layers",
    "recipe",
    "matched",
    "realised",
    "transposes",
    "fewest",
    "casts",
    "difference",
    "cosine",
    "verdict",
    "seconds",
)

Key = tuple[str, str]


def main(names: list[str]) -> None:
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    old, _, after = rest.partition(END)
    rows = dict(_rows_of(old))
    every = specimens()
    for specimen in every:
        if not names or any(name.lower() in str(specimen).lower() for name in names):
            with tempfile.TemporaryDirectory() as folder:
                lines = [_line(row) for row in travel(specimen, Path(folder), fewest_transforms)]
            print("\n".join(lines), flush=True)
            rows[specimen.name, specimen.source] = lines
            ordered = [rows[key] for item in every if (key := (item.name, item.source)) in rows]
            table = "\n".join([*_head(), *(line for lines in ordered for line in lines)])
            DOCUMENT.write_text(f"{before}{START}\n{table}\n{END}{after}", encoding="utf-8")


def _rows_of(table: str) -> Iterator[tuple[Key, list[str]]]:
    """The rows of a table by model and source."""
    rows: dict[Key, list[str]] = {}
    for line in table.strip().splitlines()[2:]:
        model, source, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        rows.setdefault((model, source), []).append(line)
    yield from rows.items()


def _head() -> list[str]:
    return [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]


def _line(row: Row) -> str:
    return f"| {' | '.join(_cells(row))} |"


def _cells(row: Row) -> list[str]:
    where = [row.specimen.name, row.specimen.source]
    if row.refused:
        return [*where, *[""] * (len(COLUMNS) - 4), f"refused: {row.refused}", f"{row.seconds:.0f}"]
    assert row.table is not None
    assert row.verification is not None
    error = row.verification.error
    nothing = not row.matched
    return [
        *where,
        str(len(row.table.layers)),
        row.recipe,
        str(row.matched),
        str(row.realised),
        str(row.transforms),
        str(row.fewest),
        str(row.casts),
        f"{error.max_relative:.1e}" if error else "",
        f"{error.cosine:.6f}" if error else "",
        "nothing to convert" if nothing else row.verification.verdict,
        f"{row.seconds:.0f}",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
