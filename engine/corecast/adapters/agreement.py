"""A plan and the layers of a module in, what they disagree on out; it knows no IR and needs no TVM.

They must agree twice: before, for the plan must have been made for this module; after, for the converted module must
have what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from corecast.lang.problems import CorecastError, Problem
from corecast.model import Layer, LayerTable, padded, sizes_of
from corecast.plan import Plan, compress
from corecast.recipe import ChangeDType, ChangeLayout, Edit, Keep, Pad, Quantize, Tune


class PlanMismatchError(CorecastError):
    """A plan that was made for another model than the one at hand."""


class UnsupportedError(CorecastError):
    """A plan with an edit that an adapter does not know how to perform."""


class RealisedError(CorecastError):
    """A converted module that is not what the plan asked for: a fault of ours or of the compiler's."""

    exit_status = 3


class Realised(BaseModel):
    """What the converted module really has: planned layers that are as decided, and what runs at every inference.

    Layout transforms and casts are those that the model did not have. Where one was merged with a transpose or cast of
    the model's own, and one of the two is gone, there may be more or fewer than predicted. `quantized` are the tensors
    that come from floats to integers, `dequantized` those that go back; fills and cuts are copies that padding takes,
    and quantization where it fills up with a zero point.
    `parameter_bytes` is not known where the parameters are converted later, by TVM's constant folding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: int
    layout_transforms: int
    casts: int
    quantized: int = 0
    dequantized: int = 0
    fills: int = 0
    cuts: int = 0
    parameter_bytes: int | None = None


def check_plan(plan: Plan, table: LayerTable) -> None:
    """Compare the layers that a plan names with those of a module. Raises `PlanMismatchError`."""
    missing = [layer.id for layer in plan.layers if layer.id not in table.by_id]
    changed = [
        layer.id for layer in plan.layers if layer.id in table.by_id and table.by_id[layer.id].hash != layer.hash
    ]
    differences = []
    if missing:
        differences.append(f"it has no {compress(missing)}")
    if changed:
        differences.append(f"{compress(changed)} has other attributes, shapes or neighbours")
    if differences:
        message = f"this plan was made for another model ({plan.model.name}): {'; '.join(differences)}"
        raise PlanMismatchError(Problem("plan-mismatch", message, help="make it anew: `corecast plan RULES MODEL`"))


def refuse_quantized(plan: Plan, ir: str) -> None:
    """Raise `UnsupportedError` where a plan quantizes layers, for an adapter that has no integers to offer."""
    layers = [layer for layer, edit in plan.decided("dtype").items() if isinstance(edit, Quantize)]
    if layers:
        message = f"models of the IR `{ir}` are not quantized here, and {plan.recipe.file} asks for {compress(layers)}"
        help = "convert the model with TVM, as a Relax module, or leave `quantize` away"
        raise UnsupportedError(Problem("not-quantized-here", message, help=help, place=plan.model.name))


def refuse_padded(plan: Plan, ir: str) -> None:
    """Raise `UnsupportedError` where a plan pads layers, for an adapter that does not."""
    layers = [layer.id for layer in plan.layers if any(d and isinstance(d.edit, Pad) for d in layer.decisions)]
    if layers:
        message = f"models of the IR `{ir}` are not padded here, and {plan.recipe.file} asks for {compress(layers)}"
        help = "convert the model with TVM, as a Relax module, or leave `pad` away"
        raise UnsupportedError(Problem("not-padded-here", message, help=help, place=plan.model.name))


def objection(edit: Edit, old: Layer, new: Layer) -> str | None:
    """What a converted layer has instead of what was decided, or None."""
    match edit:
        case ChangeLayout(data=data, kernel=kernel):
            return _unless((new.data_layout, new.kernel_layout), (data, kernel))
        case ChangeDType(dtype=dtype, accumulator=accumulator):
            wanted = {operand.type.dtype for operand in new.operands}
            return _unless((wanted, new.results[0].dtype), ({dtype}, accumulator))
        case Quantize(activations=activations):
            operands, results = _dtypes(new)  # a third one is the bias, where it is a part of the layer
            return _unless((operands[:2], results), ([activations, "int8"], ["int32"]))
        case Pad(axis=axis, to=to):
            return _unless(sizes_of(new, axis), sizes_of(padded(old, axis, to), axis))
        case Keep(property="channels" | "batch" as axis):
            return _unless(sizes_of(new, axis), sizes_of(old, axis))
        case Keep(property="layout"):
            return _unless((new.data_layout, new.kernel_layout), (old.data_layout, old.kernel_layout))
        case Keep(property="dtype"):
            return _unless(_dtypes(new), _dtypes(old))
        case Keep() | Tune():
            return None  # a schedule is no part of the IR yet


def integer_arithmetic(added: Sequence[Layer]) -> set[int]:
    """Of the layers that were added, the casts that are a step of rescaling integers, and so no casts of a tensor.

    They stand before a multiplication or behind a clip that was added as well, or widen integers for a sum.
    """
    steps = {layer.index: layer.op for layer in added}
    return {
        layer.index
        for layer in added
        if layer.op == "astype"
        and (
            _all_are("multiply", layer.consumers, steps)
            or _all_are("clip", layer.producers, steps)
            or (layer.operands[0].type.dtype, layer.results[0].dtype) in _WIDENED
        )
    }


_WIDENED = {("int8", "int32"), ("uint8", "int32")}


def _all_are(op: str, layers: Sequence[int], steps: Mapping[int, str]) -> bool:
    return bool(layers) and all(steps.get(index) == op for index in layers)


def _dtypes(layer: Layer) -> tuple[list[str], list[str]]:
    return [operand.type.dtype for operand in layer.operands], [result.dtype for result in layer.results]


def _unless(found: object, wanted: object) -> str | None:
    return None if found == wanted else f"and the module has {found}"
