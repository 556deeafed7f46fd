"""A network and a recipe in; nothing out, or `Broken` with the property that does not hold.

In order: loading and preparing keep what is computed; planning is deterministic, and alike from the saved layer table,
from the plan's own YAML, from the formatted recipe and in another process; what was decided is realised, and nothing
else; predictions hold; the converted module computes what the recipe means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tvm_ffi
from tvm import relax
from tvm.ir import IRModule

from corecast.adapters.relax import Conversion, Model, apply, load, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source, format, parse
from corecast.model import Layer, LayerTable, padded, sizes_of
from corecast.plan import Plan, PlanError, format_plan, parse_plan, plan
from corecast.recipe import ChangeDType, ChangeLayout, Keep, Pad
from fuzz import kernels, kernels_of_axes, kernels_of_places, network  # noqa: F401 (kernels register themselves)
from fuzz.interpreter import Array, NoMeaning, evaluate
from fuzz.network import Network
from fuzz.rules import Ruleset

# What changes the form of a value; every other operator occurs as often after conversion as before.
FORMS = {"permute_dims", "astype", "reshape", "expand_dims", "nn.pad", "strided_slice"}

# Relative to the largest value. Folding weights adds in another order; a conversion does not.
PREPARED = {"float32": 1e-4, "float16": 1e-1}
CONVERTED = 1e-5

# A value may fall on either side of a bound (a cast, a comparison) by the order of sums: a fault shows for all seeds.
SEEDS = range(5)


class Broken(Exception):  # noqa: N818 (a finding)
    """A property that does not hold, and how."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail


@dataclass(frozen=True)
class Outcome:
    """What a case was worth: whether anything was changed, and whether the comparison of numbers could have failed."""

    kind: str
    is_telling: bool = False


# Plans a table and rules in a process with another hash seed.
Twin = Callable[[str, str], str]


@dataclass(frozen=True)
class Case:
    """What was made on the way, for the checks that only a sample of all cases goes through (`samples`)."""

    network: Network
    original: IRModule
    loaded: Model
    conversion: Conversion


def check(
    net: Network, rules: Ruleset, twin: Twin | None = None, more: Callable[[Case], None] | None = None
) -> Outcome:
    """Everything that must hold. Raises `Broken`; any other exception is a finding too."""
    module = network.build(net)
    before = module.script()
    loaded = load(module)
    prepared = prepare(loaded)
    _prepared_well(net, module, prepared)
    table = survey(prepared)
    decided = _planned_well(table, rules, twin)
    if decided is None:
        return Outcome("refused")
    kept = prepared.module.script()
    conversion = apply(decided, prepared)
    same(kept, prepared.module.script(), "apply changes the model that it is given")
    same(before, module.script(), "converting changes the module that was loaded")
    relax.analysis.well_formed(conversion.converted.module)
    _realised_well(conversion)
    _as_predicted(conversion)
    telling = _computes_well(net, conversion)
    if more is not None:
        more(Case(net, module, loaded, conversion))
    edits = [one.edit for layer in decided.layers for one in layer.decisions if one]
    changed = any(isinstance(edit, ChangeLayout | ChangeDType | Pad) for edit in edits)
    return Outcome("converted" if changed else "kept", telling and changed)


def same(left: object, right: object, name: str) -> None:
    """Raise `Broken` where two things that have to be equal are not."""
    if left != right:
        raise Broken(name, f"{left}\n  and\n{right}")


# ── preparing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def attached(module: IRModule) -> list[Array]:
    """The weights that a module has with it."""
    return [value.numpy() for value in module["main"].attrs["params"]]


def run(model: Model, inputs: Sequence[Array], recast: dict[str, tuple[str, str]] | None = None) -> list[Array]:
    return evaluate(model.main, [*inputs, *model.parameters.values()], recast)


