"""Loading: what a model is called, where its weights go, and what cannot be read."""

# TVMScript is Python to the parser only: its functions have no self.
# ruff: noqa: N805, N812

import json
import warnings

import numpy as np
import onnx
import pytest
import tvm
from onnx import helper, numpy_helper
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from corecast.adapters.relax import ModelError, load, survey

CONV = """
<ir_version: 8, opset_import: ["" : 13]>
net (float[1,3,8,8] image) => (float[1,4,8,8] y)
{
    shape = Constant<value = int64[4] {4,3,3,3}>()
    weight = ConstantOfShape(shape)
    bias_shape = Constant<value = int64[1] {4}>()
    bias = ConstantOfShape(bias_shape)
    [stem_conv] c = Conv<pads = [1,1,1,1]>(image, weight, bias)
    y = Relu(c)
}
"""


def slug(error) -> str:
    return error.value.problems[0].slug


def names(model) -> list[str]:
    return [binding.var.name for block in model.main.body.blocks for binding in block.bindings]


def test_bindings_have_the_names_of_their_nodes(onnx_file):
    """The call that does a node's work has its name, the others a suffix; a node without a name has its output's."""
    assert names(load(onnx_file(CONV), weights="random:0")) == ["stem_conv", "stem_conv_1", "stem_conv_2", "y"]


def test_pieces_of_two_nodes_that_are_joined_later_keep_their_own_names(onnx_file):
    """The importer binds a node's last call where it is read, after pieces of the next node."""
    model = load(
        onnx_file(
            """
            <ir_version: 8, opset_import: ["" : 13]>
            net (float[1,3,8,8] x) => (float[1,4,8,8] y)
            {
                s = Constant<value = int64[4] {4,3,1,1}>()
                v = ConstantOfShape(s)
                w = ConstantOfShape(s)
                t = Constant<value = int64[1] {4}>()
                b = ConstantOfShape(t)
                c = ConstantOfShape(t)
                [left] l = Conv(x, v, b)
                [right] r = Conv(x, w, c)
                [join] y = Add(l, r)
            }
            """
        ),
        weights="random:0",
    )
    found = {binding.var.name: binding.value for block in model.main.body.blocks for binding in block.bindings}
    convolutions = [name for name, value in found.items() if value.op.name == "relax.nn.conv2d"]
    assert convolutions == ["left", "right"]
    assert [argument.name for argument in found["join"].args] == ["left_2", "right_2"]


def test_weights_stand_beside_the_module_under_their_own_names(onnx_file):
    """Inputs come first, then one argument for each weight; the module holds no values."""
    model = load(onnx_file(CONV), weights="random:0")
    assert [var.name for var in model.inputs] == ["image"]
    assert list(model.parameters) == [var.name for var in model.weights] == ["weight", "bias"]
    assert model.parameters["weight"].shape == (4, 3, 3, 3)
    relax.analysis.well_formed(model.module)


def test_initializers_that_are_listed_as_inputs_are_weights_all_the_same(tmp_path):
    """Files of IR version 3 list them twice, and TVM's importer would make two arguments of each."""
    weight = numpy_helper.from_array(np.ones((4, 3, 1, 1), "float32"), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "net",
        [
            helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8]),
            helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [4, 3, 1, 1]),
        ],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4, 8, 8])],
        [weight],
    )
    path = tmp_path / "old.onnx"
    onnx.save(helper.make_model(graph, ir_version=3, opset_imports=[helper.make_opsetid("", 9)]), str(path))
    model = load(path)
    assert [var.name for var in model.main.params] == ["x", "w"]
    assert list(model.parameters) == ["w"]


def test_the_origin_is_enough_to_load_the_same_model_again(onnx_file):
    """Path, digest, weight fill and shapes; the weights' digest tells one fill from another."""
    path = onnx_file(CONV)
    model = load(path, weights="random:0", shapes={"image": [2, 3, 8, 8]})
    assert model.name == "model.onnx"
    assert model.origin is not None
    assert model.origin.shapes == {"image": (2, 3, 8, 8)}
    again = load(model.origin.path, weights=model.origin.weights, shapes=model.origin.shapes)
    assert again.weights_digest == model.weights_digest
    assert load(path, weights="random:1").weights_digest != model.weights_digest


