"""Preparing: each rewrite, what it computes, and where it must not fire."""

# TVMScript is Python to the parser only: its functions have no self.
# ruff: noqa: N805, N812, F841

import numpy as np
import pytest
import tvm_ffi
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from corecast.adapters.relax import load, prepare, survey

X = R.Tensor((2, 8, 6, 6), "float32")
K = R.Tensor((8, 8, 3, 3), "float32")
C = R.Tensor((8,), "float32")


def is_same(left, right) -> bool:
    """Whether two models are structurally the same, with the same weights under the same names."""
    return (
        tvm_ffi.structural_equal(left.module, right.module)
        and list(left.parameters) == list(right.parameters)
        and left.weights_digest == right.weights_digest
    )


@pytest.fixture
def prepared(weighted, assert_agree):
    """Prepare a module, and prove that it computes the same, is well formed and prepared for good."""

    def check(module):
        model = weighted(module)
        result = prepare(model)
        relax.analysis.well_formed(result.module)
        assert_agree(model, result)
        assert is_same(prepare(result), result)
        return result

    return check


def sources(model) -> dict[str, str]:
    return {layer.source: layer.op for layer in survey(model).layers}


@I.ir_module
class ConvNorm:
    @R.function
    def main(x: X, w: K, b: C, gamma: C, beta: C, mean: C, variance: C) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            conv = R.nn.conv2d(x, w, padding=[1, 1, 1, 1])
            row = R.reshape(b, R.shape([1, 8, 1, 1]))
            bias = R.add(conv, row)
            norm = R.nn.batch_norm(bias, gamma, beta, mean, variance, axis=1, training=False)
            data = norm[0]
            y = R.nn.relu(data)
            R.output(y)
        return y


def test_batch_norm_goes_into_the_convolution_before_it(prepared):
    """Also through a bias. The weight and the convolution keep their names; the add has the norm's."""
    model = prepared(ConvNorm)
    assert sources(model) == {"conv": "nn.conv2d", "norm": "add", "y": "nn.relu"}
    assert {name: array.shape for name, array in model.parameters.items()} == {"w": (8, 8, 3, 3), "beta": (1, 8, 1, 1)}


@I.ir_module
class ConvReadTwice:
    @R.function
    def main(x: X, w: K, gamma: C, beta: C, mean: C, variance: C) -> R.Tuple(X, X):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            conv = R.nn.conv2d(x, w, padding=[1, 1, 1, 1])
            norm = R.nn.batch_norm(conv, gamma, beta, mean, variance, axis=1, training=False)
            y = norm[0]
            R.output(conv, y)
        return (conv, y)


def test_a_convolution_read_twice_keeps_its_weight(prepared, weighted):
    """The norm becomes a multiply and an add by parameters of rank 4."""
    model = prepared(ConvReadTwice)
    assert sources(model) == {"conv": "nn.conv2d", "norm_1": "multiply", "norm": "add"}
    assert model.parameters["gamma"].shape == (1, 8, 1, 1)
    assert np.array_equal(model.parameters["w"], weighted(ConvReadTwice).parameters["w"])


@I.ir_module
class SharedWeight:
    @R.function
    def main(x: X, w: K, gamma: C, beta: C, mean: C, variance: C) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            first = R.nn.conv2d(x, w, padding=[1, 1, 1, 1])
            norm = R.nn.batch_norm(first, gamma, beta, mean, variance, axis=1, training=False)
            data = norm[0]
            second = R.nn.conv2d(data, w, padding=[1, 1, 1, 1])
            R.output(second)
        return second


def test_a_shared_weight_takes_up_no_scale(prepared, ops):
    """Two convolutions with one weight go on sharing it."""
    assert ops(prepared(SharedWeight)) == ["nn.conv2d", "multiply", "add", "nn.conv2d"]


