"""Runs the cases of the Relax adapter: rules on a network, carried out, proven, and printed."""

from __future__ import annotations

import re

import networks
from tvm.ir import IRModule

from corecast.adapters.relax import Conversion, apply, compile_plan, emulate, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.backends.pipeline import fused, grouped, legalized
from corecast.lang import Source
from corecast.model import find_target
from corecast.plan import plan
from corecast.plan.integers import Integers, integers
from corecast.quantization import CalibratedModel, Calibration, Range
from corecast.verify import difference, tolerance_of


def run(blocks: dict[str, str]) -> dict[str, str]:
    """From `network` and `rules` to `passes`, `ir`, `realised` and `kernels`; the numbers are checked in every case."""
    original = networks.model_of(blocks["network"])
    prepared = prepare(original)
    table = survey(prepared)
    decided = plan(read_recipe(Source("case.rules", blocks["rules"]), table), table)
    found = integers(table, decided.decided("dtype"))
    conversion = apply(decided, prepared, _calibration(found))
    error = difference(networks.outputs(original), networks.outputs(emulate(conversion.converted)))
    tolerance = tolerance_of(decided)
    near = error.cosine >= 0.99 if found.roles else tolerance is None or error.max_relative <= tolerance
    assert near, f"the numbers are off: {error}"
    realised, predicted = conversion.realised, decided.predicted
    results = {
        "passes": f"{compile_plan(decided)}\n",
        "ir": networks.script(conversion.converted.module),
        "realised": (
            f"layout transforms: {realised.layout_transforms}, predicted {predicted.layout_transforms}\n"
            f"casts: {realised.casts}, predicted {predicted.casts}\n" + _on_integers(conversion)
        ),
        "kernels": _kernels(conversion.converted.module),
    }
    return {kind: text for kind, text in results.items() if kind in blocks}


def _calibration(found: Integers) -> Calibration:
    """Ranges that hold what the networks compute, the same on every machine; what is after a relu is not negative."""
    ranges = {name: Range(low=0 if name.startswith("nn.relu") else -4, high=4) for name in found.to_observe}
    return Calibration(model=CalibratedModel.of(found.table), method="made up", samples=1, ranges=ranges)


def _on_integers(conversion: Conversion) -> str:
    """What of it was realised, where a plan quantizes."""
    predicted, realised = conversion.plan.integers, conversion.realised
    if predicted is None:
        return ""
    return (
        f"quantized: {realised.quantized}, predicted {len(predicted.quantized)}\n"
        f"dequantized: {realised.dequantized}, predicted {len(predicted.dequantized)}\n"
    )


def _kernels(module: IRModule) -> str:
    """The tensors that the kernels of a CPU hand to each other, each with the operators that made it."""
    lines = networks.script(fused(grouped(legalized(module, find_target("llvm"))))).splitlines()
    found = [re.search(r"call_tir\((?:cls\.)?(\w+), .*R\.Tensor\((\(.*?\)), dtype=\"(\w+)\"\)", line) for line in lines]
    return "".join(f"{match[3]} {match[2]}: {match[1].removeprefix('fused_')}\n" for match in found if match)
