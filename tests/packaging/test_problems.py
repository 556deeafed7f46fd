"""`docs/problems.md` has a row for every problem that the source can report, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "problems.md"
ROW = re.compile(r"^\| `(?P<slug>[a-z0-9-]+)` \| (?P<meaning>[^|]+) \| (?P<step>[^|]+) \|$", re.MULTILINE)


def trees() -> list[tuple[Path, ast.Module]]:
    files = [path for source in ("dsl", "engine") for path in sorted((ROOT / source).rglob("*.py"))]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def takes_slug(node: ast.AST) -> bool:
    """Whether a function has a slug as its first argument."""
    if not isinstance(node, ast.FunctionDef):
        return False
    names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
    return names[:1] == ["slug"]


def reported() -> Iterator[tuple[str, str]]:
    """Each slug that stands as a first argument where a problem is made, with its place."""
    found = trees()
    makers = {node.name for _, tree in found for node in ast.walk(tree) if takes_slug(node)} | {"Problem"}
    for path, tree in found:
        handing_on = {id(call) for node in ast.walk(tree) if takes_slug(node) for call in ast.walk(node)}
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not call.args or id(call) in handing_on:
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            place = f"{path.relative_to(ROOT)}:{call.lineno}"
            if name in makers and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
                yield call.args[0].value, place
            elif name == "Problem":
                pytest.fail(f"{place}: the slug of a problem is to stand there as it is, so that it can be found")


def test_every_problem_has_a_row_and_every_row_a_problem() -> None:
    """Add a row with its meaning and the next step where this fails."""
    rows = [match["slug"] for match in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    places = dict(reported())
    assert len(rows) == len(set(rows)), "a problem has two rows"
    missing = {slug: place for slug, place in places.items() if slug not in rows}
    assert not missing, f"without a row in {PAGE.name}"
    assert not set(rows) - places.keys(), f"in {PAGE.name}, and reported nowhere"