@I.ir_module
class NormAfterRelu:
    @R.function
    def main(x: X, gamma: C, beta: C, mean: C, variance: C, scale: C, shift: C) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            before = R.nn.relu(x)
            norm = R.nn.batch_norm(before, gamma, beta, mean, variance, axis=1, training=False)
            data = norm[0]
            scaled = R.multiply(data, R.expand_dims(scale, [1, 2]))
            shifted = R.add(scaled, R.expand_dims(shift, [1, 2]))
            R.output(shifted)
        return shifted


def test_a_run_of_scales_and_shifts_is_one_multiply_and_one_add(prepared):
    """As in densenet: norm, scale and shift without a convolution before them."""
    model = prepared(NormAfterRelu)
    assert sources(model) == {"before": "nn.relu", "shifted_1": "multiply", "shifted": "add"}
    assert {name: array.shape for name, array in model.parameters.items()} == {
        "scale": (1, 8, 1, 1),
        "shift": (1, 8, 1, 1),
    }


@I.ir_module
class NormInTraining:
    @R.function
    def main(x: X, gamma: C, beta: C, mean: C, variance: C) -> R.Tuple(X, C):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            norm = R.nn.batch_norm(x, gamma, beta, mean, variance, axis=1, training=True)
            y = norm[0]
            moved = norm[1]
            R.output(y, moved)
        return (y, moved)


def test_batch_norm_in_training_is_left_alone(prepared, ops):
    """It computes its own statistics, and its other results are read."""
    assert ops(prepared(NormInTraining)) == ["nn.batch_norm"]


@I.ir_module
class DenseNorm:
    @R.function
    def main(
        x: R.Tensor((4, 8), "float32"), w: R.Tensor((8, 8), "float32"), gamma: C, beta: C, mean: C, variance: C
    ) -> R.Tensor((4, 8), "float32"):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            dense = R.matmul(x, w)
            norm = R.nn.batch_norm(dense, gamma, beta, mean, variance, axis=1, training=False)
            y = norm[0]
            R.output(y)
        return y


def test_batch_norm_goes_into_a_dense_layer_too(prepared, ops):
    """The columns of its weight are the channels."""
    assert ops(prepared(DenseNorm)) == ["nn.dense", "add"]


@I.ir_module
class Grouped:
    @R.function
    def main(x: X, w: R.Tensor((3, 3, 4, 8), "float32"), scale: R.Tensor((8, 1, 1), "float32")) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            conv = R.nn.conv2d(x, w, padding=[1, 1, 1, 1], groups=2, kernel_layout="HWIO")
            y = R.multiply(scale, conv)
            R.output(y)
        return y


def test_a_scale_finds_the_output_channels_of_any_kernel_layout(prepared, ops):
    """Grouped, HWIO, the scale on the left."""
    assert ops(prepared(Grouped)) == ["nn.conv2d"]


@I.ir_module
class ScaleAlongWidth:
    @R.function
    def main(x: X, w: K, scale: R.Tensor((6,), "float32")) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            conv = R.nn.conv2d(x, w, padding=[1, 1, 1, 1])
            y = R.multiply(conv, scale)
            R.output(y)
        return y


def test_a_scale_along_another_axis_stays(prepared, ops):
    """Only channels go into a weight; the parameter is lifted to rank 4 all the same."""
    model = prepared(ScaleAlongWidth)
    assert ops(model) == ["nn.conv2d", "multiply"]
    assert model.parameters["scale"].shape == (1, 1, 1, 6)


@I.ir_module
class Sum:
    @R.function
    def main(x: X, y: X, z: X) -> X:
        R.func_attr({"num_input": 3})
        with R.dataflow():
            a = R.broadcast_to(x, R.shape([2, 8, 6, 6]))
            total = R.stack((a, y, z), axis=0)
            total_1 = R.sum(total, axis=[0])
            R.output(total_1)
        return total_1


def test_a_summed_stack_becomes_adds(prepared):
    """The last add has the source node's name."""
    assert sources(prepared(Sum)) == {"total_2": "add", "total": "add"}


