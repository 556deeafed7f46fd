"""Random small ONNX graphs through random recipes: valid, realised as requested, the same numbers, no cast too many."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_networks as networks
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from corecast.adapters.onnx import Model, apply, load, survey
from corecast.adapters.onnx.load import reads
from corecast.plan import PlanError, format_plan, parse_plan
from corecast.verify import difference, tolerance_of

SHAPE = (2, 4, 6, 6)


@dataclass
class Graph:
    """A graph in the making: its nodes, weights, and the values of the one shape that most nodes keep."""

    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    values: list[str] = field(default_factory=lambda: ["x", "z"])
    named: bool = True

    def add(self, op: str, inputs: list[str], outputs: int = 1, **attributes: object) -> list[str]:
        names = [f"v{len(self.nodes)}_{number}" for number in range(outputs)]
        label = f"{op}" if self.named else ""  # the same for every node of an operator, or none
        self.nodes.append(helper.make_node(op, inputs, names, name=label, **attributes))
        return names

    def weight(self, array: np.ndarray) -> str:
        """A weight, or the one of these values that is there already."""
        name = f"w_{array.dtype}_{'x'.join(map(str, array.shape))}_{zlib.crc32(array.tobytes()) % 1000}"
        self.weights[name] = array
        return name

    def proto(self, returned: list[str], ir_version: int) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in ("x", "z")]
        tensors = [numpy_helper.from_array(array, name) for name, array in self.weights.items()]
        if ir_version < 4:
            inputs += [helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in tensors]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in returned]
        graph = helper.make_graph(self.nodes, "random", inputs, outputs, tensors)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir_version)
        return onnx.shape_inference.infer_shapes(proto, strict_mode=True)


def noise(draw: st.DrawFn, *shape: int) -> np.ndarray:
    random = np.random.default_rng(draw(st.integers(0, 1)))
    return (random.standard_normal(shape) / np.sqrt(max(1, int(np.prod(shape[1:]))))).astype(np.float32)


KINDS = st.sampled_from(
    """
    conv conv conv matmul relu sigmoid add mul concat split norm pool turn reshape clip same dropout branch raised other
    """.split()
)


def grow(draw: st.DrawFn, graph: Graph) -> None:
    """Add a node or a few that belong together; their result has the one shape again."""
    source = draw(st.sampled_from(graph.values[-3:]))
    match draw(KINDS):
        case "conv":
            bias = [graph.weight(noise(draw, 4))] if draw(st.booleans()) else []
            results = graph.add("Conv", [source, graph.weight(noise(draw, 4, 4, 1, 1)), *bias])
        case "matmul":
            results = graph.add("MatMul", [source, graph.weight(noise(draw, 6, 6))])
        case "relu" | "sigmoid" as kind:
            results = graph.add(kind.capitalize(), [source])
        case "add" | "mul" as kind:
            other = draw(st.sampled_from([*graph.values, graph.weight(noise(draw, 1, 4, 1, 1))]))
            results = graph.add(kind.capitalize(), [source, other])
        case "concat":
            other = draw(st.sampled_from(graph.values))
            (joined,) = graph.add("Concat", [source, other], axis=1)
            results = graph.add("Conv", [joined, graph.weight(noise(draw, 4, 8, 1, 1))])
        case "split":
            sizes = {"num_outputs": 2} if graph.opset >= 18 else {}
            halves = graph.add("Split", [source], 2, axis=1, **sizes)
            results = graph.add("Concat", halves[::-1], axis=1)
        case "norm":
            statistics = [graph.weight(np.abs(noise(draw, 4)) + np.float32(number)) for number in (1, 0, 0, 1)]
            results = graph.add("BatchNormalization", [source, *statistics])
        case "pool":
            results = graph.add("MaxPool", [source], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        case "turn":
            (turned,) = graph.add("Transpose", [source], perm=[0, 1, 3, 2])
            results = graph.add("Transpose", [turned], perm=[0, 1, 3, 2]) if draw(st.booleans()) else [turned]
        case "reshape":
            (flat,) = graph.add("Reshape", [source, graph.weight(np.array([2, -1], np.int64))])
            results = graph.add("Reshape", [flat, graph.weight(np.array(SHAPE, np.int64))])
        case "clip":
            bounds = {"max": 1.0} if graph.opset < 11 else {}
            inputs = [source] if bounds else [source, "", graph.weight(np.array(1, np.float32))]
            results = graph.add("Clip", inputs, **bounds)
        case "same":
            results = graph.add("Identity", [source])
        case "dropout":
            results = graph.add("Dropout", [source], draw(st.integers(1, 2)))[:1]
        case "branch":
            condition = graph.weight(np.array(draw(st.booleans())))
            results = graph.add(
                "If", [condition], then_branch=branch("Relu", source), else_branch=branch("Abs", source)
            )
        case "other":  # a part in another dtype, as the model has it
            dtype = draw(st.sampled_from([TensorProto.FLOAT16, TensorProto.DOUBLE]))
            (there,) = graph.add("Cast", [source], to=dtype)
            made = graph.add("Relu", [there]) if draw(st.booleans()) else [there]
            results = graph.add("Cast", made, to=TensorProto.FLOAT)
        case "raised":
            scale = graph.weight(noise(draw, 4, 1, 1))
            (turned,) = graph.add("Transpose", [scale], perm=[1, 0, 2])
            (back,) = graph.add("Transpose", [turned], perm=[1, 0, 2])
            results = graph.add("Mul", [source, draw(st.sampled_from([back, scale]))])
    graph.values += results


def branch(op: str, source: str) -> onnx.GraphProto:
    result = helper.make_tensor_value_info("inner", TensorProto.FLOAT, SHAPE)
    return helper.make_graph([helper.make_node(op, [source], ["inner"])], op, [], [result])


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """Graphs of several opsets and IR versions, with shared weights, inner graphs and nodes without names."""
    opset, ir_version = draw(st.sampled_from([(9, 3), (9, 4), (13, 7), (17, 8), (22, 10)]))
    graph = Graph(opset, named=draw(st.booleans()))
    for _ in range(draw(st.integers(1, 8))):
        grow(draw, graph)
    made = graph.values[2:]
    return graph.proto(list(dict.fromkeys([made[-1], draw(st.sampled_from(made))])), ir_version)


OPERATORS = "nn.conv2d nn.dense nn.relu sigmoid add multiply concat nn.batch_norm nn.max_pool2d reshape clip".split()


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """A few rules about some operators, one by its number, and perhaps a `keep` and a skip."""
    lines = [f"skip nn.conv2d #{draw(st.integers(0, 1))}"] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 3))):
        ops = draw(st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=5, unique=True))
        what = draw(st.sampled_from(["*", " or ".join(ops), f"{ops[0]} #{draw(st.integers(0, 1))}"]))
        dtype = draw(st.sampled_from(["float16", "float16", "bfloat16", "bfloat16 else float16"]))
        lines.append(f"rule r{number}\n  match {what}\n  cast {dtype}\n  optional")
    if draw(st.booleans()):
        lines.append(f"match {draw(st.sampled_from([*OPERATORS, 'permute_dims']))}, keep dtype, optional")
    return "\n".join(lines) + "\n"


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(graphs(), recipes())
def test_a_converted_graph_is_valid_and_computes_the_same_with_as_few_casts_as_can_be(
    proto: onnx.ModelProto, rules: str
) -> None:
    """Whatever graph and recipe."""
    note(onnx.printer.to_text(proto))
    model = load(proto)
    table = survey(model)
    try:
        decided = networks.planned(rules, table)
    except PlanError as error:
        event("refused")
        if not any(problem.slug == "nothing-realised" for problem in error.problems):
            raise
        return
    assert parse_plan(format_plan(decided)) == decided
    conversion = apply(decided, model)
    converted = conversion.converted
    onnx.checker.check_model(converted.proto, full_check=True)
    assert [str(value.type) for value in converted.proto.graph.output] == [
        str(value.type) for value in model.proto.graph.output
    ]
    assert converted.inputs == model.inputs
    assert conversion.realised.casts == decided.predicted.casts
    turned = {node.input[0] for node in proto.graph.node if node.op_type == "Transpose"}
    if turned.isdisjoint(model.initializers):
        # A weight that is read in several forms of it becomes several, and the table has it as one.
        assert conversion.realised.parameter_bytes == decided.predicted.converted_parameter_bytes
    _check_casts(model, converted)
    error = difference(networks.outputs(model), networks.outputs(converted))
    event(f"{min(10, conversion.realised.casts)} casts")
    assert error.max_relative <= tolerance_of(decided), error


def _check_casts(model: Model, converted: Model) -> None:
    """No value is cast twice to one dtype, none is cast to the dtype that it has, and no cast casts a cast."""
    own = {node.name for node in model.proto.graph.node}
    casts = [node for node in converted.proto.graph.node if node.op_type == "Cast" and node.name not in own]
    made = {node.output[0] for node in casts}
    read = Counter(name for node in converted.proto.graph.node for name in reads(node))
    read.update(converted.outputs)
    for (source, to), count in Counter((node.input[0], node.attribute[0].i) for node in casts).items():
        assert count == 1, f"{source} is cast twice"
        assert source not in made, f"{source} is a cast itself"
        assert converted.types[source].dtype != str(np.dtype(helper.tensor_dtype_to_np_dtype(to)))
    assert all(read[node.output[0]] for node in casts), "a cast that nobody reads"
    assert not {node.input[0] for node in casts} & converted.initializers.keys(), "a weight is cast at run time"
