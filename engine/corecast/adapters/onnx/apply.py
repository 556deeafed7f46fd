"""A plan and a model in, the converted model out, with what was realised read back from its graph.

Nothing is decided here. What was requested and what the resulting graph says must agree at the end, or it is an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from corecast.adapters import converted as files
from corecast.adapters import door
from corecast.adapters.agreement import Realised, check_plan
from corecast.adapters.onnx.compile import compile_plan
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.survey import survey
from corecast.adapters.values import check_values
from corecast.model import Layer, LayerTable, Operand
from corecast.plan import Plan
from corecast.plan.integers import Integers, integers
from corecast.quantization import Calibration, Quantization

Conversion: TypeAlias = files.Conversion[Model]


def apply(plan: Plan, model: Model, calibration: Calibration | None = None) -> Conversion:
    """Carry out a plan.

    Args:
        plan: made for the layer table of this model.
        model: it is not changed.
        calibration: the ranges of the values that a plan needs which quantizes.

    Raises:
        PlanMismatchError: where the plan was made for another model.
        CalibrationError: where the calibration was, or lacks a range, or a weight cannot be quantized.
        RealisedError: where the resulting graph does not have what was decided.
    """
    before = survey(model)
    check_plan(plan, before)
    found = integers(before, plan.decided("dtype"))
    quantization = Quantization.of(found, calibration, model.parameters) if found.roles else None
    converted = compile_plan(plan, quantization)(model)
    after = survey(converted)
    warnings = tuple(check_values(model, before, plan))
    return Conversion(plan, model, converted, before, after, realised(plan, before, after), warnings, model.origin)


def realised(plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
    """Compare a plan with the layers of a converted model. Raises `RealisedError` where they differ."""
    found = integers(before, plan.decided("dtype"))
    if not found.roles:
        return door.realised(plan, before, after)
    summed = {before.layers[index].source for index in found.edits}
    layers = tuple(_between_integers(layer, after) if layer.source in summed else layer for layer in after.layers)
    read_back = door.realised(plan, before, after.model_copy(update={"layers": layers}))
    quantized, dequantized = _borders(found, after)
    return read_back.model_copy(update={"quantized": quantized, "dequantized": dequantized})


def _between_integers(layer: Layer, table: LayerTable) -> Layer:
    """A layer as a runtime computes it that knows the pattern: on what its operands were before they became floats."""
    operands = tuple(_integer(operand, table) for operand in layer.operands)
    if operands[:2] == layer.operands[:2]:
        return layer
    return replace(layer, operands=operands, results=tuple(result.cast("int32") for result in layer.results))


def _integer(operand: Operand, table: LayerTable) -> Operand:
    maker = None if operand.layer is None else table.layers[operand.layer]
    return maker.operands[0] if maker is not None and maker.op == "dequantize" else operand


def _borders(found: Integers, after: LayerTable) -> tuple[int, int]:
    """How many values become integers, and how many made on integers become floats, where others read these."""
    own = {found.table.layers[index].source for index in found.roles}
    sources = {layer.index: layer.source for layer in after.layers}
    pairs = {"quantize", "dequantize"}

    def readers(index: int) -> list[int | None]:
        """Who reads a layer's result, or the pairs behind it; None for the caller of the model."""
        found: list[int | None] = [None] if any(operand.layer == index for operand in after.returns) else []
        for reader in after.layers[index].consumers:
            found += readers(reader) if after.layers[reader].op in pairs else [reader]
        return found

    becoming = [layer for layer in after.layers if layer.op == "quantize" and layer.source not in own]
    quantized = sum(_maker(layer, after) not in own for layer in becoming)
    leaving = [layer for layer in after.layers if layer.source in own]
    outside = [any(item is None or sources[item] not in own for item in readers(layer.index)) for layer in leaving]
    return quantized, sum(outside)


def _maker(layer: Layer, table: LayerTable) -> str | None:
    """The source of the layer whose result a pair begins with; pairs may stand behind each other."""
    producer = layer.operands[0].layer
    maker = None if producer is None else table.layers[producer]
    return _maker(maker, table) if maker and maker.op == "dequantize" else maker.source if maker else None
