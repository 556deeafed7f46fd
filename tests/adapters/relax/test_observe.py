"""Observed models: the same answers, and beside them what the layers in between gave."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from tvm import relax

from corecast.adapters.relax import Model, ObserveError, emulate, observed, survey

NETWORK = """
data: float32 2x3x8x8
nn.conv2d#0(data, %w0: float32 4x3x3x3) -> float32 2x4x6x6 @conv0
nn.relu#0(nn.conv2d#0) -> float32 2x4x6x6 @relu0
nn.conv2d#1(nn.relu#0, %w1: float32 4x4x1x1) -> float32 2x4x6x6 @conv1
add#0(nn.conv2d#1, nn.relu#0) -> float32 2x4x6x6 @sum
return add#0
"""


def seen(model: Model, *values: str) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """The model's own outputs and the named values, on seeded inputs."""
    found = observed(model, values)
    results = networks.outputs(found.model)
    return list(found.outputs(results)), found.named(results)


def test_values_of_layers_stand_beside_the_outputs() -> None:
    """A layer that others read, one that nobody else sees, and the result itself."""
    model = networks.model_of(NETWORK)
    outputs, values = seen(model, "nn.relu#0", "nn.conv2d#0", "add#0", "nn.conv2d#1")
    np.testing.assert_array_equal(outputs, networks.outputs(model))
    assert list(values) == ["nn.relu#0", "nn.conv2d#0", "add#0", "nn.conv2d#1"]
    np.testing.assert_array_equal(values["nn.relu#0"], np.maximum(values["nn.conv2d#0"], 0))
    np.testing.assert_array_equal(values["add#0"], outputs[0])
    np.testing.assert_allclose(values["add#0"], values["nn.conv2d#1"] + values["nn.relu#0"], rtol=1e-6)


def test_an_input_is_a_value() -> None:
    """Under its own name."""
    _, values = seen(networks.model_of(NETWORK), "data")
    given = networks.seeded_inputs({"data": networks.TensorType(dtype="float32", shape=(2, 3, 8, 8))}, 0)
    np.testing.assert_array_equal(values["data"], given["data"])


def test_layers_keep_their_ids_and_the_model_its_own_form() -> None:
    """Rules and plans speak of the same layers; without values the model is what it was."""
    model = networks.model_of(NETWORK)
    layers = [(layer.id, layer.source) for layer in survey(model).layers]
    assert [(layer.id, layer.source) for layer in survey(observed(model, ["nn.relu#0"]).model).layers] == layers
    np.testing.assert_array_equal(seen(model)[0], networks.outputs(model))


def split_model() -> Model:
    data = relax.Var("x", relax.TensorType((4, 2), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [data]):
        with builder.dataflow():
            halves = builder.emit(relax.op.split(data, 2, axis=0), "halves")
            out = builder.emit_output(relax.op.nn.relu(relax.TupleGetItem(halves, 0)))
        builder.emit_func_output(out)
    return Model(builder.get(), {}, "test")


def test_each_result_of_a_layer_has_a_name() -> None:
    """The first that of the layer; nobody has to read the second."""
    (output,), values = seen(split_model(), "split#0", "split#0:1", "x")
    np.testing.assert_array_equal(np.concatenate([values["split#0"], values["split#0:1"]]), values["x"])
    np.testing.assert_array_equal(output, np.maximum(values["split#0"], 0))


def test_several_outputs_stay_apart_from_the_values() -> None:
    """What the model returns as a tuple comes first."""
    model = networks.model_of(NETWORK.replace("return add#0", "return add#0, nn.relu#0"))
    outputs, values = seen(model, "nn.relu#0")
    assert len(outputs) == 2
    np.testing.assert_array_equal(outputs[1], values["nn.relu#0"])


def test_an_emulated_model_gives_rounded_values() -> None:
    """What a CPU computes in a wider carrier has the values of float16."""
    half = networks.model_of(NETWORK.replace("float32", "float16"))
    found = observed(half, ["nn.conv2d#0"])
    value = found.named(networks.outputs(emulate(found.model)))["nn.conv2d#0"]
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, value.astype(np.float16))


def test_every_value_that_is_not_there_is_named() -> None:
    """All at once, with the nearest name."""
    with pytest.raises(ObserveError) as caught:
        observed(networks.model_of(NETWORK), ["nn.relu#0", "nn.relu#7", "nn.relu#0:1", "dota"])
    assert [problem.slug for problem in caught.value.problems] == ["unknown-value"] * 3
    assert "did you mean `data`" in str(caught.value)