def test_a_named_dynamic_size_stays_in_the_types(onnx_file):
    """Nothing is guessed about it; `shapes` gives it a value."""
    path = onnx_file(CONV.replace("float[1,3,8,8] image", "float[batch,3,8,8] image"))
    assert survey(load(path, weights="random:0")).arguments["image"].shape == ("batch", 3, 8, 8)
    fixed = load(path, weights="random:0", shapes={"image": (2, 3, 8, 8)})
    assert survey(fixed).layers[-1].results[0].shape == (2, 4, 8, 8)


def test_an_input_of_unknown_rank_is_taken_with_a_warning_that_says_so(tmp_path):
    """Of the importer's warnings only such a one asks for something that the reader can do."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    path = tmp_path / "any.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(path))
    with pytest.warns(UserWarning, match="unknown rank"):
        load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(path, shapes={"x": (1, 3)})


def test_a_missing_file_is_our_error(tmp_path):
    """It names the path."""
    with pytest.raises(ModelError, match=r"nowhere\.onnx") as error:
        load(tmp_path / "nowhere.onnx")
    assert slug(error) == "no-model"


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x07\x12\xff"])
def test_what_is_no_model_is_our_error(tmp_path, content):
    """An empty file, a text, a file cut off."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        load(path)
    assert slug(error) == "not-a-model"


def test_a_truncated_model_is_our_error(tmp_path, light):
    """Half a file."""
    path = tmp_path / "half.onnx"
    content = light("squeezenet").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="only a part") as error:
        load(path)
    assert slug(error) == "not-a-model"


def test_all_unsupported_operators_are_named(onnx_file):
    """Not only the first."""
    text = CONV.replace("y = Relu(c)", "a = StringNormalizer(c)\n y = TfIdfVectorizer(a)")
    with pytest.raises(ModelError, match="StringNormalizer, TfIdfVectorizer") as error:
        load(onnx_file(text))
    assert slug(error) == "unsupported-operators"


def test_a_graph_that_reads_what_nothing_makes_is_our_error(onnx_file):
    """The value is named."""
    with pytest.raises(ModelError, match="`nothing`") as error:
        load(onnx_file(CONV.replace("Relu(c)", "Relu(nothing)")))
    assert slug(error) == "import"


def test_a_failing_conversion_names_the_node(onnx_file, capsys):
    """What the importer would print goes into the error."""
    with pytest.raises(ModelError, match="Reshape") as error:
        load(onnx_file(CONV.replace("y = Relu(c)", "k = Constant<value = int64[1] {7}>()\n y = Reshape(c, k)")))
    assert slug(error) == "import"
    assert not capsys.readouterr().out


def test_an_unknown_input_offers_the_known_ones(onnx_file):
    """A shape for an input that the model does not have."""
    with pytest.raises(ModelError, match="`image`") as error:
        load(onnx_file(CONV), shapes={"imag": [1, 3, 8, 8]})
    assert slug(error) == "unknown-input"


@I.ir_module
class Dense:
    @R.function
    def main(x: R.Tensor((2, 8), "float32"), w: R.Tensor((8, 8), "float32")) -> R.Tensor((2, 8), "float32"):
        with R.dataflow():
            y = R.matmul(x, w)
            R.output(y)
        return y


