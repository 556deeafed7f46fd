"""Folding: what depends on weights alone is computed once, and a weight keeps its name."""

# TVMScript is Python to the parser only: its functions have no self.
# ruff: noqa: N805, N812, SIM108

import ml_dtypes
import numpy as np
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from corecast.adapters.relax import Model, fold, load

WEIGHT = np.arange(12, dtype="float32").reshape(3, 4)


def folded(write, *shape: int, weight: np.ndarray = WEIGHT) -> Model:
    """Fold `write(builder, x, w)`."""
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    w = relax.Var("w", relax.TensorType(weight.shape, str(weight.dtype)))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w], attrs={"num_input": 1}):
        with builder.dataflow():
            result = builder.emit_output(write(builder, x, w), "result")
        builder.emit_func_output(result)
    model = fold(Model(builder.get(), {"w": weight}, "test"))
    relax.analysis.well_formed(model.module)
    return model


def test_a_turned_weight_keeps_its_name():
    """`permute_dims(w)` becomes `w` of the other shape."""
    model = folded(lambda _, x, w: relax.op.matmul(x, relax.op.permute_dims(w, [1, 0])), 2, 4)
    assert list(model.parameters) == ["w"]
    assert np.array_equal(model.parameters["w"], WEIGHT.T)
    assert model.parameters["w"].flags.c_contiguous


def test_a_second_form_gets_a_suffix():
    """The form that the model had keeps the name."""

    def write(builder, x, w):
        turned = builder.emit(relax.op.matmul(x, relax.op.permute_dims(w, [1, 0])))
        return relax.op.matmul(turned, w)

    model = folded(write, 2, 4)
    assert {name: array.shape for name, array in model.parameters.items()} == {"w": (3, 4), "w_1": (4, 3)}


def test_equal_forms_are_one_parameter():
    """Two calls that make the same of a weight share the result."""

    def write(builder, x, w):
        once = builder.emit(relax.op.matmul(x, relax.op.permute_dims(w, [1, 0])))
        return relax.op.add(once, relax.op.matmul(x, relax.op.permute_dims(w, [1, 0])))

    assert list(folded(write, 2, 4).parameters) == ["w"]


def test_arithmetic_is_computed_in_the_dtype_of_the_result():
    """What several operands made has the name of its binding."""

    def write(builder, x, w):
        scale = builder.emit(relax.op.rsqrt(relax.op.add(w, relax.const(1.0, "float32"))), "scale")
        return relax.op.multiply(x, scale)

    model = folded(write, 3, 4)
    (name, array), *rest = model.parameters.items()
    assert not rest
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, 1 / np.sqrt(WEIGHT + 1), rtol=1e-6)
    assert name == "scale"


def test_a_weight_cast_to_int4_is_folded_by_numpy():
    """TVM's own folding aborts the process here."""

    def write(_, x, w):
        return relax.op.matmul(x, relax.op.astype(relax.op.astype(w, "int4"), "float32"))

    small = np.array([[-7, 3], [1, 7]], "float32")
    model = folded(write, 2, 2, weight=small)
    assert np.array_equal(model.parameters["w"], small)
    narrow = folded(
        lambda _, x, w: relax.op.call_pure_packed("f", x, relax.op.astype(w, "int4"), ty_args=x.ty), 2, 2, weight=small
    )
    assert narrow.parameters["w"].dtype == ml_dtypes.int4
    assert str(narrow.weights[0].ty.dtype) == "int4"


def test_a_small_constant_of_four_bits_becomes_a_parameter():
    """TVM makes a constant of any other dtype; of int4 it refuses one of an odd number of elements."""
    small = relax.const(np.arange(3, dtype="float32").reshape(3, 1), "float32")

    def folded_again(_, x, w):
        return relax.op.add(relax.op.matmul(x, w), relax.op.astype(relax.op.astype(small, "int4"), "float32"))

    def kept(_, x, w):
        return relax.op.concat([relax.op.astype(relax.op.matmul(x, w), "int4"), relax.op.astype(small, "int4")], 1)

    assert list(folded(folded_again, 3, 3).parameters) == ["w"]
    model = folded(kept, 3, 3)
    assert [str(array.dtype) for array in model.parameters.values()] == ["float32", "int4"]


