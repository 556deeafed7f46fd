"""Emulation: constants, inputs and whole models in dtypes that a CPU lacks."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import networks
import numpy as np
import pytest
from tvm import relax

from corecast.adapters.relax import Model, apply, emulate, emulated_dtypes, prepare, read_bundle, survey, write_bundle
from corecast.api import Source, plan, read_recipe, verify_bundle
from corecast.verify import Verification

HALF = """
data: float16 2x3x8x8
nn.conv2d#0(data, %w0: float16 16x3x3x3) -> float16 2x16x6x6 @conv0
nn.relu#0(nn.conv2d#0) -> float16 2x16x6x6 @relu0
nn.conv2d#1(nn.relu#0, %w1: float16 8x16x1x1) -> float16 2x8x6x6 @conv1
return nn.conv2d#1
"""


def model_of(call: relax.Expr, data: relax.Var) -> Model:
    builder = relax.BlockBuilder()
    with builder.function("main", [data]):
        with builder.dataflow():
            out = builder.emit_output(call)
        builder.emit_func_output(out)
    return Model(builder.get(), {}, "test")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_constants_are_carried_with_what_they_meet(dtype: str) -> None:
    """A Gemm's alpha stands in the module as a scalar of the layer's dtype; its value is that dtype's."""
    data = relax.Var("x", relax.TensorType((4,), "float32"))
    alpha = relax.const(np.array(0.1).astype(getattr(ml_dtypes, dtype, dtype)), dtype)
    model = model_of(relax.op.multiply(relax.op.astype(data, dtype), alpha), data)
    (found,) = networks.outputs(emulate(model))
    (inputs,) = networks.seeded_inputs({"x": networks.TensorType(dtype="float32", shape=(4,))}, 0).values()
    exact = inputs.astype(getattr(ml_dtypes, dtype, dtype)) * alpha.value.numpy()
    np.testing.assert_array_equal(found, exact.astype(np.float32))


def test_items_of_a_tuple_are_carried() -> None:
    """A split makes several tensors at once."""
    data = relax.Var("x", relax.TensorType((4,), "float16"))
    model = model_of(relax.TupleGetItem(relax.op.split(data, 2), 1), data)
    (found,) = networks.outputs(emulate(model))
    assert (found.dtype, found.shape) == (np.float32, (2,))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_an_input_keeps_its_dtype_and_is_carried_behind_the_door(dtype: str) -> None:
    """Whoever runs the emulated model gives it what the model takes."""
    data = relax.Var("x", relax.TensorType((4,), dtype))
    emulated = emulate(model_of(relax.op.nn.relu(data), data))
    assert str(emulated.inputs[0].ty.dtype) == dtype
    (found,) = networks.outputs(emulated)
    (inputs,) = networks.seeded_inputs({"x": networks.TensorType(dtype=dtype, shape=(4,))}, 0).values()
    np.testing.assert_array_equal(found, np.maximum(inputs, 0).astype(np.float32))


def test_a_model_in_float16_has_an_emulated_dtype_and_one_in_float32_has_none() -> None:
    """So a pure layout change on the first is emulated too."""
    assert emulated_dtypes(networks.model_of(HALF)) == ("float16",)
    assert emulated_dtypes(networks.model_of(HALF.replace("float16", "float32"))) == ()


def verified(rules: str, folder: Path) -> Verification:
    original = networks.model_of(HALF)
    prepared = prepare(original)
    table = survey(prepared)
    conversion = apply(plan(read_recipe(Source("case.rules", rules), table), table), prepared)
    write_bundle(conversion, folder / "bundle")
    return verify_bundle(read_bundle(folder / "bundle"), original)


def test_a_layout_of_a_float16_model_is_judged_with_the_tolerance_of_float16(tmp_path: Path) -> None:
    """Each layer rounds to float16, and another order of summation may round the other way."""
    verification = verified("match nn.conv2d, set layout HWNC", tmp_path)
    assert (verification.verdict, verification.tolerance) == ("pass", 1e-2)
    assert "float16 emulated by numpy" in verification.compared


def test_a_float16_model_that_is_kept_gives_its_own_answers(tmp_path: Path) -> None:
    """Both are emulated alike; with nothing changed there is nothing to disturb."""
    verification = verified("match *, keep", tmp_path)
    assert verification.verdict == "vacuous"
    assert verification.error is not None
    assert verification.error.max_relative == 0


def test_a_coarser_cast_of_a_float16_model_has_the_tolerance_of_the_cast(tmp_path: Path) -> None:
    """The coarsest dtype decides, the model's or the plan's."""
    assert verified("match nn.conv2d, cast bfloat16", tmp_path).tolerance == 8e-2
