"""Runs the cases of the plan: rules on a layer table (`network.layers` where a case has none of its own)."""

from __future__ import annotations

from pathlib import Path

from corecast.api.recipes import read_recipe
from corecast.lang import CorecastError, Source
from corecast.model import find_target, parse_table
from corecast.plan import PlanError, describe, explain, format_plan, plan

NETWORK = Path(__file__).with_name("network.layers").read_text(encoding="utf-8")


def run(blocks: dict[str, str]) -> dict[str, str]:
    """From `rules` (and `layers`, `target`, `layer`) to `plan`, `yaml`, `explain` or `problems`."""
    table = parse_table(blocks.get("layers", NETWORK), model="network")
    target = find_target(blocks["target"].strip()) if "target" in blocks else None
    try:
        recipe = read_recipe(Source("case.rules", blocks["rules"]), table)
        decided = plan(recipe, table, target)
    except PlanError as error:
        if "problems" in blocks:
            return {"problems": f"{error}\n"}
        decided = error.plan
    except CorecastError as error:
        return {"problems": f"{error}\n"}
    results = {"plan": describe(decided, table), "yaml": format_plan(decided)}
    if "layer" in blocks:
        layer = table.find(blocks["layer"].strip())
        assert layer is not None, f"the network has no {blocks['layer']}"
        results["explain"] = f"{explain(recipe, table, decided, layer)}\n"
    return {kind: text for kind, text in results.items() if kind in blocks}
