"""Runs the cases of the lint: from `rules` (and a `layers` table, a `target`) to `findings`, and to `fixed` rules."""

from __future__ import annotations

from pathlib import Path

from corecast.api.checking import Checker
from corecast.lang import CorecastError, Source
from corecast.model import find_target, parse_table


def run(blocks: dict[str, str]) -> dict[str, str]:
    """Look at the rules; what a fix leaves must be read again, and have nothing left to fix."""
    table = parse_table(blocks["layers"], model="network") if "layers" in blocks else None
    target = find_target(blocks["target"].strip()) if "target" in blocks else None
    checker = Checker({}, (Path(__file__).parent,), table, target)
    source = Source("case.rules", blocks["rules"])
    try:
        found = checker.lint(source)
        results = {"findings": "".join(f"{item.problem}\n" for item in found) or "none\n"}
        results["fixed"] = checker.fixed(source)[0].text
    except CorecastError as error:
        return {"problems": f"{error}\n"}
    return {kind: text for kind, text in results.items() if kind in blocks}
