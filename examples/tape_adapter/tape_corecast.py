"""A whole adapter in one file: a toolchain of one's own, whose models Corecast's recipes then plan and convert.

A tape is a network as JSON, one step after another, that numpy runs. Each step reads an input or what another made:
{"inputs": {"x": ["float32", 4, 8]}, "weights": {"w1": {"dtype": "float32", "values": [[...]]}}, "returns": "out",
 "steps": [{"name": "out", "op": "dense", "reads": "x", "weight": "w1"}]}
Once it is installed, `corecast apply RULES net.tape -o out.tape` and `corecast verify out.tape` work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from corecast.adapters.door import Adapter, Change, Conversion
from corecast.adapters.source import ModelError, read_content
from corecast.adapters.whole import whole_file
from corecast.model import Call, Layer, LayerTable, Operand, Signature, TensorType
from corecast.plan import Plan
from corecast.recipe import ChangeDType, predicate

OPERATORS = {"dense": "nn.dense", "relu": "nn.relu", "cast": "astype"}  # what recipes call the steps


class Step(NamedTuple):
    name: str
    op: str
    reads: str
    weight: str | None = None
    dtype: str | None = None  # of a cast


@dataclass(frozen=True)
class Tape:
    """A model; nobody changes it. It is called to run it: numpy computes each step in the dtype of what it reads."""

    name: str
    inputs: Mapping[str, TensorType]
    weights: Mapping[str, np.ndarray]
    steps: tuple[Step, ...]
    returns: str
    told: Mapping[str, str]  # what Corecast's file says of itself

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        values = dict(inputs)
        for step in self.steps:
            data = values[step.reads] @ self.weights[step.weight] if step.weight else values[step.reads]
            values[step.name] = np.maximum(data, 0) if step.op == "relu" else data.astype(step.dtype or data.dtype)
        return [values[self.returns]]


class TapeAdapter(Adapter[Tape]):
    ir = "tape"

    def load(self, path: str, **options: Any) -> Tape:  # noqa: ARG002, it has none
        try:
            data = json.loads(read_content(Path(path)))
            inputs = {name: TensorType(dtype=kind[0], shape=tuple(kind[1:])) for name, kind in data["inputs"].items()}
            weights = {name: np.array(item["values"], item["dtype"]) for name, item in data["weights"].items()}
            steps = tuple(Step(**step) for step in data["steps"])
            return Tape(Path(path).name, inputs, weights, steps, data["returns"], data.get("corecast", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError.of("not-a-model", f"{path} is no tape: {error}", "see tape_corecast.py") from None

    def survey(self, model: Tape) -> LayerTable:
        made: dict[str, Operand] = {name: Operand(type=kind, argument=name) for name, kind in model.inputs.items()}
        calls = []
        for place, step in enumerate(model.steps):
            data = made[step.reads]
            operands, shape, attributes = [data], data.type.shape, {"dtype": step.dtype} if step.dtype else {}
            if step.weight:
                weight = TensorType(dtype=str(model.weights[step.weight].dtype), shape=model.weights[step.weight].shape)
                operands.append(Operand(type=weight, parameter=step.weight))
                shape = (*(shape or ())[:-1], *(weight.shape or ())[-1:])
            result = TensorType(dtype=step.dtype or data.type.dtype, shape=shape)
            takes = Signature(op=step.op, dtypes=("float16", "float32", "float64"))  # throughout: it has no accumulator
            call = Call(op=OPERATORS[step.op], operands=tuple(operands), results=(result,), attributes=attributes)
            calls.append(replace(call, source=step.name, signature=takes))
            made[step.name] = Operand(type=result, layer=place)
        return LayerTable.of(calls, model=model.name, ir=self.ir, arguments=model.inputs, returns=[made[model.returns]])

    def compile(self, plan: Plan) -> list[Recast]:
        decided = {layer: edit.dtype for layer, edit in plan.decided("dtype").items() if isinstance(edit, ChangeDType)}
        return [Recast(decided, self)] if decided else []

    def write(self, conversion: Conversion[Tape], path: Path) -> None:
        tape = conversion.converted
        data = {
            "inputs": {name: [kind.dtype, *(kind.shape or ())] for name, kind in tape.inputs.items()},
            "weights": {name: {"dtype": str(w.dtype), "values": w.tolist()} for name, w in tape.weights.items()},
            "steps": [step._asdict() for step in tape.steps],
            "returns": tape.returns,
            "corecast": conversion.told(path),
        }
        with whole_file(path) as draft:
            draft.write_text(json.dumps(data, indent=1), encoding="utf-8")

    def told(self, model: Tape) -> Mapping[str, str]:
        return model.told

    def runner(self, model: Tape) -> Tape:
        return model

    def with_weights(self, model: Tape, changes: Mapping[str, Change]) -> Tape:
        return replace(model, weights={**model.weights, **{n: by(model.weights[n]) for n, by in changes.items()}})


class Recast(NamedTuple):
    """Compute each of these layers in its dtype: what it reads is cast, its weight ahead, and its result back."""

    decided: Mapping[str, str]
    adapter: TapeAdapter
    name: str = "tape.Recast"

    def __call__(self, model: Tape) -> Tape:
        layers = {layer.source: layer for layer in self.adapter.survey(model).layers}
        own = {n: kind.dtype for n, kind in model.inputs.items()} | {n: x.results[0].dtype for n, x in layers.items()}
        made, weights, steps = dict(own), {}, dict[str, Step]()

        def read(name: str, dtype: str) -> str:
            """The name of a value in a dtype; one cast does for all who want it."""
            if made[name] == dtype:
                return name
            return steps.setdefault(f"{name}_{dtype}", Step(f"{name}_{dtype}", "cast", name, dtype=dtype)).name

        for step in model.steps:
            dtype = self.decided.get(layers[step.name].id)
            source = step.reads if step.op == "cast" else read(step.reads, dtype or own[step.reads])
            weight = f"{step.weight}_{dtype}" if step.weight and dtype else step.weight
            if step.weight and weight:
                weights[weight] = model.weights[step.weight].astype(dtype or model.weights[step.weight].dtype)
            made[step.name] = dtype or own[step.name]
            steps[step.name] = step._replace(reads=source, weight=weight)
        returns = read(model.returns, own[model.returns])
        return replace(model, weights=weights, steps=tuple(steps.values()), returns=returns)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}:", *(f"  {layer}: {dtype}" for layer, dtype in self.decided.items())])


@predicate
def fan_in(layer: Layer) -> int | None:
    """How many numbers each result of a dense layer sums: `where fan_in > 64`."""
    shape = layer.operands[1].type.shape if layer.op == "nn.dense" else None
    return shape[0] if shape and isinstance(shape[0], int) else None
