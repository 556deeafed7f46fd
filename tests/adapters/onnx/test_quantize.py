"""Quantized ONNX models: valid, read back, run in ONNX Runtime, beside the same recipe on a Relax module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import int8_quantizers
import numpy as np
import onnx
import onnx_networks
import pytest
from onnx import TensorProto, numpy_helper

from corecast.adapters import relax
from corecast.adapters.calibrate import calibrated
from corecast.adapters.onnx import (
    Conversion,
    Model,
    apply,
    load,
    read_model,
    runner,
    survey,
    verify_models,
    write_model,
)
from corecast.adapters.onnx.observe import observed
from corecast.adapters.onnx.write import save
from corecast.api.calibration import calibrate
from corecast.api.comparing import HOST
from corecast.api.comparing import runner as compiled
from corecast.plan import Plan, PlanError
from corecast.quantization import Calibration, CalibrationError

NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[4,3,16,16] image, float[8,3,3,3] w, float[8] b, float[8,8,3,3] w1, float[5,8] w2, float[5] b2, float[5,5] w3)
 => (float[4,5] classes)
{
    [stem] a = Conv<pads = [1,1,1,1]>(image, w, b)
    [relu] r = Relu(a)
    [drop] d = Identity(r)
    [body] c = Conv<pads = [1,1,1,1]>(d, w1)
    [sum] s = Add(d, c)
    [relu1] e = Relu(s)
    [pool] p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(e)
    [mean] g = GlobalAveragePool(p)
    [flat] f = Flatten(g)
    [head] h = Gemm<transB = 1>(f, w2, b2)
    [last] classes = MatMul(h, w3)
}
"""

RULES = "match nn.conv2d or nn.dense, quantize {}"


def network(text: str = NETWORK) -> Model:
    return onnx_networks.model_of(text)


