"""Errors of layers: every layer beside itself in the original, in the original's form, the worst first."""

from __future__ import annotations

import networks
import numpy as np
import pytest

from corecast.adapters.onnx import apply as apply_onnx
from corecast.adapters.onnx import survey as survey_onnx
from corecast.adapters.onnx import verify_models
from corecast.adapters.relax import Conversion, apply, observed, prepare, survey
from corecast.api import Source, plan, read_recipe
from corecast.api.layerwise import errors_of_layers
from corecast.model import parse_table
from corecast.plan.integers import integers
from corecast.quantization import CalibratedModel, Calibration, Range
from corecast.verify import LayerError, Whole, compare_layers, inputs_for, layer_errors

# The sizes differ along each axis, or a wrong transpose would be none.
NETWORK = """
data: float32 2x3x10x8
nn.conv2d#0(data, %w0: float32 6x3x3x3) -> float32 2x6x8x6 @conv0
nn.relu#0(nn.conv2d#0) -> float32 2x6x8x6 @relu0
nn.conv2d#1(nn.relu#0, %w1: float32 6x6x1x1) -> float32 2x6x8x6 @conv1
add#0(nn.conv2d#1, nn.relu#0) -> float32 2x6x8x6 @sum
mean#0(add#0) axis=[2, 3] -> float32 2x6 @pool
nn.dense#0(mean#0, %w2: float32 6x5) -> float32 2x5 @fc
argmax#0(nn.dense#0) axis=1 -> int64 2 @class
return nn.dense#0, argmax#0
"""


def converted(rules: str) -> Conversion:
    model = prepare(networks.model_of(NETWORK))
    table = survey(model)
    return apply(plan(read_recipe(Source("case.rules", rules), table), table), model)


def errors(rules: str) -> dict[str, LayerError]:
    conversion = converted(rules)
    batches = [Whole(inputs_for(conversion.before, seed)) for seed in (0, 1)]
    found = errors_of_layers(conversion.plan, conversion.original, conversion.converted, batches)
    return {error.layer: error for error in found}


@pytest.mark.parametrize("layout", ["HWNC", "NHWC"])
def test_what_is_kept_in_another_order_is_compared_in_the_original_s(layout: str) -> None:
    """Also what only follows, in whichever order: nothing is wrong with a layout, so nothing is said to be."""
    found = errors(f"match nn.conv2d, set layout {layout}")
    assert set(found) == {"nn.conv2d#0", "nn.relu#0", "nn.conv2d#1", "add#0", "mean#0", "nn.dense#0"}
    assert min(error.snr_db for error in found.values()) > 100
    assert found["nn.conv2d#1"].edit == f"layout {layout}, {'HWOI' if layout == 'HWNC' else 'OHWI'}"
    assert (found["add#0"].edit, found["nn.dense#0"].parameter) == (None, "w2")


@pytest.mark.parametrize("layout", ["", ", set layout HWNC"])
def test_what_was_filled_up_is_compared_without_its_zeros(layout: str) -> None:
    """Channels from 6 to 8, in either order of axes: the zeros lie behind, and are of no layer of the original."""
    found = errors(f"match nn.conv2d, pad channels to 8{layout}")
    assert set(found) == {"nn.conv2d#0", "nn.relu#0", "nn.conv2d#1", "add#0", "mean#0", "nn.dense#0"}
    assert min(error.snr_db for error in found.values()) > 100


def test_the_layers_that_lose_most_come_first() -> None:
    """What stands before a cast is as it was; what it loses, those behind it have lost too."""
    found = errors("match nn.conv2d #1, cast float8_e4m3fn\nmatch nn.dense, cast float16")
    assert [found["nn.conv2d#0"].snr_db, found["nn.relu#0"].snr_db] == [np.inf, np.inf]
    assert next(iter(found)) == "nn.conv2d#1"
    assert found["nn.conv2d#1"].snr_db < 35
    assert found["nn.conv2d#1"].snr_db < found["add#0"].snr_db < 50
    assert [error.snr_db for error in found.values()] == sorted(error.snr_db for error in found.values())


def test_a_layer_of_another_form_or_without_numbers_has_a_reason() -> None:
    """It is told last, and hides no other; masks are infinite in many a transformer."""
    found = compare_layers(
        lambda _: {"mask#0": np.array([-np.inf, 0]), "add#0": np.zeros((2, 3)), "mul#0": np.ones(2)},
        lambda _: {"mask#0": np.array([-np.inf, 0]), "add#0": np.zeros((3, 2)), "mul#0": np.array([1.0, np.nan])},
        [Whole({})],
    )
    assert "no numbers" in str(found["mask#0"])
    assert found["add#0"] == "it is 3x2 now, and was 2x3"
    table = parse_table(
        "x: float32 2\nmask#0(x) -> float32 2\nadd#0(x) -> float32 2\nmul#0(x) -> float32 2\nreturn mul#0"
    )
    told = layer_errors(converted("match nn.conv2d, cast float16").plan, table, found)
    assert [error.layer for error in told] == ["mul#0", "mask#0", "add#0"]
    assert told[0].snr_db == -np.inf


