"""Quantized networks compute what docs/quantization.md says, to the last bit, and near to what they computed before."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from integer_reference import Reference

from corecast.adapters.relax import Conversion, apply, prepare, survey
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.plan import plan
from corecast.plan.integers import Integers, integers
from corecast.quantization import Calibration
from corecast.verify import difference, seeded_inputs

# A stem, a residual block whose second convolution has a bias, a pool, two branches that are joined, and a classifier.
NETWORK = """
image: float32 2x3x8x8
nn.conv2d#0(image, %w0: float32 8x3x3x3) padding=[1, 1, 1, 1] -> float32 2x8x8x8 @stem
nn.relu#0(nn.conv2d#0) -> float32 2x8x8x8 @stem_relu
nn.conv2d#1(nn.relu#0, %w1: float32 8x8x3x3) padding=[1, 1, 1, 1] -> float32 2x8x8x8 @first
add#0(nn.conv2d#1, %b1: float32 1x8x1x1) -> float32 2x8x8x8 @first_bias
nn.relu#1(add#0) -> float32 2x8x8x8 @first_relu
nn.conv2d#2(nn.relu#1, %w2: float32 8x8x3x3) padding=[1, 1, 1, 1] -> float32 2x8x8x8 @second
add#1(%b2: float32 1x8x1x1, nn.conv2d#2) -> float32 2x8x8x8 @second_bias
add#2(add#1, nn.relu#0) -> float32 2x8x8x8 @sum
nn.relu#2(add#2) -> float32 2x8x8x8 @sum_relu
nn.max_pool2d#0(nn.relu#2) pool_size=[2, 2] strides=[2, 2] -> float32 2x8x4x4 @pool
nn.conv2d#3(nn.max_pool2d#0, %w3: float32 8x1x3x3) padding=[1, 1, 1, 1] groups=8 -> float32 2x8x4x4 @depthwise
clip#0(nn.conv2d#3) min=0.0 max=6.0 -> float32 2x8x4x4 @relu6
nn.conv2d#4(nn.max_pool2d#0, %w4: float32 8x8x1x1) -> float32 2x8x4x4 @pointwise
concat#0(clip#0, nn.conv2d#4) axis=1 -> float32 2x16x4x4 @joined
nn.conv2d#5(concat#0, %w5: float32 16x16x1x1) strides=[2, 2] -> float32 2x16x2x2 @strided
mean#0(nn.conv2d#5) axis=[2, 3] keepdims=true -> float32 2x16x1x1 @average
reshape#0(mean#0) -> float32 2x16 @flat
nn.dense#0(reshape#0, %w6: float32 16x10) -> float32 2x10 @classifier
add#3(nn.dense#0, %b6: float32 10) -> float32 2x10 @classifier_bias
return add#3
"""


def quantized(
    network: str, rules: str, seed: int = 0, **weights: np.ndarray
) -> tuple[Conversion, Calibration, Integers]:
    """A network that is planned, calibrated on two inputs, and converted."""
    built = networks.model_of(network, seed)
    model = prepare(built.with_main(built.main, {**built.parameters, **weights}))
    table = survey(model)
    decided = plan(read_recipe(Source("case.rules", rules), table), table)
    found = integers(table, decided.decided("dtype"))
    calibration = networks.calibrated(model, found)
    return apply(decided, model, calibration), calibration, found


def compared(network: str, rules: str, seed: int = 0, **weights: np.ndarray) -> float:
    """Check that a converted network computes what the reference says on an input that calibration has not seen.

    Returns the distance to the float network in decibels.
    """
    conversion, calibration, found = quantized(network, rules, seed, **weights)
    inputs = seeded_inputs(found.table.arguments, 7)
    converted = networks.run(conversion.converted, inputs)
    expected = Reference(found, calibration, conversion.original.parameters).run(inputs)
    for have, want in zip(converted, expected, strict=True):
        np.testing.assert_array_equal(have, want)
    assert conversion.realised.quantized == len(found.quantized)
    assert conversion.realised.dequantized == len(found.dequantized)
    assert (conversion.realised.layout_transforms, conversion.realised.casts) == (
        conversion.plan.predicted.layout_transforms,
        conversion.plan.predicted.casts,
    )
    return difference(networks.run(conversion.original, inputs), converted).snr_db


@pytest.mark.parametrize("layout", ["", "\nmatch nn.conv2d, set layout HWNC", "\nmatch nn.conv2d, set layout NHWC"])
@pytest.mark.parametrize("scheme", ["int8", "int8 asymmetric", "uint8", "uint8 weights per_tensor"])
def test_a_network_is_computed_on_integers(scheme: str, layout: str) -> None:
    """In every scheme and in every layout: to the last bit what the reference computes, near to what floats say."""
    assert compared(NETWORK, f"match nn.conv2d or nn.dense, quantize {scheme}{layout}") > 25
