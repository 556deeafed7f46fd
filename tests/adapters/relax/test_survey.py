"""The survey: which calls are layers, and what the table says of them."""

# TVMScript is Python to the parser only: its functions have no self.
# ruff: noqa: N805, N812, SIM108

import time

import numpy as np
from tvm import relax
from tvm.ir import IRModule
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from corecast.adapters.relax import Model, enumerate_calls, survey
from corecast.model import format_table


@I.ir_module
class Net:
    @R.function
    def main(
        x: R.Tensor((1, 4, 6, 6), "float32"),
        w: R.Tensor((4, 3, 3, 8), "float32"),
        d: R.Tensor((5, 8), "float32"),
    ) -> R.Tensor((1, 5), "float32"):
        R.func_attr({"num_input": 1})
        with R.dataflow():
            kernel = R.permute_dims(w, axes=[3, 0, 1, 2])
            narrow = R.astype(kernel, "float32")
            conv = R.nn.conv2d(x, narrow, padding=[1, 1, 1, 1])
            halves = R.split(conv, 2, axis=1)
            left = halves[0]
            alias = left
            joined = R.concat((alias, halves[1], conv), axis=1)
            bound = R.clip(joined, R.prim_value(0), R.prim_value(6))
            pooled = R.mean(bound, axis=[2, 3])
            part = R.strided_slice(pooled, [1], [0], [8])
            weight = R.permute_dims(d, axes=[1, 0])
            dense = R.matmul(part, weight)
            plain = R.matmul(dense, R.permute_dims(dense, axes=[1, 0]))
            y = R.add(dense, plain)
            R.output(y)
        return y


def test_the_table_reads_as_the_module_does():
    """Weight preparation is no layer; tuples and aliases are seen through; a matmul with a weight is dense."""
    lines = format_table(survey(Net)).splitlines()
    assert [line.partition("(")[0] for line in lines[1:-1]] == [
        "nn.conv2d#0",
        "split#0",
        "concat#0",
        "clip#0",
        "mean#0",
        "strided_slice#0",
        "nn.dense#0",
        "permute_dims#0",
        "matmul#0",
        "add#0",
    ]
    assert lines[0] == "x: float32 1x4x6x6"
    assert lines[1] == (
        "nn.conv2d#0(x, %w: float32 8x4x3x3) strides=[1, 1] padding=[1, 1, 1, 1] dilation=[1, 1] groups=1 "
        'data_layout="NCHW" kernel_layout="OIHW" out_layout="NCHW" out_dtype=null -> float32 1x8x6x6 @conv follows'
    )
    assert lines[3].startswith("concat#0(split#0, split#0.1, nn.conv2d#0) axis=1 -> float32 1x16x6x6 @joined")
    assert lines[4] == "clip#0(concat#0) -> float32 1x16x6x6 @bound follows"
    assert lines[-1] == "return add#0"


def test_operands_of_a_tuple_have_the_types_of_its_parts():
    """A half is half as large as what was split."""
    concat = survey(Net).by_op["concat"][0]
    assert [operand.type.shape for operand in concat.operands] == [(1, 4, 6, 6), (1, 4, 6, 6), (1, 8, 6, 6)]
    assert [(operand.layer, operand.result) for operand in concat.operands] == [(1, 0), (1, 1), (0, 0)]


def test_calls_are_enumerated_under_the_ids_of_the_table():
    """So a later pass finds a layer's call again."""
    found = [(layer_id, binding.var.name) for layer_id, binding in enumerate_calls(Net["main"])]
    assert found == [(layer.id, layer.source) for layer in survey(Net).layers]


def test_without_a_count_of_inputs_nothing_is_a_parameter():
    """A bare module does not say which of its arguments are weights."""
    main = Net["main"].without_attr("num_input")
    table = survey(IRModule({"main": main}))
    assert set(table.arguments) == {"x", "w", "d"}
    assert not any(layer.parameters for layer in table.layers)
    assert "nn.dense" not in table.by_op