@I.ir_module
class SumOverAnotherAxis:
    @R.function
    def main(x: X, y: X) -> R.Tensor((2, 8, 6, 6), "float32"):
        R.func_attr({"num_input": 2})
        with R.dataflow():
            both = R.stack((x, y), axis=1)
            total = R.sum(both, axis=[2])
            again = R.stack((x, y), axis=0)
            kept = R.sum(again, axis=[0], keepdims=True)
            flat = R.squeeze(kept, axis=[0])
            scale = R.mean(total)
            result = R.multiply(flat, scale)
            R.output(result)
        return result


def test_a_sum_over_another_axis_stays(prepared, ops):
    """So does one that keeps the axis."""
    assert ops(prepared(SumOverAnotherAxis)).count("stack") == 2


@I.ir_module
class Dropout:
    @R.function
    def main(x: X) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            relu = R.nn.relu(x)
            drop = R.nn.dropout(relu)
            data = drop[0]
            same = R.reshape(data, R.shape([2, 8, 6, 6]))
            turned = R.permute_dims(same, axes=[0, 1, 2, 3])
            cast = R.astype(turned, "float32")
            y = R.exp(cast)
            R.output(y)
        return y


def test_what_changes_nothing_is_removed(prepared, ops):
    """Dropout at inference, and a reshape, transpose, cast or broadcast to what the tensor is."""
    assert ops(prepared(Dropout)) == ["nn.relu", "exp"]


@I.ir_module
class Passed:
    @R.function
    def main(x: X, w: K) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            relu = R.nn.relu(x)
            unread = R.nn.conv2d(relu, w, padding=[1, 1, 1, 1])
            both = (relu, unread)
            data = both[0]
            y = R.exp(data)
            R.output(y)
        return y


def test_an_item_is_read_from_where_the_tuple_was_made(prepared, ops):
    """Else a layer that only a tuple holds would be a layer until TVM takes the tuple apart."""
    assert ops(prepared(Passed)) == ["nn.relu", "exp"]


@I.ir_module
class NormOfAWeight:
    @R.function
    def main(x: X, b: C, gamma: C, beta: C, mean: C, variance: C) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            row = R.reshape(b, R.shape([1, 8, 1, 1]))
            norm = R.nn.batch_norm(row, gamma, beta, mean, variance, axis=1, training=False)
            data = norm[0]
            y = R.add(x, data)
            R.output(y)
        return y


def test_a_norm_of_a_weight_is_left_alone(prepared, ops):
    """It scales no data."""
    assert ops(prepared(NormOfAWeight)) == ["nn.batch_norm", "add"]


@I.ir_module
class Views:
    @R.function
    def main(x: X) -> R.Tensor((2, 8, 36), "float32"):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            turned = R.permute_dims(x, axes=[0, 1, 3, 2])
            y = R.reshape(turned, R.shape([2, 8, 36]))
            R.output(y)
        return y


def test_a_transpose_of_equal_sizes_stays(prepared, ops):
    """The types before and after are the same, the tensors are not."""
    assert ops(prepared(Views)) == ["permute_dims", "reshape"]


@I.ir_module
class Blocks:
    @R.function
    def main(x: X, w: K) -> X:
        R.func_attr({"num_input": 1})
        with R.dataflow():
            a = R.nn.conv2d(x, w, padding=[1, 1, 1, 1])
            R.output(a)
        b = R.nn.relu(a)
        with R.dataflow():
            unread = R.split(b, 2, axis=1)
            c = R.add(b, a)
            R.output(c)
        return c


def test_all_blocks_become_one_dataflow_block(prepared, ops):
    """ConvertLayout goes through dataflow blocks only; a result that nobody reads is dropped."""
    model = prepared(Blocks)
    assert [type(block).__name__ for block in model.main.body.blocks] == ["DataflowBlock"]
    assert ops(model) == ["nn.conv2d", "nn.relu", "add"]


CONVOLUTIONS = {"densenet121": 121, "inception_v1": 57, "inception_v2": 69, "shufflenet": 49, "squeezenet": 26}


