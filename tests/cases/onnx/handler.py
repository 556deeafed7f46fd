"""Runs the cases of the ONNX adapter: rules on a network, carried out, checked by ONNX, proven, and printed."""

from __future__ import annotations

import onnx
import onnx_networks as networks

from corecast.adapters.onnx import apply, compile_plan, survey
from corecast.lang import CorecastError
from corecast.model import format_table
from corecast.plan import describe
from corecast.verify import difference, tolerance_of


def run(blocks: dict[str, str]) -> dict[str, str]:
    """From `network` and `rules` to `table`, `plan`, `passes`, `graph`, `warnings` and `realised`, or to `problems`.

    Every graph is checked, and its numbers are where nothing warns of them.
    """
    original = networks.model_of(blocks["network"])
    table = survey(original)
    if "rules" not in blocks:
        return {"table": format_table(table)}
    try:
        decided = networks.planned(blocks["rules"], table)
        conversion = apply(decided, original)
    except CorecastError as error:
        return {"problems": f"{error}\n"}
    onnx.checker.check_model(conversion.converted.proto, full_check=True)
    if not conversion.warnings:
        error = difference(networks.outputs(original), networks.outputs(conversion.converted))
        tolerance = tolerance_of(decided)
        assert tolerance is None or error.max_relative <= tolerance, f"the numbers are off: {error}"
    results = {
        "plan": describe(decided, table),
        "passes": f"{compile_plan(decided)}\n",
        "graph": networks.script(conversion.converted),
        "warnings": "".join(f"{warning}\n" for warning in conversion.warnings),
        "realised": f"casts: {conversion.realised.casts}, predicted {decided.predicted.casts}\n",
    }
    return {kind: text for kind, text in results.items() if kind in blocks}
