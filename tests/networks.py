"""Networks for tests: a layer table's text in, a Relax model with seeded weights out; and running models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tvm
from tvm import relax
from tvm.ir import IRModule

from corecast.adapters.relax import Model, build_model, observed
from corecast.backends import Runner, build
from corecast.model import TensorType, find_target, parse_table
from corecast.plan.integers import Integers
from corecast.quantization import CalibratedModel, Calibration, Range
from corecast.verify import seeded_inputs


def model_of(text: str, seed: int = 0) -> Model:
    """Build the network that `corecast.model.parse_table` reads; weights are normal and scaled by their fan-in."""
    return build_model(parse_table(text, model="network"), seed)


def outputs(model: Model, seed: int = 0, parameters: Mapping[str, np.ndarray] | None = None) -> list[np.ndarray]:
    """Compile for this CPU and run on seeded inputs."""
    types = {var.name: TensorType(dtype=str(var.ty.dtype), shape=_sizes(var)) for var in model.inputs}
    return run(model, seeded_inputs(types, seed), parameters)


def run(
    model: Model, inputs: Mapping[str, np.ndarray], parameters: Mapping[str, np.ndarray] | None = None
) -> list[np.ndarray]:
    """Compile for this CPU and run."""
    arrays = [*inputs.values(), *(parameters or model.parameters).values()]
    machine = relax.VirtualMachine(tvm.compile(model.module, "llvm"), tvm.cpu())
    result = machine["main"](*(tvm.runtime.tensor(np.asarray(array, order="C")) for array in arrays))
    return [result.numpy()] if isinstance(result, tvm.runtime.Tensor) else [item.numpy() for item in result]


def _sizes(var: relax.Var) -> tuple[int, ...]:
    return tuple(int(size) for size in var.ty.shape.values)


def script(module: IRModule) -> str:
    """The body of `main` as TVMScript, one line a binding, without what every line repeats."""
    text = module["main"].script(show_meta=False)
    lines = [line.strip() for line in text.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("with R.dataflow"))
    return "\n".join(line for line in lines[start + 1 :] if line and not line.startswith("#")) + "\n"


def calibrated(model: Model, found: Integers, seeds: Sequence[int] = (0, 1)) -> Calibration:
    """The ranges of the values that a plan needs, from the least to the greatest on seeded inputs."""
    seen = observed(model, found.to_observe)
    runner = Runner(build(seen.model.module, find_target("llvm")), seen.model.parameters)
    ranges: dict[str, Range] = {}
    for seed in seeds:
        arrays = runner(*seeded_inputs(found.table.arguments, seed).values())
        for name, array in seen.named(arrays).items():
            here = Range(low=float(array.min()), high=float(array.max()))
            ranges[name] = ranges[name].union(here) if name in ranges else here
    return Calibration(model=CalibratedModel.of(found.table), method="min-max", samples=len(seeds), ranges=ranges)


def bound(model: Model) -> IRModule:
    """The module with its weights in it, as other toolchains have it."""
    arrays = {var.name: tvm.runtime.tensor(np.asarray(model.parameters[var.name])) for var in model.weights}
    return relax.transform.BindParams("main", arrays)(model.module)
