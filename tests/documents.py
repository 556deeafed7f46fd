"""Tables that are measured in, pages of docs/ that hold them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def write_table(page: str, name: str, lines: Sequence[str]) -> None:
    """Put a table between its marks: `<!-- NAME -->` and `<!-- end of NAME -->`."""
    path = DOCS / page
    before, mark, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    assert mark, f"{page} has no place for {name}"
    assert end, f"{page} does not say where {name} ends"
    path.write_text("\n".join([before + mark.rstrip("\n"), *lines, end + after]), encoding="utf-8")
