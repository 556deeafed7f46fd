"""The survey: which calls are layers, how they are numbered, and what the table says of them."""

import numpy as np
import pytest
import tvm
from relay.relay_networks import NETWORKS, ZOO, golden, network, weights
from tvm import relay

from corecast.adapters.relay import enumerate_calls, survey
from corecast.model import LayerTable, format_table

LISTED = ("nn.conv2d", "nn.dense", "nn.conv2d_transpose")


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_stand_in_the_order_in_which_the_original_counted(name):
    layers = [layer for layer in survey(network(name)).layers if layer.op in LISTED]
    expected = [row[1].partition("#")[0] for row in golden(name)["layers"]]
    assert [layer.name for layer in layers] == expected


@pytest.mark.parametrize("name", ZOO)
def test_weights_are_told_from_inputs(name):
    table = survey(network(name))
    assert list(table.arguments) == ["data"]
    assert {parameter for layer in table.layers for parameter in layer.parameters} == weights(name)


def test_a_table_reads_back_from_its_json():
    table = survey(network("squeezenet_v11_b1"), name="squeezenet")
    assert LayerTable.model_validate_json(table.model_dump_json()) == table


def tensors(*names, shape=(2, 8)):
    return [relay.var(name, shape=shape) for name in names]


def test_tuples_lets_and_prepared_weights_are_seen_through():
    data, weight, bias = relay.var("data", shape=(2, 8)), relay.var("w", shape=(8, 6)), relay.var("b", shape=(6,))
    dense = relay.nn.dense(data, relay.cast(relay.transpose(weight), "float32"))
    halves = relay.split(relay.add(dense, relay.expand_dims(bias, 0)), 2, axis=1)
    bound = relay.var("bound")
    body = relay.Let(bound, relay.concatenate([halves[1], halves[0], dense], axis=1), relay.nn.relu(bound))
    table = survey(relay.Function([data, weight, bias], body))
    assert [line.partition(")")[0] for line in format_table(table).splitlines()[1:-1]] == [
        "nn.dense#0(data, %w: float32 8x6",
        "add#0(nn.dense#0, %b: float32 1x6",
        "split#0(add#0",
        "concat#0(split#0.1, split#0, nn.dense#0",
        "nn.relu#0(concat#0",
    ]
    assert [table.by_id["nn.dense#0"].size(axis) for axis in "IO"] == [8, 6]


def test_a_dense_layer_has_its_channels_whatever_way_its_weight_stands():
    data, weight = relay.var("data", shape=(2, 8)), relay.var("w", shape=(6, 8))
    for call in (relay.nn.dense(data, weight), relay.nn.matmul(data, weight, transpose_b=True)):
        (layer,) = survey(tvm.IRModule.from_expr(call)).layers
        assert (layer.op, layer.size("C"), layer.size("O"), layer.flops) == ("nn.dense", 8, 6, 2 * 2 * 8 * 6)


def test_a_product_of_two_activations_is_a_matmul():
    left, right = tensors("left", "right", shape=(4, 4))
    product = relay.nn.matmul(relay.nn.relu(left), relay.nn.relu(right))
    assert survey(tvm.IRModule.from_expr(product)).layers[-1].op == "matmul"


def test_parameters_can_be_named():
    data, other = tensors("data", "other")
    module = tvm.IRModule.from_expr(relay.Function([data, other], relay.add(data, other)))
    assert list(survey(module).arguments) == ["data", "other"]
    assert list(survey(module, parameters=["other"]).arguments) == ["data"]


def test_constants_are_weights():
    weight = relay.const(np.ones((6, 8), "float32"))
    (layer,) = survey(tvm.IRModule.from_expr(relay.nn.dense(relay.var("data", shape=(2, 8)), weight))).layers
    assert (layer.name, str(layer.operands[1].type)) == ("constant0", "float32 8x6")


def test_a_called_function_is_one_layer():
    (inner,) = tensors("inner")
    (data,) = tensors("data")
    call = relay.Call(relay.Function([inner], relay.nn.relu(inner)), [data])
    table = survey(tvm.IRModule.from_expr(relay.Function([data], relay.nn.relu(call))))
    assert [layer.id for layer in table.layers] == ["call#0", "nn.relu#0"]
    assert table.layers[1].producers == (0,)


def test_a_dynamic_size_has_a_name():
    data = relay.var("data", shape=(relay.Any(), 8))
    (layer,) = survey(tvm.IRModule.from_expr(relay.nn.relu(data))).layers
    assert (layer.results[0].shape, layer.behaviour) == (("any", 8), "unknown")


def test_spans_are_sources():
    (data,) = tensors("data")
    bare = relay.nn.relu(data)
    named = relay.Call(bare.op, bare.args, bare.attrs, None, relay.Span(relay.SourceName("node_7"), 1, 1, 0, 0))
    assert survey(tvm.IRModule.from_expr(named)).find("node_7").id == "nn.relu#0"


def test_calls_have_the_ids_of_the_table():
    module = network("tiny_residual_deep_first")
    assert [layer for layer, _ in enumerate_calls(module["main"])] == [layer.id for layer in survey(module).layers]