def _prepared_well(net: Network, module: IRModule, prepared: Model) -> None:
    relax.analysis.well_formed(prepared.module)
    again = prepare(prepared)
    if not tvm_ffi.structural_equal(again.module, prepared.module) or list(again.parameters) != list(
        prepared.parameters
    ):
        raise Broken("prepare twice", f"{prepared.module.script()}\n  and then\n{again.module.script()}")
    weights = attached(module)
    dtypes = {tensor.dtype for tensor in [*net.arguments.values(), *net.weights.values()]}
    agree(
        "prepare",
        lambda inputs: evaluate(module["main"], [*inputs, *weights]),
        lambda inputs: run(prepared, inputs),
        [network.arguments(net, seed) for seed in SEEDS],
        max(PREPARED.get(dtype, 0) for dtype in dtypes),
    )


def agree(
    name: str,
    left: Callable[[list[Array]], list[Array]],
    right: Callable[[list[Array]], list[Array]],
    inputs: Sequence[list[Array]],
    tolerance: float,
) -> bool:
    """Compare on the first inputs, and on the others only where they differ; whether there was anything to compare."""
    telling, found = False, ""
    for arrays in inputs:
        expected, given = left(arrays), right(arrays)
        telling |= any(array.size > 1 and np.ptp(array) > 0 for array in expected if array.dtype.kind == "f")
        found = different(expected, given, tolerance)
        if not found:
            return telling
    raise Broken(name, found)


def rounding(op: str) -> float:
    """How many times further than others TVM's float32 may be off: norms of nearly equal values lose digits."""
    return 10.0 if "norm" in op or op in ("variance", "std") else 1.0


def different(expected: Sequence[Array], given: Sequence[Array], tolerance: float) -> str:
    """How two lists of arrays differ, or nothing."""
    if [array.shape for array in expected] != [array.shape for array in given]:
        return f"shapes {[array.shape for array in expected]} and {[array.shape for array in given]}"
    for place, (left, right) in enumerate(zip(expected, given, strict=True)):
        a, b = left.astype(np.float64), right.astype(np.float64)
        finite = np.isfinite(a)
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return f"output {place}: other infinities"
        largest = float(np.abs(a[finite]).max(initial=0))
        distance = np.abs(a[finite] - b[finite]).max(initial=0)
        # Where all is zero, as a variance of equal values, what rounding leaves of it is small beside the values.
        if not distance <= tolerance * (largest or 1e-8):
            return f"output {place}: {distance:.3g} apart, of a largest value of {largest:.3g}"
    return ""


# ── planning ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _planned_well(table: LayerTable, rules: Ruleset, twin: Twin | None) -> Plan | None:
    """The plan of a recipe, without the rules that it is refused for; None where no rule is left."""
    saved = LayerTable.model_validate_json(table.model_dump_json())
    same(table.fingerprint, saved.fingerprint, "table JSON")
    recipe = read_recipe(Source("fuzz.rules", str(rules)), table)
    try:
        decided = plan(recipe, table)
    except PlanError as error:
        refused = set(re.findall(r"rule (r\d+)", str(error))) or {rule.name for rule in rules.rules}
        fewer = replace(rules, rules=tuple(rule for rule in rules.rules if rule.name not in refused))
        return _planned_well(table, fewer, twin) if len(fewer.rules) < len(rules.rules) and fewer.rules else None
    text = format_plan(decided)
    same(decided, plan(recipe, table), "planned twice")
    same(decided, parse_plan(text), "plan YAML")
    same(decided, plan(recipe, saved), "planned from the saved table")
    if twin is not None:
        same(text, twin(saved.model_dump_json(), str(rules)), "planned in another process")
    formatted = format(parse(Source("fuzz.rules", str(rules))))
    same(formatted, format(parse(Source("fuzz.rules", formatted))), "formatted twice")
    other = plan(read_recipe(Source("fuzz.rules", formatted), table), table)
    same(_placeless(decided), _placeless(other), "planned from the formatted recipe")
    return decided


