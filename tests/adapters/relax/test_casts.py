"""Float casts by their numbers: what an accumulator is worth, and what lies beyond an eight-bit float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import ml_dtypes
import networks
import numpy as np
import pytest

from corecast.adapters.relax import Conversion, Model, apply, emulate, survey
from corecast.adapters.rounding import rounded
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.plan import plan

DENSE = """
data: float32 1x4096
nn.dense#0(data, %w: float32 4096x1) -> float32 1x1 @fc
return nn.dense#0
"""
CONVOLUTION = """
data: float32 1x512x3x3
nn.conv2d#0(data, %w: float32 1x512x3x3) -> float32 1x1x1x1 @conv
return nn.conv2d#0
"""
PAIR = """
data: float32 2x8
nn.dense#0(data, %a: float32 8x8) -> float32 2x8 @first
nn.dense#1(nn.dense#0, %b: float32 8x8) -> float32 2x8 @second
nn.dense#2(nn.dense#0, %c: float32 8x8) -> float32 2x8 @third
add#0(nn.dense#1, nn.dense#2) -> float32 2x8 @sum
return add#0
"""


def converted(rules: str, model: Model) -> Conversion:
    table = survey(model)
    return apply(plan(read_recipe(Source("test.rules", rules), table), table), model)


def with_weights(model: Model, values: Mapping[str, np.ndarray]) -> Model:
    return replace(model, parameters={**model.parameters, **values})


@pytest.mark.parametrize(("text", "terms"), [(DENSE, 4096), (CONVOLUTION, 4608)])
def test_a_float16_accumulator_stops_counting_where_float32_goes_on(text: str, terms: int) -> None:
    """2048 + 1 is 2048 in float16: as many ones as there are terms come to that, and never to more."""
    network = networks.model_of(text)
    ones = {name: np.ones(array.shape, np.float32) for name, array in network.parameters.items()}
    (shape,) = [tuple(map(int, var.ty.shape.values)) for var in network.inputs]
    sums = {}
    for accumulator in ("float32", "float16"):
        made = converted(f"match *, cast float16 -> {accumulator}", with_weights(network, ones)).converted
        (found,) = networks.run(made, {"data": np.ones(shape, np.float32)})
        sums[accumulator] = float(found.ravel()[0])
    assert sums == {"float32": terms, "float16": 2048}


def test_a_float32_sum_between_two_float16_layers_is_cast_once_for_all_its_readers() -> None:
    """Besides the input; the results are float32 sums already."""
    done = converted("match nn.dense, cast float16 -> float32", networks.model_of(PAIR))
    casts = [layer.source for layer in done.after.by_op["astype"]]
    assert casts == ["data_float16", "first_float16"]
    assert {str(array.dtype) for array in done.converted.parameters.values()} == {"float16"}
    assert done.realised.parameter_bytes == 3 * 64 * 2


# ── beyond an eight-bit float ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("dtype", "largest"), [("float8_e4m3fn", 448.0), ("float8_e5m2", 57344.0)])
def test_eight_bit_floats_saturate(dtype: str, largest: float) -> None:
    """By itself ml_dtypes makes NaN of such a value in the one, and infinity in the other. NaN stays."""
    values = np.array([0.0, 1e6, -1e6, np.inf, largest, -largest, np.nan], np.float32)
    found = rounded(values, dtype).astype(np.float32)
    np.testing.assert_array_equal(found, [0.0, largest, -largest, largest, largest, -largest, np.nan])
    assert not np.isfinite(values.astype(getattr(ml_dtypes, dtype))[1:3].astype(np.float32)).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats_overflow_as_ieee_has_it(dtype: str) -> None:
    values = np.array([1e39, -1e39])
    expected = values if dtype == "float64" else [np.inf, -np.inf]
    np.testing.assert_array_equal(rounded(values, dtype).astype(np.float64), expected)


def test_weights_and_activations_beyond_float8_saturate_and_the_weights_are_counted() -> None:
    """1000 times 1000, eight times, with both as 448."""
    model = with_weights(
        networks.model_of("data: float32 1x8\nnn.dense#0(data, %w: float32 8x2) -> float32 1x2\nreturn nn.dense#0\n"),
        {"w": np.array([[1000.0, 1.0]] * 8, np.float32)},
    )
    done = converted("match nn.dense, cast float8_e4m3", model)
    (found,) = networks.run(emulate(done.converted), {"data": np.full((1, 8), 1000, np.float32)})
    np.testing.assert_array_equal(found, [[8 * 448 * 448, 8 * 448]])
    (warning,) = done.warnings
    assert warning.slug == "cast-overflow"
    assert "8 of the 16 values of the weight w lie beyond what float8_e4m3fn holds, -448 to 448" in warning.message
    assert "become the nearest of these" in warning.message


def test_what_float8_holds_is_told_of_nobody() -> None:
    done = converted("match nn.dense, cast float8_e4m3", networks.model_of(PAIR))
    assert not done.warnings