def test_a_weight_is_seen_through_a_tuple_and_a_dropout():
    """What an item of a tuple is, is known where the tuple is."""

    def write(builder, x, w):
        both = builder.emit(relax.Tuple([x, w]))
        dropped = builder.emit(relax.op.nn.dropout(relax.TupleGetItem(both, 1)))
        return relax.op.matmul(x, relax.op.permute_dims(relax.TupleGetItem(dropped, 0), [1, 0]))

    (array,) = folded(write, 2, 4).parameters.values()
    assert np.array_equal(array, WEIGHT.T)


def test_a_layout_transform_is_folded():
    """Packing and padding are index arithmetic."""

    def write(_, x, w):
        packed = relax.op.layout_transform(w, lambda i, j: (i, j // 2, j % 2))
        return relax.op.multiply(x, packed)

    assert np.array_equal(folded(write, 3, 2, 2).parameters["w"], WEIGHT.reshape(3, 2, 2))


def test_what_reads_data_is_left_alone():
    """A transpose of an input is the model's business, and parameters that nobody reads go away."""
    model = folded(lambda _, x, _w: relax.op.permute_dims(x, [1, 0]), 2, 4)
    assert not model.parameters
    assert [binding.value.op.name for binding in model.main.body.blocks[0].bindings] == ["relax.permute_dims"]


def test_weights_made_by_nodes_get_the_names_of_the_nodes(light):
    """Without a fill, the weights of onnx's light models are constants of a shape."""
    model = fold(load(light("squeezenet")))
    assert all(array.size > 1 for array in model.parameters.values())
    assert len(model.parameters) == 52


@I.ir_module
class Branch:
    @R.function
    def main(flag: R.Tensor((), "bool"), x: R.Tensor((2, 2), "float32"), w: R.Tensor((2, 2), "float32")) -> R.Tensor(
        (2, 2), "float32"
    ):
        R.func_attr({"num_input": 2})
        turned = R.permute_dims(w, [1, 0])
        if flag:
            y = R.add(x, turned)
        else:
            y = R.multiply(x, turned)
        return y


def test_branches_read_folded_weights(weighted, assert_agree):
    """A body that is no single dataflow block is folded too."""
    model = weighted(Branch)
    result = fold(model)
    relax.analysis.well_formed(result.module)
    assert np.array_equal(result.parameters["w"], model.parameters["w"].T)
    assert_agree(model, result)


def test_a_matrix_is_not_repeated_for_each_sample(assert_agree):
    """A product repeats it by itself; as many weights as samples would stand in the bundle."""

    def write(builder, x, w):
        turned = builder.emit(relax.op.permute_dims(w, [1, 0]))
        return relax.op.matmul(x, builder.emit(relax.op.broadcast_to(turned, (5, 4, 3))))

    model = folded(write, 5, 2, 4)
    assert model.parameters["w"].shape == (4, 3)
    plain = relax.BlockBuilder()
    x, w = (relax.Var(name, relax.TensorType(shape, "float32")) for name, shape in (("x", (5, 2, 4)), ("w", (3, 4))))
    with plain.function("main", [x, w], attrs={"num_input": 1}):
        with plain.dataflow():
            result = plain.emit_output(write(plain, x, w), "result")
        plain.emit_func_output(result)
    assert_agree(Model(plain.get(), {"w": WEIGHT}, "test"), model)


def test_a_matrix_is_repeated_where_its_product_would_not_be():
    """One sample becomes five by it, or it is read by more than products."""
    one = folded(lambda b, x, w: relax.op.matmul(x, b.emit(relax.op.broadcast_to(w, (5, 3, 4)))), 1, 2, 3)
    assert one.parameters["w"].shape == (5, 3, 4)

    def write(builder, x, w):
        repeated = builder.emit(relax.op.broadcast_to(w, (5, 3, 4)))
        return builder.emit(relax.Tuple([relax.op.matmul(x, repeated), repeated]))

    assert folded(write, 5, 2, 3).parameters["w"].shape == (5, 3, 4)
