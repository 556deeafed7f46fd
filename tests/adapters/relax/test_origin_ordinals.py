"""Ordinals mean the same layers in a network built directly, in its ONNX import, in recipes and in the utilities."""

from __future__ import annotations

from pathlib import Path

import golden_networks as networks
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from corecast.adapters.relax import LayoutConfig, compile_plan, convert_layout, load, prepare, recast, survey
from corecast.api.recipes import read_recipe
from corecast.plan import plan

ORIGIN = Path(__file__).parents[3] / "rules" / "origin" / "origin.rules"

# ONNX knows no NHWC; the short branch has a test of its own.
IMPORTED = {*networks.TINY, "squeezenet_v11_b1", "resnet18_32px_b1"} - {"tiny_nhwc_pair", "tiny_residual_short_first"}


@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_ordinals_and_depths_are_those_of_the_onnx_import(name, tmp_path):
    """Also after everything that is prepared there: batch norms folded, biases lifted, dropouts gone."""
    direct = survey(networks.network(name))
    imported = through_onnx(direct, tmp_path)
    for op in ("nn.conv2d", "nn.conv2d_transpose", "nn.dense"):
        assert list(map(identity, imported.by_op.get(op, ()))) == list(map(identity, direct.by_op.get(op, ())))


def test_a_convolution_of_an_onnx_file_is_numbered_where_it_is_first_read(tmp_path):
    """TVM's importer binds a node when something reads it: a short branch that stands first comes after the long one's
    first layer. `corecast layers` shows the weights' names, and depths do not depend on any order.
    """
    direct = survey(networks.network("tiny_residual_short_first"))
    imported = through_onnx(direct, tmp_path)
    numbered = [[layer.name for layer in table.by_op["nn.conv2d"]] for table in (direct, imported)]
    assert numbered[0] == ["w_stem", "w_short", "w_a1", "w_a2", "w_tail"]
    assert numbered[1] == ["w_stem", "w_a1", "w_short", "w_a2", "w_tail"]
    depths = [{layer.name: layer.depth for layer in table.by_op["nn.conv2d"]} for table in (direct, imported)]
    assert depths[0] == depths[1] == {"w_stem": 3, "w_a1": 2, "w_short": 1, "w_a2": 1, "w_tail": 0}


def through_onnx(table, folder):
    onnx.save(exported(table), folder / "network.onnx")
    return survey(prepare(load(folder / "network.onnx")))


def identity(layer):
    return layer.id, layer.depth, layer.name, layer.operands[1].type.shape, layer.results[0].shape


def test_resnet50_of_onnx_is_another_network_with_the_same_ordinals(light):
    """Version 1.5 there (relu behind the sum, stride in the 3x3), version 2 here: equal ordinals, depths, kernels."""
    imported = survey(prepare(load(light("resnet50"), weights="random:0"))).by_op["nn.conv2d"]
    direct = survey(networks.network("resnet50_b1")).by_op["nn.conv2d"]
    assert [(layer.id, layer.depth, kernel(layer)) for layer in imported] == [
        (layer.id, layer.depth, kernel(layer)) for layer in direct
    ]
    moved = [left.id for left, right in zip(imported, direct, strict=True) if strides(left) != strides(right)]
    assert moved == [f"nn.conv2d#{number}" for number in (11, 12, 24, 25, 43, 44)]


def kernel(layer):
    return layer.operands[1].type.shape


def strides(layer):
    return layer.attributes["strides"]


@pytest.mark.parametrize("name", ["resnet18_b8", "resnet50_b8", "mobilenet_b1", "squeezenet_v11_b1"])
def test_the_recipe_says_what_the_workflow_does(name):
    """`rules/origin` gives the very layers that the six lines give."""
    assert by_rules(name) == by_calls(name)


def test_the_recipe_skips_one_layer_where_the_workflow_skips_all_of_its_depth():
    """Three first layers stand side by side: the ordinal 0 is one of them, the depth 0 is all three."""
    assert [row[-1] for row in by_rules("tiny_concat")] == ["float32", "int32", "int32", "int32"]
    assert [row[-1] for row in by_calls("tiny_concat")] == ["float32", "float32", "float32", "int32"]


def by_rules(name):
    module = networks.network(name)
    table = survey(module)
    return networks.realised(survey(compile_plan(plan(read_recipe(ORIGIN, table), table)).sequential()(module)))


def by_calls(name):
    with LayoutConfig(skip_layers=[0]):
        module = convert_layout(networks.network(name), {"nn.conv2d": ["HWNC", "default"]})
    return networks.realised(survey(recast(module, "int4", "int32", skip_layers=[0])))


# ── writing a network as ONNX ────────────────────────────────────────────────────────────────────────────────────────


def exported(table):
    """The network as an exporter would write it: a node a layer, in their order, with weights under their names."""
    weights = {}
    nodes = [node for layer in table.layers for node in nodes_of(layer, weights)]
    types = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ty.shape) for name, ty in table.arguments.items()
    }
    result = helper.make_tensor_value_info(f"y{table.returns[0].layer}", TensorProto.FLOAT, table.returns[0].type.shape)
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "network", list(types.values()), [result], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def nodes_of(layer, weights):
    inputs = [f"y{operand.layer}" if operand.layer is not None else operand.argument for operand in layer.operands]
    for place, operand in enumerate(layer.operands):
        if operand.parameter is not None:
            # A dense layer's weight stands transposed in the table; Gemm takes it as it is named.
            shape = tuple(reversed(operand.type.shape)) if layer.op == "nn.dense" else operand.type.shape
            inputs[place] = operand.parameter
            weights[operand.parameter] = np.random.default_rng(place).uniform(0.1, 1, shape).astype(np.float32)
    op, attributes = ONNX[layer.op](layer.attributes)
    yield helper.make_node(op, inputs, [f"y{layer.index}"], **attributes)


def conv(how):
    return {"strides": how["strides"], "pads": how["padding"], "group": how["groups"]}


ONNX = {
    "nn.conv2d": lambda how: ("Conv", conv(how)),
    "nn.conv2d_transpose": lambda how: ("ConvTranspose", conv(how)),
    "nn.dense": lambda _: ("Gemm", {"transB": 1}),
    "nn.batch_norm": lambda how: ("BatchNormalization", {"epsilon": how["epsilon"]}),
    "nn.relu": lambda _: ("Relu", {}),
    "nn.max_pool2d": lambda how: ("MaxPool", {key: how[name] for key, name in POOL.items()}),
    "nn.adaptive_avg_pool2d": lambda _: ("GlobalAveragePool", {}),
    "nn.softmax": lambda _: ("Softmax", {}),
    "add": lambda _: ("Add", {}),
    "concat": lambda how: ("Concat", {"axis": how["axis"]}),
    "reshape": lambda _: ("Flatten", {}),
}

POOL = {"kernel_shape": "pool_size", "strides": "strides", "pads": "padding"}
