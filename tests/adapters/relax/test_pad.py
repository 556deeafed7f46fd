"""Padding by its numbers: the answers stay, whatever stands in the padding; and what integers make of it."""

from __future__ import annotations

import networks
import numpy as np
import pytest

from corecast.adapters.agreement import UnsupportedError, objection, refuse_padded
from corecast.adapters.relax import Conversion, Model, apply, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import sizes_of
from corecast.plan import Plan, plan
from corecast.quantization import CalibratedModel, Calibration, Range
from corecast.recipe import Pad

RESIDUAL = """
data: float32 3x3x8x8
nn.conv2d#0(data, %w0: float32 10x3x3x3) padding=[1, 1, 1, 1] -> float32 3x10x8x8 @conv0
add#0(nn.conv2d#0, %b0: float32 10x1x1) -> float32 3x10x8x8 @bias0
nn.relu#0(add#0) -> float32 3x10x8x8 @relu0
nn.conv2d#1(nn.relu#0, %w1: float32 12x10x3x3) padding=[1, 1, 1, 1] -> float32 3x12x8x8 @conv1
nn.conv2d#2(nn.relu#0, %w2: float32 12x10x1x1) -> float32 3x12x8x8 @conv2
add#1(nn.conv2d#1, nn.conv2d#2) -> float32 3x12x8x8 @sum
nn.relu#1(add#1) -> float32 3x12x8x8 @relu1
mean#0(nn.relu#1) axis=[2, 3] -> float32 3x12 @mean
nn.dense#0(mean#0, %fc: float32 12x10) -> float32 3x10 @scores
return nn.dense#0
"""

# The rows of a padded batch become the terms of a sum: what stands in the added ones must not come in.
GRAM = """
data: float32 3x6
nn.dense#0(data, %w: float32 6x5) -> float32 3x5 @features
add#0(nn.dense#0, %bias: float32 5) -> float32 3x5 @biased
permute_dims#0(add#0) axes=[1, 0] -> float32 5x3 @columns
matmul#0(permute_dims#0, add#0) -> float32 5x5 @gram
return matmul#0
"""


def planned(rules: str, model: Model) -> Plan:
    table = survey(model)
    return plan(read_recipe(Source("test.rules", rules), table), table)


def converted(rules: str, model: Model) -> Conversion:
    return apply(planned(rules, model), model)


def assert_same(left: Model, right: Model) -> None:
    for expected, found in zip(networks.outputs(left), networks.outputs(right), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * float(np.abs(expected).max()))


@pytest.mark.parametrize("multiple", [2, 4, 32])
@pytest.mark.parametrize("axis", ["channels", "batch"])
def test_the_answers_stay(axis: str, multiple: int) -> None:
    network = networks.model_of(RESIDUAL)
    done = converted(f"match nn.conv2d or nn.dense, pad {axis} to {multiple}", network)
    for key in ("nn.conv2d#0", "nn.conv2d#1", "nn.conv2d#2", "nn.dense#0"):
        assert all(size % multiple == 0 for size in sizes_of(done.after.by_id[key], axis))
    assert_same(network, done.converted)


def test_padded_rows_do_not_come_into_a_sum() -> None:
    """The product pads what it sums over with zeros of its own."""
    network = networks.model_of(GRAM)
    done = converted("match nn.dense, pad batch to 8\nmatch matmul, pad channels to 8", network)
    assert_same(network, done.converted)


def test_a_result_in_its_old_size_is_not_what_was_decided() -> None:
    layer = survey(networks.model_of(RESIDUAL)).by_id["nn.conv2d#1"]
    assert objection(Pad(axis="channels", to=8), layer, layer) == "and the module has (10, 12)"
    assert objection(Pad(axis="channels", to=2), layer, layer) is None


@pytest.mark.parametrize("how", ["int8", "int8 asymmetric", "uint8"])
@pytest.mark.parametrize("pad", ["pad channels to 8", "pad batch to 8", "pad channels to 8, set layout NHWC"])
def test_quantized_layers_are_padded_with_what_zero_is(how: str, pad: str) -> None:
    """To the last bit the same as without; and nothing goes through floats in between for it."""
    network = networks.model_of(RESIDUAL)
    table = survey(network)
    low = {layer.id: 0 if "relu" in layer.id else -3 for layer in table.layers}
    ranges = {"data": Range(low=-2.5, high=3)} | {key: Range(low=least, high=3) for key, least in low.items()}
    calibration = Calibration(model=CalibratedModel.of(table), method="made up", samples=1, ranges=ranges)
    rules = f"match nn.conv2d or nn.dense, quantize {how}"
    plain, done = (
        apply(planned(text, network), network, calibration) for text in (rules, f"{rules}\nmatch nn.conv2d, {pad}")
    )
    (expected,), (found,) = networks.outputs(plain.converted), networks.outputs(done.converted)
    np.testing.assert_array_equal(found, expected)
    assert expected.std() > 0
    assert (done.realised.quantized, done.realised.dequantized) == (1, 1)


def test_an_adapter_that_does_not_pad_says_so() -> None:
    made = planned("match nn.conv2d, pad channels to 8", networks.model_of(RESIDUAL))
    with pytest.raises(UnsupportedError) as error:
        refuse_padded(made, "relay")
    assert error.value.problems[0].slug == "not-padded-here"
    assert "nn.conv2d#0..2" in error.value.problems[0].message
    refuse_padded(planned("match nn.conv2d, keep channels", networks.model_of(RESIDUAL)), "relay")