def _placeless(decided: Plan) -> list[tuple[object, ...]]:
    """The decisions without the lines of the recipe."""
    return [(layer.id, *((one.edit, one.rule) if one else None for one in layer.decisions)) for layer in decided.layers]


# ── what was realised ────────────────────────────────────────────────────────────────────────────────────────────────


def _realised_well(conversion: Conversion) -> None:
    """Read the converted module: each operator's calls in their old order, with what was decided or as before."""
    after: dict[str, list[Layer]] = {}
    for layer in conversion.after.layers:
        after.setdefault(layer.op, []).append(layer)
    for op, layers in conversion.before.by_op.items():
        if op in FORMS:
            continue
        found = after.get(op, [])
        same(len(layers), len(found), f"as many {op} as before")
        for old, new in zip(layers, found, strict=True):
            _as_decided(conversion.plan, old, new)


def _as_decided(decided: Plan, old: Layer, new: Layer) -> None:
    planned = decided.by_id.get(old.id)
    edits = [one.edit for one in planned.decisions if one] if planned else []
    layouts = [(edit.data, edit.kernel) for edit in edits if isinstance(edit, ChangeLayout)]
    dtypes = [edit for edit in edits if isinstance(edit, ChangeDType)]
    wanted = layouts[0] if layouts else (old.data_layout, old.kernel_layout)
    same(wanted, (new.data_layout, new.kernel_layout), f"layout of {old.id}")
    if dtypes:
        same({dtypes[0].dtype}, {operand.type.dtype for operand in new.operands}, f"operand dtypes of {old.id}")
        same(dtypes[0].accumulator, new.results[0].dtype, f"accumulator of {old.id}")
    else:
        same(_dtypes(old), _dtypes(new), f"dtypes of {old.id}")
    for edit in edits:
        if isinstance(edit, Pad):
            full = sizes_of(padded(old, edit.axis, edit.to), edit.axis)
            same(full, sizes_of(new, edit.axis), f"{edit.axis} of {old.id}")
    kept = [edit.property for edit in edits if isinstance(edit, Keep)]
    assert not (layouts and "layout" in kept), f"{old.id} is both kept and changed"


def _dtypes(layer: Layer) -> list[str]:
    return [item.type.dtype for item in layer.operands] + [result.dtype for result in layer.results]


def _as_predicted(conversion: Conversion) -> None:
    foreseen, found = conversion.plan.predicted, conversion.realised
    same(foreseen.layout_transforms, found.layout_transforms, "predicted layout transforms")
    copies = (foreseen.padding.fills, foreseen.padding.cuts) if foreseen.padding else (0, 0)
    same(copies, (found.fills, found.cuts), "predicted fills and cuts")
    if "astype" not in conversion.before.by_op:  # a cast of the model's own may be one with one that was added
        same(foreseen.casts, found.casts, "predicted casts")


# ── what is computed ─────────────────────────────────────────────────────────────────────────────────────────────────


def recast(conversion: Conversion) -> dict[str, tuple[str, str]]:
    """By the name of a binding of the prepared model, the dtypes that its layer computes and sums in."""
    edits = conversion.plan.decided("dtype").items()
    layers = conversion.before.by_id
    return {layers[key].source: (edit.dtype, edit.accumulator) for key, edit in edits if isinstance(edit, ChangeDType)}


def _computes_well(net: Network, conversion: Conversion) -> bool:
    """The converted module computes what the prepared one does with each planned layer computed in its dtype."""
    meant = recast(conversion)
    scale = 3.0 if any("int" in dtype for dtype, _ in meant.values()) else 1.0
    try:
        return agree(
            "numbers",
            lambda inputs: run(conversion.original, inputs, meant),
            lambda inputs: run(conversion.converted, inputs),
            [network.arguments(net, seed, scale) for seed in SEEDS],
            CONVERTED,
        )
    except NoMeaning as limit:
        raise Broken("an operator that no network had", str(limit)) from limit