@I.ir_module
class Lowered:
    @T.prim_func(s_tir=True)
    def double(a: T.Buffer((4,), "float32"), b: T.Buffer((4,), "float32")):
        for i in range(4):
            with T.sblock("double"):
                j = T.axis.spatial(4, i)
                b[j] = a[j] * T.float32(2)

    @R.function
    def main(x: R.Tensor((4,), "float32")) -> R.Tensor((4,), "float32"):
        cls = Lowered
        with R.dataflow():
            y = R.call_tir(cls.double, (x,), out_ty=R.Tensor((4,), "float32"))
            R.output(y)
        return y


def test_a_call_of_a_primitive_function_is_a_layer():
    """It has the function's name and the tensors that it is given."""
    (layer,) = survey(Lowered).layers
    assert layer.op == "call_tir"
    assert layer.attributes == {"function": "double"}
    assert [operand.argument for operand in layer.operands] == ["x"]


@I.ir_module
class Branch:
    @R.function
    def main(flag: R.Tensor((), "bool"), x: R.Tensor((2, "n"), "float32")) -> R.Tensor((2, "n"), "float32"):
        if flag:
            y = R.nn.relu(x)
        else:
            y = R.exp(x)
        return y


def test_a_choice_between_branches_is_one_layer():
    """Nothing can be changed inside a branch; the choice reads its condition and what its branches read."""
    (layer,) = survey(Branch).layers
    assert (layer.id, layer.source, layer.behaviour) == ("if#0", "y", "original")
    assert {operand.argument for operand in layer.operands} == {"flag", "x"}
    assert layer.results[0].shape == (2, "n")


def test_what_reads_a_choice_has_it_for_a_producer():
    """The layers behind it are layers like others."""
    x, flag = relax.Var("x", relax.TensorType((2,), "float32")), relax.Var("flag", relax.TensorType((), "bool"))
    builder = relax.BlockBuilder()
    with builder.function("main", [flag, x]):
        branches = [relax.SeqExpr([], x), relax.SeqExpr([], x)]
        chosen = builder.emit(relax.If(flag, *branches))
        builder.emit_func_output(builder.emit(relax.op.nn.relu(chosen)))
    table = survey(builder.get())
    assert [layer.id for layer in table.layers] == ["if#0", "nn.relu#0"]
    assert table.layers[1].producers == (0,)


def test_what_tvm_cannot_lower_in_another_layout_does_not_follow():
    """It has a layout rule of TVM's all the same."""
    x = relax.Var("x", relax.TensorType((1, 4, 6, 6), "float32"))
    weight = relax.Var("w", relax.TensorType((4, 4, 3, 3), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x, weight]):
        builder.emit_func_output(builder.emit(relax.op.nn.conv2d_transpose(x, weight)))
    assert [layer.behaviour for layer in survey(builder.get()).layers] == ["original"]


def test_an_unknown_rank_makes_the_behaviour_unknown():
    """No layout can be said of it."""
    x = relax.Var("x", relax.TensorType(None, "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.nn.relu(x)))
    (layer,) = survey(builder.get()).layers
    assert layer.behaviour == "unknown"
    assert layer.results[0].shape is None


def chain(length: int) -> Model:
    data = relax.Var("x", relax.TensorType((1, 8, 4, 4), "float32"))
    weight = relax.Var("w", relax.TensorType((8, 8, 1, 1), "float32"))
    bindings, last = [], data
    for place in range(length):
        call = relax.op.nn.relu(last) if place % 2 else relax.op.nn.conv2d(last, weight)
        var = relax.DataflowVar(f"n{place}", data.ty)
        bindings.append(relax.VarBinding(var, relax.BlockBuilder().normalize(call)))
        last = var
    out = relax.Var("out", data.ty)
    bindings.append(relax.VarBinding(out, last))
    body = relax.BlockBuilder().normalize(relax.SeqExpr([relax.DataflowBlock(bindings)], out))
    main = relax.Function([data, weight], body, data.ty).with_attr("num_input", 1)
    return Model(IRModule({"main": main}), {"w": np.ones((8, 8, 1, 1), "float32")}, "chain")


def test_the_time_grows_with_the_number_of_calls_and_not_faster():
    """Eight times the calls take far less than sixty-four times as long."""
    short, long = (best_time(chain(length)) for length in (500, 4_000))
    assert long < 32 * short


def best_time(model: Model) -> float:
    """The quickest of five: what else the machine does makes each of them longer, never shorter."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        survey(model)
        times.append(time.perf_counter() - start)
    return min(times)
