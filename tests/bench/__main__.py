"""`python -m bench [TABLE...]`: measure, print, and write the tables of docs/benchmarks.md; names limit it to some."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from time import monotonic

from bench.tables import TABLES

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(TABLES))
    if unknown:
        sys.exit(f"no such table: {', '.join(unknown)}; there are {', '.join(TABLES)}")
    for name in names or TABLES:
        start = monotonic()
        lines = list(TABLES[name]())
        took = timedelta(seconds=round(monotonic() - start))
        when = f"Measured in {took}; the load of the machine was {os.getloadavg()[1]:.1f} at the end."
        text = "\n".join([*lines, "", when])
        print(f"\n{name}\n{text}", flush=True)
        write(name, text)


def write(name: str, text: str) -> None:
    """Put a table in its place in the document."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(start)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
