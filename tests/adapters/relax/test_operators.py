"""What arrives as an operator and not as a kernel, each checked against ONNX's own evaluator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from networks import outputs as run
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from corecast.adapters.relax import load, prepare, survey
from corecast.verify import seeded_inputs


def one_node(op: str, opset: int, *operands: np.ndarray, **attributes: object) -> onnx.ModelProto:
    """A model of a single node: its first operand is the input, the others are initializers."""
    constants = [numpy_helper.from_array(array, f"c{place}") for place, array in enumerate(operands)]
    node = helper.make_node(op, ["x", *(constant.name for constant in constants)], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 4, 5, 6])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "net", [x], [y], constants)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def array(*values: float, dtype: str = "int64") -> np.ndarray:
    return np.array(values, dtype)


PADS = array(0, 0, 1, 2, 0, 0, 2, 1)
SCALAR = np.array(0.5, "float32")

NODES = {
    "pad with zeros": ("nn.pad", one_node("Pad", 18, PADS)),
    "pad with a value": ("nn.pad", one_node("Pad", 18, PADS, SCALAR)),
    "pad, opset 2": ("nn.pad", one_node("Pad", 2, pads=PADS.tolist(), value=0.5)),
    "pad by reflection": ("nn.pad", one_node("Pad", 18, PADS, mode="reflect")),
    "pad by repetition": ("nn.pad", one_node("Pad", 18, PADS, mode="edge")),
    "pad in a circle": ("nn.pad", one_node("Pad", 19, PADS, mode="wrap")),
    "pad the batch": ("nn.pad", one_node("Pad", 18, array(1, 0, 0, 0, 0, 1, 0, 0))),
    "tile": ("tile", one_node("Tile", 13, array(1, 2, 1, 3))),
    "clip, opset 6": ("clip", one_node("Clip", 6, min=-0.25, max=0.5)),
    "clip, opset 13": ("clip", one_node("Clip", 13, -SCALAR, SCALAR)),
    "clip from below": ("maximum", one_node("Clip", 13, SCALAR)),
    "clip from below, opset 6": ("maximum", one_node("Clip", 6, min=0.5)),
    "expand": ("broadcast_to", one_node("Expand", 13, array(3, 2, 4, 5, 6))),
    "reverse sum": ("flip", one_node("CumSum", 14, np.array(1), reverse=1)),
}


@pytest.mark.parametrize(("op", "proto"), NODES.values(), ids=NODES)
def test_an_operator_stands_for_what_the_importer_has_as_a_kernel(tmp_path, op, proto):
    """And the import computes what ONNX says."""
    path = tmp_path / "node.onnx"
    onnx.save(proto, str(path))
    original = load(path)
    prepared = prepare(original)
    assert op in survey(prepared).by_op
    assert "call_tir" not in survey(prepared).by_op
    inputs = seeded_inputs(survey(original).arguments, 0)
    expected = ReferenceEvaluator(proto).run(None, inputs)
    for model in (original, prepared):
        for found, wanted in zip(run(model), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_what_relax_has_no_operator_for_stays_a_kernel(tmp_path):
    """A pad of a negative width cuts, and the operator does not."""
    path = tmp_path / "node.onnx"
    onnx.save(one_node("Pad", 18, array(0, 0, -1, 0, 0, 0, 0, 1)), str(path))
    model = load(path)
    assert "call_tir" in survey(model).by_op
    [data] = seeded_inputs(survey(model).arguments, 0).values()
    expected = np.pad(data[:, :, 1:], [(0, 0), (0, 0), (0, 0), (0, 1)])
    np.testing.assert_array_equal(run(model)[0], expected)
