"""Runs the cases of the plan: rules on a layer table (`network.layers` where a case has none of its own).

A case with `old_rules` or `old_layers` compares with the plan of these; what of the two it lacks is as it is now.
"""

from __future__ import annotations

from pathlib import Path

from corecast.api.recipes import read_recipe
from corecast.lang import CorecastError, Source
from corecast.model import find_target, parse_table
from corecast.plan import Plan, PlanError, describe, diff, explain, format_plan, parse_plan, plan

NETWORK = Path(__file__).with_name("network.layers").read_text(encoding="utf-8")


def run(blocks: dict[str, str]) -> dict[str, str]:
    """From `rules` (and `layers`, `target`, `layer`) to `plan`, `yaml`, `explain`, `diff` or `problems`."""
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
    if "diff" in blocks:
        results["diff"] = f"{diff(_old_plan(blocks), decided)}\n"
    return {kind: text for kind, text in results.items() if kind in blocks}


def _old_plan(blocks: dict[str, str]) -> Plan:
    """The plan to compare with, as it comes out of its file."""
    table = parse_table(blocks.get("old_layers", blocks.get("layers", NETWORK)), model="network")
    recipe = read_recipe(Source("case.rules", blocks.get("old_rules", blocks["rules"])), table)
    return parse_plan(format_plan(plan(recipe, table)))