def with_constants() -> tvm.ir.IRModule:
    """The same with its weight and an epsilon inside."""
    x = relax.Var("x", relax.TensorType((2, 8), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(relax.op.matmul(x, relax.const(np.ones((8, 8), "float32"))), "y")
            z = builder.emit_output(relax.op.add(y, relax.const(0.5, "float32")), "z")
        builder.emit_func_output(z)
    return builder.get()


def test_large_constants_of_a_module_become_parameters():
    """Named after their reader and the operand's role; small ones stay."""
    model = load(with_constants())
    assert list(model.parameters) == ["y.x2"]
    assert [var.name for var in model.inputs] == ["x"]
    relax.analysis.well_formed(model.module)


def test_attached_parameters_of_a_module_are_its_weights():
    """TVM's frontends leave them in the attribute `params`."""
    attached = Dense["main"].with_attr("params", [tvm.runtime.tensor(np.ones((8, 8), "float32"))])
    model = load(tvm.ir.IRModule({"main": attached}))
    assert list(model.parameters) == ["w"]
    assert "params" not in model.main.attrs


def test_a_module_whose_weights_are_elsewhere_is_our_error_and_can_be_surveyed(tmp_path):
    """A bundle's own module says how many of its arguments are inputs; the others are no inputs all of a sudden."""
    detached = tvm.ir.IRModule({"main": Dense["main"].with_attr("num_input", 1)})
    path = tmp_path / "module.json"
    path.write_text(tvm.ir.save_json(detached))
    with pytest.raises(ModelError, match=r"the values of 1 of the 1 parameters of module\.json are not in it") as error:
        load(path)
    assert slug(error) == "no-weights"
    assert "nn.dense" in survey(detached).by_op


def test_a_module_saved_as_json_reads_back(tmp_path):
    """As `tvm.ir.save_json` writes it."""
    path = tmp_path / "net.json"
    path.write_text(tvm.ir.save_json(with_constants()))
    model = load(path)
    assert model.name == "net.json"
    assert model.weights_digest == load(with_constants()).weights_digest


def test_json_that_is_no_module_is_our_error(tmp_path):
    """JSON alone does not make a module."""
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"nodes": []}))
    with pytest.raises(ModelError) as error:
        load(path)
    assert slug(error) == "not-a-model"


def test_a_module_without_any_relax_function_is_our_error():
    """There is nothing to choose from; test_functions.py has the modules that leave a choice."""
    with pytest.raises(ModelError, match="no Relax function") as error:
        load(tvm.ir.IRModule({}))
    assert slug(error) == "no-main"


def test_weights_are_filled_for_onnx_models_only():
    """A module brings its weights."""
    with pytest.raises(ModelError) as error:
        load(Dense, weights="random:0")
    assert slug(error) == "not-onnx"


def _with_external_weight(folder, value: float):
    weight = numpy_helper.from_array(np.full((4, 3, 1, 1), value, "float32"), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4, 8, 8])],
        [weight],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    path = folder / "net.onnx"
    (folder / "net.bin").unlink(missing_ok=True)
    onnx.save(model, str(path), save_as_external_data=True, location="net.bin", size_threshold=0)
    return path


def test_weights_in_another_file_are_part_of_what_the_model_is(tmp_path):
    """A bundle refuses an original whose external weights have changed, though its own file has not."""
    path = _with_external_weight(tmp_path, 1.0)
    first, content = load(path), path.read_bytes()
    second = load(_with_external_weight(tmp_path, 2.0))
    assert path.read_bytes() == content
    assert [model.parameters["w"].flat[0] for model in (first, second)] == [1.0, 2.0]
    assert first.origin.sha256 != second.origin.sha256


def test_missing_external_weights_are_named(tmp_path):
    """With the file that should be there."""
    path = _with_external_weight(tmp_path, 1.0)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(ModelError, match=r"net\.bin are missing"):
        load(path)


def test_an_onnx_model_in_memory_is_taken_as_from_its_file_and_left_as_it_is(onnx_file):
    """What a converter of models has in its hands; it has no file to be loaded from again."""
    path = onnx_file(CONV)
    proto = onnx.load(path)
    before = proto.SerializeToString()
    model = load(proto, weights="random:0")
    assert survey(model).fingerprint == survey(load(path, weights="random:0")).fingerprint
    assert (model.name, model.origin) == ("net", None)
    assert proto.SerializeToString() == before


def test_an_onnx_model_in_memory_whose_weights_are_elsewhere_is_our_error(onnx_file, tmp_path):
    """Nobody knows which folder they would be in."""
    proto = onnx.load(onnx_file(CONV))
    weight = numpy_helper.from_array(np.zeros((4, 3, 3, 3), "float32"), "elsewhere")
    proto.graph.initializer.append(weight)
    onnx.save(proto, tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    with pytest.raises(ModelError) as error:
        load(onnx.load(tmp_path / "big.onnx", load_external_data=False))
    assert slug(error) == "no-weights"
