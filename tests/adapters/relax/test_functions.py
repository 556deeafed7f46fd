"""Modules of several functions: which one is converted, and what becomes of the others."""

# TVMScript is Python to the parser only: its functions have no self.
# ruff: noqa: N805, N812

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T
from tvm_ffi import structural_equal

from corecast.adapters.relax import (
    ModelError,
    apply,
    joined,
    load,
    others_of,
    prepare,
    read_bundle,
    survey,
    write_bundle,
)
from corecast.api import Source, plan, read_recipe
from corecast.api.conversion import verify_bundle


@I.ir_module
class TwoSteps:
    """A public function that calls a private one and a kernel, and another public one that calls the same kernel."""

    @T.prim_func(private=True, s_tir=True)
    def double(
        x: T.Buffer((T.int64(1), T.int64(4), T.int64(8), T.int64(8)), "float32"),
        y: T.Buffer((T.int64(1), T.int64(4), T.int64(8), T.int64(8)), "float32"),
    ):
        for n, c, h, w in T.grid(T.int64(1), T.int64(4), T.int64(8), T.int64(8)):
            with T.sblock("double"):
                i, j, k, m = T.axis.remap("SSSS", [n, c, h, w])
                y[i, j, k, m] = x[i, j, k, m] * T.float32(2)

    @R.function(private=True)
    def block(x: R.Tensor((1, 4, 8, 8), "float32"), w: R.Tensor((4, 4, 1, 1), "float32")) -> R.Tensor(
        (1, 4, 8, 8), "float32"
    ):
        with R.dataflow():
            c = R.nn.conv2d(x, w)
            y = R.nn.relu(c)
            R.output(y)
        return y

    @R.function
    def prefill(
        x: R.Tensor((1, 4, 8, 8), "float32"), v: R.Tensor((4, 4, 1, 1), "float32"), w: R.Tensor((4, 4, 1, 1), "float32")
    ) -> R.Tensor((1, 4, 8, 8), "float32"):
        R.func_attr({"num_input": 1})
        cls = TwoSteps
        a = cls.block(x, v)
        b = R.call_tir(cls.double, (a,), out_ty=R.Tensor((1, 4, 8, 8), "float32"))
        c = cls.block(b, w)
        return c

    @R.function
    def decode(x: R.Tensor((1, 4, 8, 8), "float32")) -> R.Tensor((1, 4, 8, 8), "float32"):
        cls = TwoSteps
        with R.dataflow():
            y = R.call_tir(cls.double, (x,), out_ty=R.Tensor((1, 4, 8, 8), "float32"))
            R.output(y)
        return y


def with_weights(module: tvm.ir.IRModule, name: str) -> tvm.ir.IRModule:
    """The module with seeded values attached to one function, as TVM's frontends do."""
    function = module[name]
    random = np.random.default_rng(0)
    values = [
        tvm.runtime.tensor(random.standard_normal([int(size) for size in var.ty.shape.values]).astype("float32"))
        for var in function.params[1:]
    ]
    result = module.clone()
    result.update_func(result.get_global_var(name), function.with_attr("params", values))
    return result


def slug(error) -> str:
    return error.value.problems[0].slug


def converted(model, rules: str):
    prepared = prepare(model)
    table = survey(prepared)
    return apply(plan(read_recipe(Source("case.rules", rules), table), table), prepared)


MODULE = with_weights(TwoSteps, "prefill")


def test_a_function_is_chosen_by_its_name_and_converted(tmp_path):
    """What it calls is written out in it, so that a recipe sees every layer; the bundle's module has its name again."""
    model = load(MODULE, function="prefill")
    assert model.name == "module:prefill"
    assert [layer.op for layer in survey(model).layers] == ["nn.conv2d", "nn.relu", "call_tir", "nn.conv2d", "nn.relu"]
    bundle = write_bundle(converted(model, "match nn.conv2d, set layout NHWC"), tmp_path / "bundle")
    again = read_bundle(bundle.path)
    assert verify_bundle(again, model).verdict == "pass"
    whole = joined(again.model)
    assert {var.name_hint for var in whole.get_global_vars()} == {"prefill", "decode", "double"}
    relax.analysis.well_formed(whole)
    executable = tvm.compile(whole, "llvm")
    x = np.ones((1, 4, 8, 8), "float32")
    result = relax.VirtualMachine(executable, tvm.cpu())["decode"](tvm.runtime.tensor(x))
    np.testing.assert_array_equal(result.numpy(), 2 * x)


def test_the_others_are_told_and_survive_as_they_were():
    """Their very functions, kernels included."""
    model = load(MODULE, function="prefill")
    assert others_of(model) == ["decode"]
    whole = joined(converted(model, "match nn.conv2d, set layout HWNC").converted)
    assert structural_equal(whole["decode"], TwoSteps["decode"])


def test_without_a_name_main_is_taken_or_the_only_public_one():
    """A private function is no choice."""
    kept = {var: function for var, function in TwoSteps.functions_items() if var.name_hint != "prefill"}
    model = load(tvm.ir.IRModule(kept))
    assert (model.function, others_of(model)) == ("decode", [])


def test_where_it_is_not_clear_which_one_the_choice_is_asked_for():
    """Nothing is guessed."""
    with pytest.raises(ModelError, match=r"`decode`, `prefill`: choose one with `--function NAME`") as error:
        load(MODULE)
    assert slug(error) == "no-main"


def test_an_unknown_function_is_our_error_with_the_nearest_name():
    """As for every other name."""
    with pytest.raises(ModelError, match="`prefil`") as error:
        load(MODULE, function="prefil")
    assert (slug(error), "prefill" in str(error.value)) == ("no-function", True)


def test_a_function_that_another_one_calls_is_refused():
    """Its weights become arguments, and the caller would not pass them."""
    with pytest.raises(ModelError, match="called by `prefill`") as error:
        load(MODULE, function="block")
    assert slug(error) == "called-function"


def test_a_loop_of_calls_is_refused():
    """It cannot be written out."""

    @I.ir_module
    class Loop:
        @R.function(private=True)
        def again(x: R.Tensor((2,), "float32")) -> R.Tensor((2,), "float32"):
            y: R.Tensor((2,), "float32") = Loop.again(x)
            return y

        @R.function
        def main(x: R.Tensor((2,), "float32")) -> R.Tensor((2,), "float32"):
            y: R.Tensor((2,), "float32") = Loop.again(x)
            return y

    with pytest.raises(ModelError, match="`again` calls itself") as error:
        load(Loop)
    assert slug(error) == "recursive"
