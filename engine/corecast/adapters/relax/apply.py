"""A plan and a prepared model in, the converted model out, with what was realised read back from its IR.

Nothing is decided here. What was requested and what the resulting module says must agree at the end, or it is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from corecast.adapters.agreement import Realised, RealisedError, check_plan, objection
from corecast.adapters.relax.cleanup import MERGED
from corecast.adapters.relax.compile import CheckPlan, compile_plan
from corecast.adapters.relax.fold import fold
from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.survey import survey
from corecast.adapters.values import check_values
from corecast.lang.problems import Problem
from corecast.model import LayerTable, dtype_bits
from corecast.plan import OnProgress, Plan, Steps


@dataclass(frozen=True)
class Conversion:
    """A model before and after a plan was carried out, and what its reader should know of its weights."""

    plan: Plan
    prepared: Model
    converted: Model
    before: LayerTable
    after: LayerTable
    realised: Realised
    warnings: tuple[Problem, ...] = ()


def apply(plan: Plan, prepared: Model, *, progress: OnProgress | None = None) -> Conversion:
    """Carry out a plan.

    Args:
        plan: made for the layer table of `prepared`.
        prepared: what `prepare` returned; it is not changed.
        progress: called before each pass and each look at the result; it may raise, which ends the conversion.

    Raises:
        PlanMismatchError: where the plan was made for another model.
        RealisedError: where the resulting module does not have what was decided.
    """
    passes = [step for step in compile_plan(plan) if not isinstance(step, CheckPlan)]
    begin = Steps(len(passes) + 3, progress)
    begin("survey")
    before = survey(prepared)
    check_plan(plan, before)
    module = prepared.module
    for step in passes:
        begin(step.info.name)
        module = step(module)
    begin("fold weights")
    converted = fold(prepared.with_main(module["main"], prepared.parameters))
    begin("read back")
    after = survey(converted)
    problems = list(differences(plan, before, after))
    if problems:
        raise RealisedError(problems)
    realised = _realised(plan, before, converted, after)
    warnings = tuple(check_values(prepared, before, plan))
    return Conversion(plan, prepared, converted, before, after, realised, warnings)


def _realised(plan: Plan, before: LayerTable, converted: Model, after: LayerTable) -> Realised:
    own = {layer.source for layer in before.layers}
    added = Counter(layer.op for layer in after.layers if layer.source not in own)
    return Realised(
        layers=len(plan.layers),
        layout_transforms=added["permute_dims"],
        casts=added["astype"],
        parameter_bytes=sum(_bytes(array) for array in converted.parameters.values()),
    )


def _bytes(array: Array) -> int:
    """The size with sub-byte elements packed, as a device holds them."""
    return (array.size * dtype_bits(str(array.dtype)) + 7) // 8


def differences(plan: Plan, before: LayerTable, after: LayerTable) -> Iterator[Problem]:
    """Where a converted module is not what the plan asked for."""
    # Converting renumbers no operator but the transposes and casts that it adds; a binding's name it never changes.
    converted = {layer.source: layer for layer in after.layers}
    for planned in plan.layers:
        old = before.by_id[planned.id]
        new = converted.get(old.source)
        if old.op in MERGED:
            continue  # Only `keep` can be decided on these, and what the model had of them may do without each other.
        for decision in filter(None, planned.decisions):
            found = "it is gone" if new is None else objection(decision.edit, old, new)
            if found:
                place = f"({decision.rule}, {decision.place})"
                message = f"{planned.id} (node {old.source}): `{decision.edit}` was decided {place}, {found}"
                yield Problem("not-realised", message, help="this is a fault of corecast or TVM; please report it")