def test_nodes_of_an_onnx_model_are_compared_by_their_names() -> None:
    """Whatever casts stand between them."""
    import onnx_networks

    text = """
    <ir_version: 10, opset_import: ["" : 22]>
    net (float[2,3,8,8] x, float[8,3,3,3] w, float[8,10] w1) => (float[2,10] y)
    {
        [conv] a = Conv(x, w)
        [relu] b = Relu(a)
        [pool] c = GlobalAveragePool(b)
        [flat] d = Flatten(c)
        [dense] y = MatMul(d, w1)
    }
    """
    model = onnx_networks.model_of(text)
    conversion = apply_onnx(onnx_networks.planned("match nn.conv2d, cast bfloat16", survey_onnx(model)), model)
    found = verify_models(conversion.plan, conversion.original, conversion.converted, layers=True)
    layers = {error.layer: error for error in found.layers}
    assert set(layers) == {layer.id for layer in survey_onnx(model).layers}
    assert layers["nn.conv2d#0"].edit == "dtype bfloat16 -> bfloat16"
    assert all(35 < error.snr_db < 70 for error in found.layers)
    assert verify_models(conversion.plan, conversion.original, conversion.converted).layers == ()


# A bias behind each convolution, padding with a zero point, and a sum of two branches.
RESIDUAL = """
data: float32 2x3x10x8
nn.conv2d#0(data, %w0: float32 6x3x3x3) padding=[1, 1, 1, 1] -> float32 2x6x10x8 @conv0
add#0(nn.conv2d#0, %b0: float32 1x6x1x1) -> float32 2x6x10x8 @bias0
nn.relu#0(add#0) -> float32 2x6x10x8 @relu0
nn.conv2d#1(nn.relu#0, %w1: float32 6x6x1x1) -> float32 2x6x10x8 @conv1
add#1(nn.conv2d#1, nn.relu#0) -> float32 2x6x10x8 @sum
nn.conv2d#2(add#1, %w2: float32 4x6x1x1) -> float32 2x4x10x8 @conv2
return nn.conv2d#2
"""


@pytest.mark.parametrize(("scheme", "layout"), [("int8", ", set layout HWNC"), ("uint8", "")])
def test_integers_are_compared_as_the_numbers_that_they_stand_for(scheme: str, layout: str) -> None:
    """Also what is only carried along; a convolution whose bias is in its sums has no value of its own to compare.

    Nor has what a relu cuts off: the integers of the bias hold what the relu lets through.
    """
    conversion = quantized(f"match nn.conv2d, quantize {scheme}{layout}")
    batches = [Whole(inputs_for(conversion.before, 0))]
    found = errors_of_layers(conversion.plan, conversion.original, conversion.converted, batches)
    ratios = {error.layer: error.snr_db for error in found}
    assert set(ratios) == {"nn.relu#0", "nn.conv2d#1", "add#1", "nn.conv2d#2"}
    assert all(25 < ratio < 60 for ratio in ratios.values()), ratios


def test_a_scale_that_is_wrong_is_seen() -> None:
    """A range that cuts most of the input off costs every layer: nothing fits scales to what comes out."""
    conversion = quantized("match nn.conv2d, quantize int8", cut="data")
    batches = [Whole(inputs_for(conversion.before, 0))]
    found = errors_of_layers(conversion.plan, conversion.original, conversion.converted, batches)
    assert all(error.snr_db < 15 for error in found)


def quantized(rules: str, cut: str | None = None) -> Conversion:
    """The residual network on integers, by the extremes of one input; a value may have its range cut to a tenth."""
    model = prepare(networks.model_of(RESIDUAL))
    table = survey(model)
    decided = plan(read_recipe(Source("case.rules", rules), table), table)
    names = integers(table, decided.decided("dtype")).to_observe
    seen = observed(model, names)
    values = seen.named(networks.run(seen.model, inputs_for(table, 0)))
    parts = {name: 10 if name == cut else 1 for name in names}
    ranges = {
        name: Range(low=float(array.min()) / parts[name], high=float(array.max()) / parts[name])
        for name, array in values.items()
    }
    calibration = Calibration(model=CalibratedModel.of(table), method="min-max", samples=2, ranges=ranges)
    return apply(decided, model, calibration)
