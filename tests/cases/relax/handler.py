"""Runs the cases of the Relax adapter: rules on a network, carried out, proven, and printed."""

from __future__ import annotations

import networks

from corecast.adapters.relax import apply, compile_plan, emulate, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.plan import plan
from corecast.verify import difference, tolerance_of


def run(blocks: dict[str, str]) -> dict[str, str]:
    """From `network` and `rules` to `passes`, `ir` and `realised`; the numbers are checked in every case."""
    original = networks.model_of(blocks["network"])
    prepared = prepare(original)
    table = survey(prepared)
    decided = plan(read_recipe(Source("case.rules", blocks["rules"]), table), table)
    conversion = apply(decided, prepared)
    error = difference(networks.outputs(original), networks.outputs(emulate(conversion.converted)))
    tolerance = tolerance_of(decided)
    assert tolerance is None or error.max_relative <= tolerance, f"the numbers are off: {error}"
    realised, predicted = conversion.realised, decided.predicted
    results = {
        "passes": f"{compile_plan(decided)}\n",
        "ir": networks.script(conversion.converted.module),
        "realised": (
            f"layout transforms: {realised.layout_transforms}, predicted {predicted.layout_transforms}\n"
            f"casts: {realised.casts}, predicted {predicted.casts}\n"
        ),
    }
    return {kind: text for kind, text in results.items() if kind in blocks}