def samples(count: int = 4) -> Iterator[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    for _ in range(count):
        yield {"image": random.standard_normal((4, 3, 16, 16)).astype(np.float32)}


def calibration(plan: Plan, model: Model) -> Calibration:
    return calibrated(plan, survey(model), partial(observed, model), samples(), method="min-max")


def converted(rules: str, model: Model) -> Conversion:
    plan = onnx_networks.planned(rules, survey(model))
    return apply(plan, model, calibration(plan, model))


@pytest.mark.parametrize("how", ["int8", "int8 asymmetric", "uint8", "int8 weights per_tensor"])
def test_a_quantized_model_is_valid_and_keeps_the_answers(how: str, tmp_path: Path) -> None:
    """ONNX's checker takes it, what was decided is read back from its file, and it answers nearly as the original."""
    conversion = converted(RULES.format(how), network())
    found = read_model(write_model(conversion, tmp_path / "out.onnx"))
    assert found.report.realised == conversion.realised
    verdict = verify_models(conversion.plan, conversion.original, found.model)
    assert verdict.verdict == "pass", verdict
    assert verdict.error.snr_db > 25
    assert verdict.control


def test_weights_are_int8_and_biases_int32() -> None:
    conversion = converted(RULES.format("int8"), network())
    stored = {tensor.name: tensor for tensor in conversion.converted.proto.graph.initializer}
    assert not {"w", "w1", "w2", "w3", "b", "b2"} & stored.keys()
    weights = [stored[f"{name}_quantized"] for name in ("w", "w1", "w2", "w3")]
    assert {tensor.data_type for tensor in weights} == {TensorProto.INT8}
    assert max(abs(int(numpy_helper.to_array(tensor).min())) for tensor in weights) <= 127
    assert {stored[f"{name}_quantized"].data_type for name in ("b", "b2")} == {TensorProto.INT32}
    assert [tuple(stored[f"{name}_scale"].dims) for name in ("w", "w2", "w3")] == [(8,), (5,), (5,)]


def test_what_stands_between_quantized_layers_computes_on_integers() -> None:
    """Every value between them goes through a pair; the borders are those that the plan foresees."""
    conversion = converted(RULES.format("uint8"), network())
    plan, found = conversion.plan, conversion.realised
    assert plan.integers
    assert {"nn.relu#0", "add#0", "nn.max_pool2d#0", "mean#0"} <= set(plan.integers.carried)
    assert (found.quantized, found.dequantized) == (len(plan.integers.quantized), len(plan.integers.dequantized))
    made = {node.output[0]: node for node in conversion.converted.proto.graph.node}
    for name in ("relu", "body", "sum", "pool", "head", "last"):
        (node,) = (node for node in conversion.converted.proto.graph.node if node.name == name)
        assert all(made[value].op_type == "DequantizeLinear" for value in node.input), name


def test_values_keep_their_names() -> None:
    """Inputs and outputs of the model, and what is made on integers for what it is as a float."""
    conversion = converted(RULES.format("int8"), network())
    assert list(conversion.converted.inputs) == ["image"]
    assert conversion.converted.outputs == ["classes"]
    assert {"a", "r", "c", "s", "e"} <= conversion.converted.types.keys()


def test_a_layer_that_is_kept_reads_floats() -> None:
    conversion = converted(RULES.format("int8") + "\nmatch nn.conv2d #1, keep dtype", network())
    (node,) = (node for node in conversion.converted.proto.graph.node if node.name == "body")
    assert "w1" in node.input
    before, after = (runner(model)(next(samples())) for model in (conversion.original, conversion.converted))
    assert np.abs(before[0] - after[0]).max() < 0.05 * np.abs(before[0]).max()


# The network without what TVM's importer would bind in another order.
TWIN = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[4,3,16,16] image, float[8,3,3,3] w, float[8] b, float[8,8,3,3] w1, float[5,8] w2, float[5] b2)
 => (float[4,5] classes)
{
    [stem] a = Conv<pads = [1,1,1,1]>(image, w, b)
    [relu] r = Relu(a)
    [body] c = Conv<pads = [1,1,1,1]>(r, w1)
    [sum] s = Add(r, c)
    [relu1] e = Relu(s)
    [pool] p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(e)
    [mean] g = GlobalAveragePool(p)
    [flat] f = Flatten(g)
    [head] classes = Gemm<transB = 1>(f, w2, b2)
}
"""


@pytest.mark.parametrize("how", ["int8", "uint8"])
def test_an_onnx_file_and_a_relax_module_are_quantized_alike(how: str) -> None:
    """The same ranges are found, and the answers differ by what a float32 rounds, a step being a hundred times that."""
    proto, inputs = onnx_networks.proto_of(TWIN), next(samples())
    conversion = converted(RULES.format(how), load(proto))
    (here,) = runner(conversion.converted)(inputs)
    model = relax.prepare(relax.load(proto))
    plan = onnx_networks.planned(RULES.format(how), relax.survey(model))
    found = calibrate(plan, model, samples(), method="min-max")
    ours = calibration(conversion.plan, conversion.original)
    for name, extent in found.ranges.items():
        assert (extent.low, extent.high) == pytest.approx((ours.ranges[name].low, ours.ranges[name].high), abs=1e-5)
    module = relax.apply(plan, model, found).converted
    (there,) = compiled(module, HOST, "the Relax module")(module.parameters)(inputs)
    np.testing.assert_allclose(here, np.asarray(there), atol=1e-4 * np.abs(here).max())


def test_without_a_calibration_nothing_is_quantized() -> None:
    model = network()
    plan = onnx_networks.planned(RULES.format("int8"), survey(model))
    with pytest.raises(CalibrationError, match="nothing says in which ranges"):
        apply(plan, model)


def test_an_opset_without_scales_by_channel_declines() -> None:
    """Nothing is put there that such a model could not say."""
    old = network(NETWORK.replace('"" : 17', '"" : 12'))
    with pytest.raises(PlanError, match="Conv-11 has no scales by channel in this version of its IR; of ONNX"):
        onnx_networks.planned("match nn.conv2d, quantize int8", survey(old))


def test_a_file_that_only_its_opset_makes_new_declines(tmp_path: Path) -> None:
    """The converter of opsets leaves the IR version. With both, as the page of ONNX files says, it is quantized."""
    proto = onnx_networks.proto_of(NETWORK)
    proto.ir_version = 3
    proto.graph.input.extend(
        onnx.helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in proto.graph.initializer
    )
    onnx.save(proto, tmp_path / "old.onnx")
    with pytest.raises(PlanError, match="with IR version 4"):
        onnx_networks.planned("match nn.conv2d, quantize int8", survey(load(tmp_path / "old.onnx")))
    proto.ir_version = 8
    onnx.save(proto, tmp_path / "new.onnx")
    assert onnx_networks.planned("match nn.conv2d, quantize int8", survey(load(tmp_path / "new.onnx")))


def test_a_weight_that_two_layers_read_is_stored_once() -> None:
    text = NETWORK.replace(
        "[body] c = Conv<pads = [1,1,1,1]>(d, w1)",
        "[body] c0 = Conv<pads = [1,1,1,1]>(d, w1) [again] c = Conv<pads = [1,1,1,1]>(c0, w1)",
    )
    conversion = converted(RULES.format("int8"), network(text))
    names = [tensor.name for tensor in conversion.converted.proto.graph.initializer]
    assert [name for name in names if name.startswith("w1_quantized")] == ["w1_quantized"]


def test_weights_in_a_file_beside_the_model_go_into_one(tmp_path: Path) -> None:
    """Computed one at a time when they are written, as int8."""
    proto = onnx_networks.proto_of(NETWORK)
    onnx.save_model(proto, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    conversion = converted(RULES.format("int8"), load(tmp_path / "net.onnx"))
    assert "w1_quantized" in conversion.converted.late
    found = read_model(write_model(conversion, tmp_path / "out.onnx"))
    inside = converted(RULES.format("int8"), network()).converted
    for name in ("w_quantized", "w1_quantized", "b_quantized"):
        np.testing.assert_array_equal(found.model.array(name), inside.array(name))


@pytest.mark.parametrize(
    "rules",
    [
        "match nn.conv2d, quantize uint8\nmatch nn.dense, cast float16",
        "match nn.conv2d #1, quantize int8\nmatch nn.conv2d #0 or nn.relu, cast float16",
        "match nn.conv2d #0, quantize int8\nmatch nn.conv2d #1, quantize uint8",
    ],
)
def test_one_model_has_several_dtypes(rules: str, tmp_path: Path) -> None:
    """Casts come first; a value that two layers want as other integers goes through a pair for each."""
    conversion = converted(rules, network())
    found = read_model(write_model(conversion, tmp_path / "out.onnx"))
    verdict = verify_models(conversion.plan, conversion.original, found.model)
    assert verdict.verdict == "pass", verdict
    assert verdict.error.snr_db > 40


def test_a_wrong_scale_is_seen() -> None:
    """The check that the tests above rely on: other scales of a weight, and the answers are others."""
    conversion = converted(RULES.format("int8"), network())
    proto = onnx.ModelProto()
    proto.CopyFrom(conversion.converted.proto)
    (scale,) = (tensor for tensor in proto.graph.initializer if tensor.name == "w1_scale")
    scale.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(scale), scale.name))
    wrong = replace(conversion.converted, proto=proto)
    assert verify_models(conversion.plan, conversion.original, wrong).error.snr_db < 20


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_it_is_about_as_close_as_onnx_runtimes_own_quantizer(kind: str, tmp_path: Path) -> None:
    """Given the same file and inputs; docs/onnx.md has published networks."""
    save(network(), tmp_path / "ready.onnx")
    ours, theirs = (
        int8_quantizers.error(tmp_path / "ready.onnx", make(tmp_path / "ready.onnx", kind, tmp_path / f"{by}.onnx"))
        for by, make in int8_quantizers.MAKERS.items()
    )
    assert ours[0] > theirs[0] - 3
    assert theirs[0] > 20
