"""The layer table of an ONNX file: the operators' names that TVM's frontend gives, stable ids, and no weight read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_networks as networks
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from corecast.adapters import relax
from corecast.adapters.onnx import ModelError, enumerate_nodes, load, survey
from corecast.model import TensorType
from corecast.model.vocabulary import OPERATORS

SHAPE = (1, 4, 8, 8)
ONE = np.ones
INDEX = np.array


def single(op: str, *constants: np.ndarray, data: int = 1, opset: int = 21, **attributes: object) -> onnx.ModelProto:
    """A model of one node that reads `data` equal inputs and then constants."""
    inputs = [helper.make_tensor_value_info(f"x{number}", TensorProto.FLOAT, SHAPE) for number in range(data)]
    weights = [numpy_helper.from_array(np.asarray(array), f"c{number}") for number, array in enumerate(constants)]
    names = [value.name for value in inputs] + [tensor.name for tensor in weights]
    node = helper.make_node(op, names, ["y"], name="node", **attributes)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "single", inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


f = np.float32
# Every operator of which TVM's frontend makes one call.
ALIKE = {
    **{op: single(op) for op in "Abs Ceil Cos Cosh Erf Exp Floor LeakyRelu Log Neg Relu Round Sigmoid Sign".split()},
    **{op: single(op) for op in "Sin Sinh Softmax LogSoftmax Sqrt Tan Tanh Transpose Flatten Gelu".split()},
    **{op: single(op) for op in "GlobalAveragePool GlobalMaxPool ReduceMean ReduceMax ArgMax Size".split()},
    "tanh Gelu": single("Gelu", approximate="tanh"),
    **{op: single(op, data=2) for op in "Add Sub Mul Div Pow Max Min Sum Equal Greater Less MatMul".split()},
    **{op: single(op, data=2) for op in "GreaterOrEqual LessOrEqual".split()},
    "dense": single("MatMul", ONE((8, 3), f)),
    "Concat": single("Concat", data=2, axis=1),
    "Reshape": single("Reshape", INDEX([1, -1])),
    "Squeeze": single("Squeeze", INDEX([0])),
    "Unsqueeze": single("Unsqueeze", INDEX([0])),
    "Expand": single("Expand", INDEX([2, 4, 8, 8])),
    "Slice": single("Slice", INDEX([0]), INDEX([2]), INDEX([1])),
    "Split": single("Split", axis=1, num_outputs=1),
    "CumSum": single("CumSum", INDEX(2)),
    "Trilu": single("Trilu", INDEX(0)),
    "lower Trilu": single("Trilu", INDEX(0), upper=0),
    "ReduceSum": single("ReduceSum", INDEX([2])),
    "PRelu": single("PRelu", ONE((4, 1, 1), f)),
    "Conv": single("Conv", ONE((4, 4, 3, 3), f)),
    "ConvTranspose": single("ConvTranspose", ONE((4, 4, 3, 3), f)),
    "MaxPool": single("MaxPool", kernel_shape=[2, 2]),
    "AveragePool": single("AveragePool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    "LayerNormalization": single("LayerNormalization", ONE(8, f), ONE(8, f)),
    "RMSNormalization": single("RMSNormalization", ONE(8, f), opset=23),
    "Resize": single("Resize", INDEX([], f), INDEX([1, 1, 2, 2], f)),
    "QuantizeLinear": single("QuantizeLinear", f(0.1), np.int8(0)),
    "Cast": single("Cast", to=TensorProto.FLOAT16),
}


@pytest.mark.parametrize("name", ALIKE)
def test_an_operator_has_the_name_that_it_has_in_tvm(name: str, tmp_path: Path) -> None:
    """And attributes of the same name have the same value."""
    path = tmp_path / "single.onnx"
    onnx.save(ALIKE[name], path)
    (ours,) = survey(load(path)).layers
    # The shape of an `Expand` is read by a call of TVM's virtual machine.
    theirs = [layer for layer in relax.survey(relax.prepare(relax.load(path))).layers if layer.op != "call"]
    assert [layer.op for layer in theirs] == [ours.op]
    common = ours.attributes.keys() & theirs[0].attributes.keys()
    assert {key: ours.attributes[key] for key in common if theirs[0].attributes[key] is not None} == {
        key: theirs[0].attributes[key] for key in common if theirs[0].attributes[key] is not None
    }


def test_every_name_can_be_checked_without_a_model() -> None:
    """`corecast check` knows the names of ONNX's operators, those that TVM has no call for too."""
    from corecast.adapters.onnx.operators import operator_name

    schemas = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
    names = {operator_name("", op, {}, 4, has_weight=True) for op in schemas}
    assert names - OPERATORS == set()


NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,3,8,8] x, float[4,3,3,3] w, float[4] b) => (float[1,4,6,6] y, float[1,4,6,6] z)
{
    a = Conv(x, w, b)
    [same] y = Relu(a)
    [same] z = Sigmoid(a)
}
"""


def test_every_node_has_a_name_of_its_own() -> None:
    """One without a name gets its output's, two of one name their outputs' numbers."""
    model = networks.model_of(NETWORK)
    assert [layer.source for layer in survey(model).layers] == ["a", "same", "same_1"]
    assert [(layer, node.name) for layer, node in enumerate_nodes(model)] == [
        ("nn.conv2d#0", "a"),
        ("nn.relu#0", "same"),
        ("sigmoid#0", "same_1"),
    ]


def test_a_bias_is_an_operand_of_its_layer() -> None:
    """In Relax it is an `add` of its own."""
    (conv, *_) = survey(networks.model_of(NETWORK)).layers
    assert [operand.parameter for operand in conv.operands] == [None, "w", "b"]
    assert conv.name == "w"
    assert conv.flops == 2 * 4 * 6 * 6 * 27


def test_a_gemm_is_a_dense_layer_with_its_weight_as_in_by_out() -> None:
    """Whichever way the file stores it."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[2,8] x, float[16,8] w, float[16] b) => (float[2,16] y) { y = Gemm<transB = 1>(x, w, b) }
    """
    (dense,) = survey(networks.model_of(text)).layers
    assert (dense.op, dense.size("I"), dense.size("O")) == ("nn.dense", 8, 16)
    assert [str(operand.type) for operand in dense.operands] == ["float32 2x8", "float32 8x16", "float32 16"]


def test_a_product_of_two_computed_tensors_is_a_matmul() -> None:
    """Only a product with a weight is a dense layer."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[4,4] x) => (float[4,4] y) { y = MatMul(x, x) }
    """
    assert [layer.id for layer in survey(networks.model_of(text)).layers] == ["matmul#0"]


FUNCTION = """
<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
net (float[4,8] x) => (float[4,8] y)
{
    [once] a = local.twice(x)
    [again] y = local.twice(a)
}
<domain: "local", opset_import: ["" : 17]>
twice (p) => (q) { r = Relu(p) q = Add(r, r) }
"""


def test_what_is_in_a_function_of_the_model_are_layers() -> None:
    """A function is written out where it is called."""
    layers = survey(networks.model_of(FUNCTION)).layers
    assert [layer.id for layer in layers] == ["nn.relu#0", "add#0", "nn.relu#1", "add#1"]
    assert len({layer.source for layer in layers}) == 4


def test_an_operator_that_nobody_defines_keeps_its_name_and_is_not_cast() -> None:
    """ONNX Runtime has operators of its own domain, whose dtypes are its business."""
    text = """
    <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
    net (float[4,8] x) => (float[4,8] y) <float[4,8] a> { a = com.microsoft.QuickGelu(x) y = Relu(a) }
    """
    table = survey(networks.model_of(text))
    assert [layer.op for layer in table.layers] == ["com.microsoft.QuickGelu", "nn.relu"]
    made = networks.planned("match *, cast float16", table)
    (request,) = made.rules[0].requests
    assert request.applied == ("nn.relu#0",)
    assert [item.reason for item in request.not_applicable] == [
        "nothing here says which dtypes com.microsoft.QuickGelu takes"
    ]


@pytest.mark.parametrize(
    ("node", "given", "fits"),
    [
        ("y = Dropout(x)", "", True),
        ("y = Dropout(x, , training)", "training = Constant<value = bool {1}>()", False),
        ("y, mask = Dropout(x)", "", True),
        ("y = Identity(x)", "", True),
    ],
)
def test_what_hands_a_tensor_on_is_no_layer(node: str, given: str, fits: bool) -> None:
    """Unless a dropout is told that it trains."""
    text = f"""
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[4,8] x) => (float[4,8] z) {{ {given} {node} z = Relu(y) }}
    """
    ops = [layer.op for layer in survey(networks.model_of(text)).layers]
    assert ops == (["nn.relu"] if fits else ["nn.dropout", "nn.relu"])


def test_sizes_that_are_not_known_are_names() -> None:
    """And `--shape` sets them."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[batch,8] x, float[8,16] w) => (float[batch,16] y) { y = MatMul(x, w) }
    """
    proto = networks.proto_of(text)
    assert load(proto).inputs == {"x": TensorType(dtype="float32", shape=("batch", 8))}
    table = survey(load(proto, shapes={"x": (3, 8)}))
    assert [str(result) for result in table.layers[0].results] == ["float32 3x16"]


def external(folder: Path) -> Path:
    path = folder / "model.onnx"
    proto = networks.proto_of(NETWORK)
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_planning_reads_no_weight(tmp_path: Path) -> None:
    """Not even a byte of the file that has them."""
    path = external(tmp_path)
    whole = survey(load(path))
    (tmp_path / "weights.bin").write_bytes(b"")
    assert survey(load(path)) == whole


def test_weights_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    """Told when the model is read: later it would be in the middle of something."""
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin are missing"):
        load(path)


def test_weights_outside_the_folder_of_the_model_are_refused(tmp_path: Path) -> None:
    """A model from elsewhere could name any file."""
    proto = networks.proto_of(NETWORK)
    path = tmp_path / "inner" / "model.onnx"
    path.parent.mkdir()
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    proto = onnx.load(path, load_external_data=False)
    (path.parent / "weights.bin").rename(tmp_path / "weights.bin")
    for tensor in proto.graph.initializer:
        tensor.external_data[0].value = "../weights.bin"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="outside its own folder"):
        load(path)


def broken(change: object) -> onnx.ModelProto:
    proto = networks.proto_of(NETWORK)
    change(proto)
    return proto


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda proto: proto.graph.node.insert(0, proto.graph.node.pop()), "reads `a`, which nothing before it makes"),
        (lambda proto: proto.graph.node.append(proto.graph.node[0]), "makes `a`, which is there already"),
        (lambda proto: proto.graph.output.add(name="lost"), "should return `lost`, which nothing makes"),
        (lambda proto: setattr(proto, "ir_version", 2), "IR version 2 is too old"),
        (lambda proto: setattr(proto.opset_import[0], "version", 9999), "knows opsets up to"),
    ],
)
def test_a_model_that_is_none_is_refused_with_the_reason(change: object, message: str) -> None:
    """Before anything is planned for it."""
    with pytest.raises(ModelError, match=message):
        load(broken(change))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [({"z": (2, 8)}, "no input `z`"), ({"x": (2, 8, 1)}, "has 2 axes"), ({"x": (2, 7)}, "cannot infer the shapes")],
)
def test_shapes_that_do_not_fit_are_refused(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    """The last one is not found by the input itself, but by what reads it."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[n,m] x, float[8,16] w) => (float[n,16] y) { y = MatMul(x, w) }
    """
    with pytest.raises(ModelError, match=message):
        load(networks.proto_of(text), shapes=shapes)


def test_a_constant_that_says_what_to_do_is_an_attribute() -> None:
    """As it is in TVM: a rule can ask for it, and a dtype that it has is no reason against a cast."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[2,8] x) => (float[16] y) { shape = Constant<value = int64[1] {-1}>() y = Reshape(x, shape) }
    """
    (reshape,) = survey(networks.model_of(text)).layers
    assert reshape.attributes == {"shape": (-1,)}
    assert len(reshape.operands) == 1


def test_a_shape_that_is_computed_is_an_operand() -> None:
    """It comes from other layers, and the table shows that."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[n,8] x, float[m,k] z) => (float[p,q] y) { s = Shape(z) y = Reshape(x, s) }
    """
    shape, reshape = survey(load(parser.parse_model(text))).layers
    assert reshape.producers == (shape.index,)
