"""Dtype decisions and scales in, one mutator out: quantized layers take int8 and sum in int32, and so do those between.

It comes after layouts and casts, and knows layers by their names, which these keep. A value that is made on integers
and read as a float is converted once, and so is one that is made as a float and read as integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.ir import Call, IRModule, Tuple, Var

from corecast.adapters.relax.arithmetic import SUMS, Arithmetic, channels
from corecast.adapters.relax.attributes import with_attributes
from corecast.adapters.relax.fold import known_values
from corecast.adapters.relax.forms import Form, with_forms
from corecast.adapters.relax.model import Array
from corecast.adapters.relax.on_integers import channel_axis, on_integers, output_axis, summed
from corecast.adapters.relax.passes import module_pass, rewrite
from corecast.adapters.relax.rebuild import Line, Rebuild, reads
from corecast.adapters.relax.tensors import cast
from corecast.adapters.values import numbers_that_are_none
from corecast.lang.problems import Problem
from corecast.model import Layer
from corecast.plan.carry import Value
from corecast.plan.integers import SHARING, Slot, averaged
from corecast.quantization import (
    CalibrationError,
    Quantization,
    Scale,
    bias_steps,
    channel_sums,
    not_calibrated,
    summary,
    weight_scales,
)
from corecast.recipe import Quantize as QuantizeEdit

# What conversions of layouts and sizes add, which moves integers as well as floats.
_MOVES = frozenset(f"relax.{op}" for op in ("permute_dims", "reshape", "expand_dims", "strided_slice", "nn.pad"))


@module_pass("Quantize")
class Quantize:
    """Compute each planned layer, and what stands between such layers, on integers."""

    def __init__(self, edits: Mapping[str, QuantizeEdit], quantization: Quantization | None):
        self.edits = edits
        self.quantization = quantization

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        found = self.quantization
        if found is None:
            raise not_calibrated(len(self.edits))
        forms: dict[str, Form | None] = {}
        converted = rewrite(module, lambda rebuild: forms.update(_OnIntegers(rebuild, found).run()), found.weights)
        converted["main"] = with_forms(converted["main"], forms)
        return converted

    def __str__(self) -> str:
        return "\n".join(["corecast.Quantize:", *summary(self.edits, self.quantization)])


class _OnIntegers:
    """One rewrite. `made` has, for variables of the old function, the integers of the new one and their scale."""

    def __init__(self, rebuild: Rebuild, quantization: Quantization) -> None:
        self.rebuild = rebuild
        self.arithmetic = Arithmetic(rebuild)
        self.quantization = quantization
        self.integers = quantization.integers
        self.value = known_values(rebuild)
        self.layers = {layer.source: layer for layer in self.integers.table.layers}
        self.lines = {line.var.name: line for line in rebuild.lines}
        self.made: dict[Var, tuple[Any, int]] = {}
        self._as: dict[tuple[Any, int | None], Any] = {}  # an expression, and the number of its scale; None: as floats
        self._weights: dict[tuple[Any, int | None, bytes], Any] = {}
        self._padded: dict[tuple[Any, tuple[int, ...]], Any] = {}
        self._forms: dict[str, Form | None] = {}

    def run(self) -> Mapping[str, Form | None]:
        """Rebuild the function; what stands for the values that are made on integers now."""
        for line in self.rebuild.lines:
            layer = self.layers.get(line.var.name)
            role = self.integers.roles.get(layer.index) if layer else None
            if layer and role == "sums":
                self._sum(layer, line)
            elif role == "bias":
                self._hand_on(line)
            elif layer and role == "carried":
                self._carry(layer, line)
            elif layer is None and _is_move(line.value) and line.value.args[0] in self.made:
                integers, number = self.made[line.value.args[0]]
                attributes = line.value.attrs
                if hasattr(attributes, "pad_value"):  # filled up with what zero is
                    attributes = with_attributes(
                        attributes, pad_value=float(self.quantization.scales[number].zero_point)
                    )
                call = Call(line.value.op, [integers, *line.value.args[1:]], attributes)
                self.made[line.var] = self.rebuild.emit(call, line.var.name), number
            else:
                self._read_as_floats(line.leaves)
                self.rebuild.keep(line)
        self._read_as_floats(reads(self.rebuild.model.main.body.body))
        return self._forms

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, operand: Any, slot: Slot | None) -> Any:
        """An operand of the old function as integers of the new one."""
        assert slot is not None, "a weight is read otherwise"
        number = self.integers.group[slot]
        scale = self.quantization.scales[number]
        have, of = self.made.get(operand, (None, None))
        if of == number:
            return have
        key = (self.rebuild.new(operand) if have is None else have, number)
        if key not in self._as:
            name = operand.name if isinstance(operand, Var) else "constant"
            if of is None:
                self._as[key] = self.arithmetic.quantized(key[0], scale, name)
            else:
                old = self.quantization.scales[of]
                factor = np.float64(old.scale) / scale.scale
                self._as[key] = self.arithmetic.rescaled(have, np.asarray(factor), scale, name, offset=-old.zero_point)
        return self._as[key]

    def _read_as_floats(self, leaves: Iterable[Any]) -> None:
        """What is made on integers stands for its readers as floats from here on."""
        for leaf in leaves:
            if leaf in self.made:
                integers, number = self.made[leaf]
                key = (integers, None)
                if key not in self._as:
                    name = f"{integers.name}_float32"
                    self._as[key] = self.arithmetic.dequantized(integers, self.quantization.scales[number], name)
                self.rebuild.replace(leaf, self._as[key])

    # ── layers that multiply and add ─────────────────────────────────────────────────────────────────────────────────

    def _sum(self, layer: Layer, line: Line) -> None:
        data, kernel = self.integers.reads[layer.index]
        call = line.value
        ty = cast(line.var.ty, SUMS)
        attributes = with_attributes(call.attrs, out_dtype=SUMS)
        assert data is not None, "a quantized layer reads its data"
        scale = self.quantization.scale(data)
        first = self._read(call.args[0], data)
        if kernel is not None:
            factor = np.float64(scale.scale) * self.quantization.scale(kernel).scale
            operands = [first, self._read(call.args[1], kernel)]
            sums = self.rebuild.emit(Call(call.op, operands, attributes, call.ty_args, None, ty), line.var.name)
            self._hand_out(layer, line, sums, np.asarray(factor), None)
            return
        if scale.zero_point:
            first, attributes = self._padded_with(first, scale, attributes)
        per_channel = self.integers.edits[layer.index].weights == "per_channel"
        weight, axis = self._weight(layer, call), output_axis(call)
        bias = self._bias(layer, weight.shape[axis])
        scales = weight_scales(weight, axis if per_channel else None, scale.scale, bias)
        self._check(layer, weight, bias, scales)
        operands = [first, self._quantized_weight(call.args[1], scales, axis if per_channel else None)]
        sums = self.rebuild.emit(Call(call.op, operands, attributes, call.ty_args, None, ty), line.var.name)
        factors = scales.astype(np.float64) * scale.scale
        place = channel_axis(call, line.var.ty.ndim)
        if scale.zero_point or bias is not None:
            columns = channel_sums(weight, scales, axis) if scale.zero_point else np.zeros((), np.int64)
            steps = bias_steps(bias, factors, columns, scale.zero_point)
            name = self._bias_name(layer) or self.rebuild.fresh(f"{line.var.name}_shifted")
            sums = self.rebuild.emit(relax.op.add(sums, channels(steps, place, line.var.ty.ndim)), name)
        self._hand_out(layer, line, sums, factors, place if per_channel else None)

    def _hand_out(self, layer: Layer, line: Line, sums: Any, factors: NDArray[np.float64], axis: int | None) -> None:
        """Sums as the integers that their readers want, or as floats where nobody wants these."""
        last = self.integers.biases.get(layer.index, layer.index)
        slot = self.integers.made.get((last, 0))
        self._forms[line.var.name] = None
        value = str(self.integers.table.layers[last].source)
        if slot is None:
            floats = self.arithmetic.sums_as_floats(sums, factors, axis, f"{sums.name}_float32")
            self._forms[value] = Form(floats.name)
            self.rebuild.replace(line.var, floats)
            return
        number = self.integers.group[slot]
        scale = self.quantization.scales[number]
        integers = self.arithmetic.rescaled(sums, factors / scale.scale, scale, sums.name, axis=axis)
        self._forms[value] = self._form((last, 0), integers, scale)
        self.made[line.var] = integers, number

    def _hand_on(self, line: Line) -> None:
        """A bias is a part of the sums already."""
        sums = next(operand for operand in line.value.args if self.value(operand) is None)
        if sums in self.made:
            self.made[line.var] = self.made[sums]
        else:
            self.rebuild.replace(line.var, self.rebuild.new(sums))

    def _weight(self, layer: Layer, call: Call) -> Array:
        weight = self.value(call.args[1])
        if weight is None:
            message = f"the values of the weight {layer.name or ''} are not known here"
            help = "convert the whole model: `corecast apply`"
            raise CalibrationError(Problem("unknown-weight", message, help=help, place=layer.id))
        return weight

    def _bias(self, layer: Layer, count: int) -> Array | None:
        index = self.integers.biases.get(layer.index)
        if index is None:
            return None
        line = self.lines[str(self.integers.table.layers[index].source)]
        found = [value for operand in line.value.args if (value := self.value(operand)) is not None]
        return np.broadcast_to(np.ravel(found[0]), count)

    def _bias_name(self, layer: Layer) -> str | None:
        index = self.integers.biases.get(layer.index)
        return None if index is None else self.integers.table.layers[index].source

    def _quantized_weight(self, weight: Any, scales: Array, axis: int | None) -> Any:
        expr = self.rebuild.new(weight)
        key = (expr, axis, scales.tobytes())
        if key not in self._weights:
            name = expr.name if isinstance(expr, Var) else "constant"
            self._weights[key] = self.arithmetic.quantized_weight(expr, scales, axis, name)
        return self._weights[key]

    def _padded_with(self, data: Any, scale: Scale, attributes: Any) -> tuple[Any, Any]:
        """Data with the integers around it that stand for zero, and the attributes of a convolution that adds none."""
        padding = [int(size) for size in getattr(attributes, "padding", ())]
        if not any(padding):
            return data, attributes
        layout = str(attributes.data_layout)
        space = [axis for axis in layout if axis in "DHW"]
        widths = [0] * (2 * len(layout))
        for place, axis in enumerate(space):
            at = layout.index(axis)
            widths[2 * at], widths[2 * at + 1] = padding[place], padding[place + len(space)]
        key = (data, tuple(widths))
        if key not in self._padded:
            call = relax.op.nn.pad(data, widths, "constant", float(scale.zero_point))
            self._padded[key] = self.rebuild.emit(call, self.rebuild.fresh(f"{data.name}_padded"))
        return self._padded[key], with_attributes(attributes, padding=[0] * len(padding))

    def _check(self, layer: Layer, weight: Array, bias: Array | None, scales: Array) -> None:
        """Raise where a weight or a bias cannot be quantized."""
        if np.isfinite(scales).all():
            return
        none = [text for array in (weight, bias) if array is not None and (text := numbers_that_are_none(array))]
        message = f"{none[0]} of its values" if none else "its bias is too large for the scale of what it is added to"
        help = "leave it as it is: `keep dtype`"
        raise CalibrationError(Problem("not-quantizable", message, help=help, place=f"{layer.id}, {layer.name}"))

    # ── layers that are carried along ────────────────────────────────────────────────────────────────────────────────

    def _carry(self, layer: Layer, line: Line) -> None:
        slots, slot = self.integers.reads[layer.index], self.integers.made[layer.index, 0]
        operands = [self._read(*pair) for pair in zip(self._data(line.value), slots, strict=True)]
        scale, name = self.quantization.scale(slot), line.var.name
        if layer.op in SHARING:
            call = on_integers(layer.op, line.value, operands, scale)
            self._made_of(line, self.rebuild.emit(call, name), slot)
            return
        assert slots[0] is not None, "what is carried along reads integers"
        old = self.quantization.scale(slots[0])
        wide = [self.arithmetic.widened(operand, operand.name) for operand in operands]
        if layer.op == "add":
            count, sums = len(wide), self.rebuild.emit(relax.op.add(*wide), name)
            factor = np.float64(old.scale) / scale.scale
        else:
            count = averaged(layer) or 1
            sums = self.rebuild.emit(summed(wide[0], line.value.attrs), name)
            factor = np.float64(old.scale) / (scale.scale * count)
        integers = self.arithmetic.rescaled(sums, np.asarray(factor), scale, name, offset=-count * old.zero_point)
        self._made_of(line, integers, slot)

    def _data(self, call: Call) -> list[Any]:
        """The tensors that a call reads; those of a tuple one by one, wherever it was made."""
        found: list[Any] = []
        for item in call.args:
            made = self.lines[item.name].value if isinstance(item, Var) and item.name in self.lines else None
            part = made if isinstance(made, Tuple) else item
            found += part.fields if isinstance(part, Tuple) else [part]
        return [item for item in found if isinstance(getattr(item, "ty", None), relax.TensorType)]

    def _made_of(self, line: Line, integers: Any, slot: Slot) -> None:
        self._forms[line.var.name] = self._form(slot.value, integers, self.quantization.scale(slot))
        self.made[line.var] = integers, self.integers.group[slot]

    def _form(self, value: Value, integers: Any, scale: Scale) -> Form | None:
        return None if value in self.integers.cut else Form(integers.name, scale.scale, scale.zero_point)


def _is_move(value: Any) -> bool:
    return isinstance(value, Call) and getattr(value.op, "name", "") in _MOVES
