"""`python -m gpu [TABLE...] [OPTION=NUMBER...]`: check and time on this GPU, and write the tables of docs/hopper.md."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from time import monotonic

from gpu.tables import TABLES

DOCUMENT = Path(__file__).parents[2] / "docs" / "hopper.md"


def main(words: list[str]) -> None:
    options = {name: int(value) for name, _, value in (word.partition("=") for word in words if "=" in word)}
    names = [word for word in words if "=" not in word] or list(TABLES)
    if unknown := sorted(set(names) - set(TABLES)):
        sys.exit(f"no such table: {', '.join(unknown)}; there are {', '.join(TABLES)}")
    for name in names:
        start = monotonic()
        lines = []
        for line in TABLES[name](options):
            print(line, flush=True)
            lines.append(line)
        took = timedelta(seconds=round(monotonic() - start))
        given = "".join(f" {key}={value}" for key, value in options.items())
        write(name, "\n".join([*lines, "", f"Measured in {took} by `python -m gpu {name}{given}`."]))


def write(name: str, text: str) -> None:
    """Put a table in its place in the document."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(start)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # TVM and torch both hold the device; taken down in the wrong order they crash
