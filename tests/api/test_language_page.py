"""docs/language.md lists every word of conditions with what its docstring says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from corecast.api import standard_catalogue

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
TABLE = re.compile(r"(?<=<!-- words -->\n).*?(?=<!-- end of words -->)", re.DOTALL)


def words() -> str:
    """The table, in the catalogue's order."""
    catalogue = standard_catalogue()
    named = {word: predicate.value for word, predicate in catalogue.predicates.items()}
    named |= {f"{word}(weight)": function.value for word, function in catalogue.functions.items()}
    rows = (f"| `{name}` | {' '.join((inspect.getdoc(value) or '').split())} |\n" for name, value in named.items())
    return "".join(["| word | what it says |\n", "| --- | --- |\n", *rows])


def test_every_word_of_conditions_has_its_row(pytestconfig: pytest.Config) -> None:
    """`--update-cases` writes the table."""
    page = PAGE.read_text(encoding="utf-8")
    if pytestconfig.getoption("--update-cases"):
        PAGE.write_text(TABLE.sub(lambda _: words(), page), encoding="utf-8")
    (table,) = TABLE.findall(PAGE.read_text(encoding="utf-8"))
    assert table == words()
