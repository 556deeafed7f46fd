"""Prints the table of docs/casts.md: `python docs/mixed_precision.py [MODEL]...`, beside TVM's `ToMixedPrecision`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend import nn

from corecast.adapters.relax import Model, apply, emulate, load, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import TensorType
from corecast.plan import plan
from corecast.verify import difference, seeded_inputs

SEEDS = range(3)

# What TVM's pass casts: what multiplies matrices, and whatever follows it, exponentials and norms too.
RECIPES = {
    "`match *`": "match *, cast float16",
    "`match nn.conv2d or nn.dense or matmul`": "match nn.conv2d or nn.dense or matmul, cast float16, optional",
    "`match *`, `-> float16`": "match *, cast float16 -> float16",
    "`match *`, bfloat16": "match *, cast bfloat16",
    "everything by name": None,
}

HEADER = ["model", "by", "casts at run time", "weights", "largest difference", "rms difference"]


@dataclass(frozen=True)
class Converted:
    model: Model
    casts: int


# ── the models ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Encoder(nn.Module):
    """A transformer's encoder: attention and two dense layers, each behind a norm, with shortcuts around them."""

    def __init__(self, width: int = 256, heads: int = 4, blocks: int = 4) -> None:
        self.blocks = nn.ModuleList([_Block(width, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens: nn.Tensor) -> nn.Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        self.heads, self.size = heads, width // heads
        self.before, self.behind = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries, self.keys, self.values, self.out = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: nn.Tensor) -> nn.Tensor:
        read = self.before(tokens)
        queries, keys, values = (self._split(part(read)) for part in (self.queries, self.keys, self.values))
        scores = nn.op.matmul(queries, nn.op.permute_dims(keys, [0, 1, 3, 2])) * self.size**-0.5
        mixed = nn.op.matmul(nn.op.softmax(scores, -1), values)
        batch, length = tokens.shape[0], tokens.shape[1]
        tokens = tokens + self.out(nn.op.reshape(nn.op.permute_dims(mixed, [0, 2, 1, 3]), (batch, length, -1)))
        return tokens + self.narrow(nn.op.gelu(self.wide(self.behind(tokens))))

    def _split(self, tokens: nn.Tensor) -> nn.Tensor:
        batch, length = tokens.shape[0], tokens.shape[1]
        return nn.op.permute_dims(nn.op.reshape(tokens, (batch, length, self.heads, self.size)), [0, 2, 1, 3])


def encoder() -> Model:
    module, parameters = Encoder().export_tvm(spec={"forward": {"tokens": nn.spec.Tensor([2, 64, 256], "float32")}})
    random = np.random.default_rng(0)
    values = {name: _values(random, name, [int(size) for size in var.shape]) for name, var in parameters}
    function = module["forward"]
    attached = [tvm.runtime.tensor(values[var.name]) for var in function.params[1:]]
    function = function.with_attr("params", attached).with_attr("num_input", 1).with_attr("global_symbol", "main")
    return prepare(load(tvm.IRModule({"main": function})))


def _values(random: np.random.Generator, name: str, shape: Sequence[int]) -> np.ndarray:
    """Norms begin as ones and zeros, as they do in training; weights have the scale of their fan-in."""
    if len(shape) == 1:
        return np.full(shape, 1.0 if "weight" in name else 0.0, np.float32)
    return (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def resnet50() -> Model:
    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"
    return prepare(load(light, weights="random:0"))


MODELS: dict[str, Callable[[], Model]] = {"ResNet-50": resnet50, "encoder": encoder}


# ── the converters ───────────────────────────────────────────────────────────────────────────────────────────────────


def ours(model: Model, rules: str | None) -> Converted:
    table = survey(model)
    text = rules or f"match {' or '.join(sorted(table.by_op))}, cast float16"
    done = apply(plan(read_recipe(Source("float16.rules", text), table), table), model)
    return Converted(done.converted, done.realised.casts)


def theirs(model: Model, *, weights_too: bool) -> Converted:
    """By TVM's pass; with the weights among the inputs that are float16 already, or cast at every inference."""
    half = list(model.parameters) if weights_too else None
    module = relax.transform.ToMixedPrecision(out_dtype="float32", fp16_input_names=half)(model.module)
    parameters = {
        var.name: model.parameters[var.name].astype(str(var.ty.dtype))
        for var in module["main"].params[len(model.inputs) :]
    }
    made = replace(model, module=module, parameters=parameters)
    return Converted(made, _casts(made) - _casts(model))


def _casts(model: Model) -> int:
    cast = tvm.ir.Op.get("relax.astype")
    blocks = model.main.body.blocks
    return sum(getattr(binding.value, "op", None) == cast for block in blocks for binding in block.bindings)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    warnings.simplefilter("ignore")
    print(line(HEADER), line(["---", "---", *["---:"] * 4]), sep="\n")
    for name, make in MODELS.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            rows(name, make())


def rows(name: str, model: Model) -> None:
    reference = outputs(model)
    ways: dict[str, Callable[[], Converted]] = {
        what: lambda text=text: ours(model, text) for what, text in RECIPES.items()
    }
    ways["`ToMixedPrecision`"] = lambda: theirs(model, weights_too=False)
    ways["`ToMixedPrecision`, float16 weights"] = lambda: theirs(model, weights_too=True)
    for what, convert in ways.items():
        try:
            made = convert()
            found = outputs(emulate(made.model))
        except Exception as error:  # whatever TVM raises
            print(line([name, what, f"fails: {str(error).strip().splitlines()[-1][:80]}", "", "", ""]), flush=True)
            continue
        pairs = [difference([left], [right]) for left, right in zip(reference, found, strict=True)]
        largest = float(np.median([item.max_relative for item in pairs]))
        rms = [float(np.linalg.norm(a - b) / np.linalg.norm(a)) for a, b in zip(reference, found, strict=True)]
        size = sum(array.nbytes for array in made.model.parameters.values()) / 2**20
        cells = [name, what, str(made.casts), f"{size:.1f} MiB", f"{largest:.1e}", f"{np.median(rms):.1e}"]
        print(line(cells), flush=True)


def outputs(model: Model) -> list[np.ndarray]:
    """The first output for each seed."""
    shapes = {var.name: tuple(int(size) for size in var.ty.shape.values) for var in model.inputs}
    types = {var.name: TensorType(dtype=str(var.ty.dtype), shape=shapes[var.name]) for var in model.inputs}
    machine = relax.VirtualMachine(tvm.compile(model.module, "llvm"), tvm.cpu())
    weights = [tvm.runtime.tensor(np.asarray(array, order="C")) for array in model.parameters.values()]
    found = []
    for seed in SEEDS:
        inputs: Mapping[str, Any] = seeded_inputs(types, seed)
        result = machine["main"](*map(tvm.runtime.tensor, inputs.values()), *weights)
        found.append((result if isinstance(result, tvm.runtime.Tensor) else result[0]).numpy())
    return found


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
