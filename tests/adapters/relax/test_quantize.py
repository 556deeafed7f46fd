"""Quantized networks compute what docs/quantization.md says, to the last bit, and near to what they computed before."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from quantized import Quantized
from tvm import relax

from corecast.adapters.relax import (
    Model,
    RealisedError,
    apply,
    compile_plan,
    prepare,
    recipe_pass,
    survey,
)
from corecast.adapters.relax.apply import realised
from corecast.adapters.relax.forms import forms_of
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.plan import plan
from corecast.quantization import CalibrationError, Quantization, Range
from corecast.verify import difference, seeded_inputs

# A stem, a residual block whose convolutions have biases, a pool, two branches that are joined, and a classifier.
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


@pytest.mark.parametrize(
    ("scheme", "layout"),
    [("int8", ""), ("int8 asymmetric", "NHWC"), ("uint8", "HWNC"), ("uint8 weights per_tensor", "")],
)
def test_a_network_is_computed_on_integers(scheme: str, layout: str) -> None:
    """In every scheme, beside layouts: to the last bit what the reference computes, near to what the floats say."""
    layouts = f"\nmatch nn.conv2d, set layout {layout}" if layout else ""
    network = Quantized.of(NETWORK, f"match nn.conv2d or nn.dense, quantize {scheme}{layouts}")
    assert network.compared() > 25
    layers = {layer.source: layer for layer in network.apply().after.layers}
    for name in ("stem", "first", "second", "depthwise", "pointwise", "strided", "classifier"):
        have = [operand.type.dtype for operand in layers[name].operands], layers[name].results[0].dtype
        assert have == ([scheme.split()[0], "int8"], "int32")
    assert layers["sum"].results[0].dtype == "int32"
    assert layers["joined"].results[0].dtype == scheme.split()[0]


def test_weights_are_bytes_on_disk() -> None:
    """The float weights are gone, and those of a convolution keep their names; its sums and biases are int32."""
    converted = Quantized.of(NETWORK, "match nn.conv2d or nn.dense, quantize uint8").apply().converted
    assert {name for name, array in converted.parameters.items() if array.dtype == np.int8} == {
        f"w{number}" for number in range(7)
    }
    assert not any(array.dtype == np.float32 and array.size > 16 for array in converted.parameters.values())


# ── small networks ───────────────────────────────────────────────────────────────────────────────────────────────────

TWO = """
data: float32 2x4x5x5
nn.conv2d#0(data, %w0: float32 4x4x3x3) padding=[1, 1, 1, 1] -> float32 2x4x5x5 @c0
add#0(nn.conv2d#0, %b0: float32 1x4x1x1) -> float32 2x4x5x5 @b0
nn.relu#0(add#0) -> float32 2x4x5x5 @r0
nn.conv2d#1(nn.relu#0, %w1: float32 4x4x3x3) padding=[1, 1, 1, 1] -> float32 2x4x5x5 @c1
return nn.conv2d#1
"""


def test_a_channel_of_zeros_stays_zero() -> None:
    """And its bias is exact: the scale of weights that are nothing is made to fit what is added to them."""
    weight = networks.model_of(TWO).parameters["w1"].copy()
    weight[2] = 0
    network = Quantized.of(TWO, "match nn.conv2d, quantize int8", w1=weight)
    assert network.compared() > 25
    answers = networks.run(network.apply().converted, seeded_inputs(network.integers.table.arguments, 7))[0]
    assert not answers[:, 2].any()


def test_a_large_bias_beside_weights_of_nothing_keeps_its_value() -> None:
    """In steps of the usual scale it would not be an int32: 1e6 / (0.03 * 1e-9 / 127)."""
    weight, bias = (networks.model_of(TWO).parameters[name].copy() for name in ("w0", "b0"))
    weight[1], bias[0, 1] = 1e-9, 1e6
    network = Quantized.of(TWO, "match nn.conv2d #0, quantize int8", w0=weight, b0=bias)
    inputs = seeded_inputs(network.integers.table.arguments, 7)
    before, after = networks.run(network.model, inputs)[0], networks.run(network.apply().converted, inputs)[0]
    np.testing.assert_allclose(after, before, atol=0.03 * np.abs(before).max())


def test_what_was_always_zero_has_the_scale_one() -> None:
    """Nothing is divided by zero, and what comes out is a number."""
    zeros = np.zeros((4, 4, 3, 3), np.float32)
    network = Quantized.of(TWO, "match nn.conv2d, quantize uint8", w0=zeros, b0=np.zeros((1, 4, 1, 1), np.float32))
    assert network.calibration.ranges["nn.relu#0"] == Range(low=0, high=0)
    converted = network.apply().converted
    answers = networks.run(converted, seeded_inputs(network.integers.table.arguments, 7))[0]
    assert not answers.any()


def test_a_scale_that_underflows_is_the_smallest() -> None:
    """Values that float32 hardly holds become a few steps; all that comes of them is finite."""
    network = Quantized.of(TWO, "match nn.conv2d, quantize int8", w0=np.full((4, 4, 3, 3), 1e-41, np.float32))
    inputs = seeded_inputs(network.integers.table.arguments, 7)
    before, after = networks.run(network.model, inputs)[0], networks.run(network.apply().converted, inputs)[0]
    assert difference([before], [after]).cosine > 0.99


def test_what_is_beyond_the_range_is_cut_off() -> None:
    """Infinity too; NaN has no integer, and becomes the greatest one of TVM's code."""
    network = Quantized.of(TWO, "match nn.conv2d #0, quantize int8")
    high = network.calibration.ranges["data"]
    most = np.float32(max(-high.low, high.high))
    data = np.zeros((2, 4, 5, 5), np.float32)
    data[0, 0, 2, 2], data[1, 0, 2, 2] = most, np.inf
    answers = networks.run(network.apply().converted, {"data": data})[0]
    assert np.isfinite(answers).all()
    np.testing.assert_array_equal(answers[0], answers[1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_refused(value: float) -> None:
    """With the layer, the weight and the next step."""
    network = Quantized.of(TWO, "match nn.conv2d #1, quantize int8")
    weights = {**network.model.parameters, "w1": np.full((4, 4, 3, 3), value, np.float32)}
    model = network.model.with_main(network.model.main, weights)
    with pytest.raises(CalibrationError, match=r"nn\.conv2d#1, w1: .*144 are (NaN|infinite) of its values"):
        apply(network.plan, model, network.calibration)


SHARED = """
data: float32 2x4x5x5
nn.conv2d#0(data, %w: float32 4x4x1x1) -> float32 2x4x5x5 @c0
nn.conv2d#1(nn.conv2d#0, %w: float32 4x4x1x1) -> float32 2x4x5x5 @c1
nn.conv2d#2(nn.conv2d#1, %w: float32 4x4x1x1) -> float32 2x4x5x5 @c2
return nn.conv2d#2
"""


@pytest.mark.parametrize(("layers", "kept"), [("nn.conv2d", {"int8"}), ("nn.conv2d #0..1", {"int8", "float32"})])
def test_a_shared_weight_is_kept_once_in_each_dtype(layers: str, kept: set[str]) -> None:
    """Two quantized layers read the same integers, a third that is not quantized the floats."""
    network = Quantized.of(SHARED, f"match {layers}, quantize int8")
    weights = [array for array in network.apply().converted.parameters.values() if array.shape == (4, 4, 1, 1)]
    assert sorted(str(array.dtype) for array in weights) == sorted(kept)


BOTH = """
data: float32 2x4x5x5
nn.conv2d#0(data, %w0: float32 4x4x1x1) -> float32 2x4x5x5 @c0
nn.relu#0(nn.conv2d#0) -> float32 2x4x5x5 @r0
nn.conv2d#1(nn.relu#0, %w1: float32 4x4x1x1) -> float32 2x4x5x5 @c1
negative#0(nn.relu#0) -> float32 2x4x5x5 @n0
add#0(nn.relu#0, negative#0) -> float32 2x4x5x5 @a0
return nn.relu#0, nn.conv2d#1, negative#0, add#0
"""


def test_what_integers_and_floats_read_becomes_a_float_once() -> None:
    """The relu is an output, and is read by a quantized convolution, a sign change and an addition."""
    network = Quantized.of(BOTH, "match nn.conv2d, quantize uint8")
    assert network.integers.carried == ("nn.relu#0",)
    assert network.compared() > 25
    added = [layer.op for layer in network.apply().after.layers]
    assert (added.count("quantize"), added.count("dequantize")) == (1, 2)


FORMS = """
data: float32 2x4x5x5
nn.conv2d#0(data, %w0: float32 4x4x1x1) -> float32 2x4x5x5 @c0
nn.conv2d#1(nn.conv2d#0, %w1: float32 4x4x1x1) -> float32 2x4x5x5 @c1
nn.conv2d#2(nn.conv2d#0, %w2: float32 4x4x1x1) -> float32 2x4x5x5 @c2
return nn.conv2d#1, nn.conv2d#2
"""


def test_layers_that_read_one_value_in_two_forms() -> None:
    """It is made in the first and brought to the scale of the second, as integers."""
    rules = "match nn.conv2d, quantize int8\nmatch nn.conv2d #2, quantize uint8"
    network = Quantized.of(FORMS, rules)
    assert network.compared() > 25
    assert network.apply().realised.quantized == 1


ATTENTION = """
query: float32 2x6x8
key: float32 2x8x6
value: float32 2x6x8
matmul#0(query, key) -> float32 2x6x6 @scores
nn.relu#0(matmul#0) -> float32 2x6x6 @positive
matmul#1(nn.relu#0, value) -> float32 2x6x8 @mixed
return matmul#1
"""


def test_products_of_two_activations() -> None:
    """Per tensor on both sides; the relu between them is carried along."""
    assert Quantized.of(ATTENTION, "match matmul, quantize int8").compared() > 25


POOLED = """
data: float32 2x4x4x4
nn.conv2d#0(data, %w0: float32 8x4x1x1) -> float32 2x8x4x4 @c0
nn.avg_pool2d#0(nn.conv2d#0) pool_size=[4, 4] -> float32 2x8x1x1 @whole
nn.conv2d#1(nn.avg_pool2d#0, %w1: float32 8x8x1x1) -> float32 2x8x1x1 @c1
nn.adaptive_avg_pool2d#0(nn.conv2d#0) output_size=[1, 1] -> float32 2x8x1x1 @adaptive
nn.conv2d#2(nn.adaptive_avg_pool2d#0, %w2: float32 8x8x1x1) -> float32 2x8x1x1 @c2
nn.avg_pool2d#1(nn.conv2d#0) pool_size=[2, 2] strides=[2, 2] -> float32 2x8x2x2 @part
nn.conv2d#3(nn.avg_pool2d#1, %w3: float32 8x8x1x1) -> float32 2x8x2x2 @c3
return nn.conv2d#1, nn.conv2d#2
"""


def test_averages_over_all_of_space_are_sums_of_integers() -> None:
    """In another layout too; one over a part of it is computed on floats, as TVM divides integers towards zero."""
    network = Quantized.of(POOLED, "match nn.conv2d, quantize uint8, set layout HWNC")
    assert network.integers.carried == ("nn.avg_pool2d#0", "nn.adaptive_avg_pool2d#0")
    assert network.compared() > 25
    of_parts = POOLED.replace("return nn.conv2d#1, nn.conv2d#2", "return nn.conv2d#3")
    assert not Quantized.of(of_parts, "match nn.conv2d, quantize uint8").integers.carried


def test_what_a_relu_cuts_off_is_compared_behind_it() -> None:
    """The integers of the bias hold nothing below zero, and the module says that they are not its value."""
    network = Quantized.of(TWO, "match nn.conv2d, quantize uint8")
    assert network.integers.cut == {(network.integers.table.by_id["add#0"].index, 0)}
    forms = forms_of(network.apply().converted.main)
    assert (forms["b0"], forms["r0"] is None) == (None, False)


def test_a_tuple_that_is_bound_to_a_name_is_joined_as_integers() -> None:
    """Some importers write it inside of the call, some before it."""
    builder = relax.BlockBuilder()
    data, *weights = (relax.Var(name, relax.TensorType(shape, "float32")) for name, shape in JOINED.items())
    with builder.function("main", [data, *weights]):
        with builder.dataflow():
            pair = [builder.emit(relax.op.nn.conv2d(data, weight), f"c{at}") for at, weight in enumerate(weights[:2])]
            joined = builder.emit(relax.op.concat(builder.emit(relax.Tuple(pair), "pair"), 1), "joined")
            output = builder.emit_output(relax.op.nn.conv2d(joined, weights[2]), "c2")
        builder.emit_func_output(output)
    module = builder.get()
    module["main"] = module["main"].with_attr("num_input", 1)
    values = np.random.default_rng(0)
    parameters = {name: values.normal(size=shape).astype("float32") for name, shape in list(JOINED.items())[1:]}
    network = Quantized.of_model(Model(module, parameters, "joined"), "match nn.conv2d, quantize int8")
    assert network.integers.carried == ("concat#0",)
    assert network.compared() > 25


JOINED = {"data": (1, 4, 3, 3), "w0": (4, 4, 1, 1), "w1": (4, 4, 1, 1), "w2": (4, 8, 1, 1)}


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def two() -> Quantized:
    return Quantized.of(TWO, "match nn.conv2d, quantize int8")


def test_a_plan_that_quantizes_needs_a_calibration(two: Quantized) -> None:
    """The message names the next two commands; one that quantizes nothing needs none."""
    with pytest.raises(CalibrationError) as raised:
        apply(two.plan, two.model)
    assert "corecast calibrate" in str(raised.value)
    assert "--calibration calibration.json" in str(raised.value)


def test_a_calibration_of_another_model_is_refused(two: Quantized) -> None:
    other = Quantized.of(SHARED, "match nn.conv2d, quantize int8").calibration
    with pytest.raises(CalibrationError, match="another model"):
        apply(two.plan, two.model, other)


def test_a_value_without_a_range_is_told(two: Quantized) -> None:
    """A layer that never ran in calibration has none, and no scale is made up for it."""
    ranges = {name: found for name, found in two.calibration.ranges.items() if name != "nn.relu#0"}
    lacking = two.calibration.model_copy(update={"ranges": ranges})
    with pytest.raises(CalibrationError, match=r"no range for nn\.relu#0") as raised:
        apply(two.plan, two.model, lacking)
    assert "`keep dtype`" in str(raised.value)


def test_a_pass_that_plans_for_itself_has_no_scales(two: Quantized) -> None:
    """It says what else there is."""
    recipe = read_recipe(Source("case.rules", "match nn.conv2d, quantize int8"), survey(two.model))
    constants = networks.bound(two.model)
    with pytest.raises(CalibrationError, match=r"compile_plan\(plan, quantization\)"):
        recipe_pass(recipe)(constants)


def test_the_passes_of_a_plan_take_scales(two: Quantized) -> None:
    """In a `Sequential` of one's own; without scales they can be printed, and refuse to be run."""
    found = Quantization.of(two.integers, two.calibration, two.model.parameters)
    converted = compile_plan(two.plan, found).sequential()(two.model.module)
    assert realised(two.plan, survey(two.model), survey(converted)).quantized == 1
    with pytest.raises(CalibrationError, match="nothing says in which ranges"):
        compile_plan(two.plan).sequential()(two.model.module)


DISGUISED = """
data: float32 2x4x5x5
nn.conv2d#0(data, %w0: float32 4x4x3x3) padding=[1, 1, 1, 1] -> float32 2x4x5x5 @c0
nn.relu#0(nn.conv2d#0) -> float32 2x4x5x5 @r0
return nn.relu#0
"""


def test_a_float_graph_in_disguise_is_no_realised_plan() -> None:
    """Integers that become floats again before the convolution, as graphs of pairs have it, are found out."""
    model = prepare(networks.model_of(DISGUISED))
    table = survey(model)
    decided = plan(read_recipe(Source("case.rules", "match nn.conv2d, quantize int8"), table), table)
    builder = relax.BlockBuilder()
    data, weight = model.main.params
    scale, zero = relax.const(0.05, "float32"), relax.const(0, "int8")
    with builder.function("main", [data, weight]):
        with builder.dataflow():
            pair = builder.emit(relax.op.quantize(data, scale, zero, -1, "int8"))
            pair = builder.emit(relax.op.dequantize(pair, scale, zero, -1, "float32"))
            conv = builder.emit(relax.op.nn.conv2d(pair, weight, padding=(1, 1, 1, 1)), "c0")
            output = builder.emit_output(relax.op.nn.relu(conv), "r0")
        builder.emit_func_output(output)
    module = builder.get()
    module["main"] = module["main"].with_attr("num_input", 1)
    with pytest.raises(RealisedError, match=r"nn\.conv2d#0 \(node c0\): `quantize int8` was decided"):
        realised(decided, table, survey(module))