def to_hwnc(call):
    return {"relax.nn.conv2d": ["HWNC", "HWOI"]} if call.op.name == "relax.nn.conv2d" else {}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_light_models_survive_conversion(light, name):
    """Every convolution becomes HWNC, and a transpose stands at either end and around reshapes only."""
    model = prepare(load(light(name), weights="random:0"))
    table = survey(model.with_main(relax.transform.ConvertLayout({}, to_hwnc)(model.module)["main"], model.parameters))
    layouts = [layer.data_layout for layer in table.by_op["nn.conv2d"]]
    assert layouts == ["HWNC"] * CONVOLUTIONS[name]
    before = survey(model).by_op
    added = len(table.by_op["permute_dims"]) - len(before.get("permute_dims", ()))
    # A shuffle of channels is a reshape, a transpose and a reshape: no layout goes through it.
    assert added == (34 if name == "shufflenet" else 2)


def clipped(low: float, high: float, *, first_read_twice: bool = False):
    """A maximum and a minimum with two numbers."""
    x = relax.Var("x", relax.TensorType((2, 8, 6, 6), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x], attrs={"num_input": 1}):
        with builder.dataflow():
            raised = builder.emit(relax.op.maximum(x, relax.const(low, "float32")), "raised")
            lowered = builder.emit(relax.op.minimum(raised, relax.const(high, "float32")), "lowered")
            outputs = [lowered, raised] if first_read_twice else [lowered]
            result = builder.emit_output(relax.Tuple(outputs) if first_read_twice else lowered, "y")
        builder.emit_func_output(result)
    return builder.get()


def test_a_maximum_and_a_minimum_with_numbers_are_a_clip(prepared):
    """Recipes know a ReLU6 by that name."""
    assert list(sources(prepared(clipped(0.75, 1.25))).values()) == ["clip"]


def test_a_maximum_that_others_read_stays(prepared):
    """Beside the clip."""
    model = prepared(clipped(0.75, 1.25, first_read_twice=True))
    assert sorted(sources(model).values()) == ["clip", "maximum"]


def test_bounds_that_cross_are_no_clip(weighted):
    """The minimum comes last and gives the upper bound everywhere; a clip would give the lower one."""
    model = prepare(weighted(clipped(1.25, 0.75)))
    assert list(sources(model).values()) == ["maximum", "minimum"]


@I.ir_module
class PooledWithPlaces:
    @R.function
    def main(x: X) -> R.Tensor((2, 8, 3, 3), "float32"):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            pooled = R.nn.max_pool2d(x, pool_size=[2, 2], strides=[2, 2])
            places = R.zeros_like(pooled)
            both = (pooled, places)
            data = both[0]
            y = R.nn.relu(data)
            R.output(y)
        return y


def test_a_part_of_a_tuple_is_read_without_it(prepared):
    """PyTorch's exporter pairs a pooled image with the places of its maxima, which nobody reads."""
    assert list(sources(prepared(PooledWithPlaces)).values()) == ["nn.max_pool2d", "nn.relu"]


@I.ir_module
class OneChannel:
    @R.function
    def main(
        x: R.Tensor((2, 8, 6, 1), "float32"),
        w: R.Tensor((1, 8, 3, 1), "float32"),
        gamma: R.Tensor((1,), "float32"),
        beta: R.Tensor((1,), "float32"),
        mean: R.Tensor((1,), "float32"),
        variance: R.Tensor((1,), "float32"),
    ) -> R.Tensor((2, 1, 4, 1), "float32"):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            conv = R.nn.conv2d(x, w)
            norm = R.nn.batch_norm(conv, gamma, beta, mean, variance, axis=3, training=False)
            y = norm[0]
            R.output(y)
        return y


def test_a_single_factor_goes_into_the_weight_whatever_its_axis(prepared, ops):
    """A scale of one element along the width is one along the channels too, where both have one place."""
    assert ops(prepared(OneChannel)) == ["nn.conv2d", "add"]
