"""The properties that take TVM's compiler, a disk or another pass of TVM's: checked on a sample of all cases.

TVM's own code for the original must agree with the interpreter, and so must what it makes of the converted module; a
bundle must read back as what was written; a layout recipe must leave no more transposes than TVM's `ConvertLayout`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax
from tvm.ir import Call

from corecast.adapters.relax import Model, apply, emulate, enumerate_calls, read_bundle, write_bundle
from corecast.adapters.relax.rebuild import bindings_of, reads
from corecast.model import WEIGHTED
from corecast.plan import format_plan, parse_plan
from corecast.recipe import ChangeDType, ChangeLayout
from fuzz import network
from fuzz.interpreter import Array, NoMeaning, evaluate
from fuzz.network import Network
from fuzz.properties import Broken, Case, agree, rounding, run, same

# Of the largest value: TVM sums in the dtype that the IR states, the interpreter in float64.
COMPILED = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


class TvmFault(Exception):  # noqa: N818 (not ours, and told apart)
    """TVM cannot compile the network that was not converted at all."""


def sampled(case: Case) -> None:
    """All of them. Raises `Broken`, and `TvmFault` where TVM fails on the original already."""
    _as_from_the_plan_s_file(case)
    _no_more_transposes_than_tvm(case)
    _bundle_reads_back(case)
    _compiled_alike(case)


def _as_from_the_plan_s_file(case: Case) -> None:
    again = apply(parse_plan(format_plan(case.conversion.plan)), case.conversion.original)
    same(case.conversion.converted.module.script(), again.converted.module.script(), "applied from its YAML")


def _bundle_reads_back(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = write_bundle(case.conversion, Path(folder) / "bundle")
        read = read_bundle(written.path)
    same(written.plan, read.plan, "plan of a bundle")
    same(list(written.model.parameters), list(read.model.parameters), "parameters of a bundle")
    same(written.model.weights_digest, read.model.weights_digest, "weights of a bundle")
    if not tvm_ffi.structural_equal(written.model.module, read.model.module):
        raise Broken("module of a bundle", "it reads back as another one")


# ── compiled by TVM ──────────────────────────────────────────────────────────────────────────────────────────────────


def _compiled_alike(case: Case) -> None:
    converted = case.conversion.converted
    carried = emulate(case.loaded)
    try:
        original = compiled(carried)
    except Exception as error:
        raise TvmFault(_last_line(error)) from error
    _agrees_with_tvm("TVM on the original", case.network, original, case.loaded)
    if not tvm_ffi.structural_equal(converted.module, case.loaded.module):
        _agrees_with_tvm("TVM on the converted", case.network, compiled(emulate(converted)), converted)


def _agrees_with_tvm(name: str, net: Network, compiled: Callable[[Sequence[Array]], list[Array]], model: Model) -> None:
    dtypes = {str(binding.var.ty.dtype) for binding in bindings_of(model.main) if hasattr(binding.var.ty, "dtype")}
    tolerance = max(COMPILED.get(dtype, 0.3 if "float8" in dtype else 1e-4) for dtype in {*dtypes, "float32"})
    tolerance *= max((rounding(step.op) for step in net.steps), default=1.0)
    parameters = list(model.parameters.values())
    with suppress(NoMeaning):
        inputs = [network.arguments(net, seed, 0.5) for seed in range(3)]
        expected = evaluate(model.main, [*inputs[0], *parameters], wraps=False)
        if all(np.isfinite(array).all() for array in expected):
            agree(name, lambda arrays: run(model, arrays), compiled, inputs, tolerance)


def compiled(model: Model) -> Callable[[Sequence[Array]], list[Array]]:
    """A function of the inputs that runs what TVM's compiler makes of a model."""
    machine = relax.VirtualMachine(tvm.compile(model.module, "llvm"), tvm.cpu())

    def call(inputs: Sequence[Array]) -> list[Array]:
        arrays = [*inputs, *model.parameters.values()]
        return flat(machine["main"](*(tvm.runtime.tensor(np.asarray(array, order="C")) for array in arrays)))

    return call


def flat(result: Any) -> list[Array]:
    """What a compiled module returns, as numpy arrays."""
    return (
        [result.numpy()]
        if isinstance(result, tvm.runtime.Tensor)
        else [array for item in result for array in flat(item)]
    )


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


# ── transposes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _no_more_transposes_than_tvm(case: Case) -> None:
    conversion = case.conversion
    if any(isinstance(edit, ChangeDType) for edit in conversion.plan.decided("dtype").values()):
        return
    edits = {key: edit for key, edit in conversion.plan.decided("layout").items() if isinstance(edit, ChangeLayout)}
    bare = converted_by_tvm(conversion.original, edits)
    ours = transposes(conversion.converted.main)
    if bare is not None and ours > (theirs := transposes(bare)):
        raise Broken("more transposes than TVM's ConvertLayout", f"{ours} and not {theirs}")


def converted_by_tvm(model: Model, edits: dict[str, ChangeLayout]) -> relax.Function | None:
    """What TVM's own pass makes of a model with a layout for every convolution; None where it does not survive."""
    layers = {binding.value: layer for layer, binding in enumerate_calls(model.main)}

    def layout_of(call: Call) -> dict[str, list[str]]:
        if call.op.name == "relax.image.resize2d":
            return {call.op.name: [str(call.attrs.layout)]}
        operator = WEIGHTED.get(call.op.name.removeprefix("relax."))
        if operator is None or not operator.has_layout:
            return {}
        edit = edits.get(layers.get(call, ""))
        own = [str(call.attrs.data_layout), str(call.attrs.kernel_layout)]
        return {call.op.name: [edit.data, edit.kernel] if edit else own}

    with suppress(Exception):
        return relax.transform.ConvertLayout({}, layout_of)(model.module)["main"]
    return None


def transposes(main: relax.Function) -> int:
    """The transposes that run at every inference: those of what depends on an input."""
    count = int(main.attrs["num_input"])
    live = set(main.params[:count])
    found = 0
    for binding in bindings_of(main):
        if live.intersection(reads(binding.value)):
            live.add(binding.var)
            value = binding.value
            found += isinstance(value, Call) and getattr(value.op, "name", "") == "relax.permute_dims"
    return found
