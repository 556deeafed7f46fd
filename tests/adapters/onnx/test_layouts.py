"""Why `set layout` is declined on ONNX: what could stand for it is, once sunk and cancelled, the graph as it was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnx_networks as networks
import onnxruntime
import pytest

from corecast.adapters.onnx import survey
from corecast.plan import PlanError

# Two convolutions as somebody would write them for NHWC: with transposes around each, and the relu between in NHWC.
AROUND = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,3,8,8] x, float[8,3,3,3] w, float[8,8,3,3] w1) => (float[1,8,4,4] y)
{
    x_nhwc = Transpose<perm = [0, 2, 3, 1]>(x)
    x_nchw = Transpose<perm = [0, 3, 1, 2]>(x_nhwc)
    a = Conv(x_nchw, w)
    a_nhwc = Transpose<perm = [0, 2, 3, 1]>(a)
    b_nhwc = Relu(a_nhwc)
    b_nchw = Transpose<perm = [0, 3, 1, 2]>(b_nhwc)
    c = Conv(b_nchw, w1)
    c_nhwc = Transpose<perm = [0, 2, 3, 1]>(c)
    y = Transpose<perm = [0, 3, 1, 2]>(c_nhwc)
}
"""


def test_a_runtime_takes_the_transposes_away_before_anything_else(tmp_path: Path) -> None:
    """Already at ONNX Runtime's basic level, which leaves the two convolutions in NCHW, and nothing around them."""
    optimized = tmp_path / "optimized.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(optimized)
    content = networks.proto_of(AROUND).SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    assert Counter(node.op_type for node in onnx.load(optimized).graph.node) == {"Conv": 2, "Relu": 1}


def test_another_layout_is_declined_by_the_operators_name() -> None:
    """And the one that it has is no change."""
    table = survey(networks.model_of(AROUND))
    with pytest.raises(PlanError, match="Conv-11 takes NCHW with the kernel OIHW only"):
        networks.planned("match nn.conv2d, set layout NHWC", table)
    assert [str(layer.layout.edit) for layer in networks.planned("match nn.conv2d, set layout NCHW", table).layers] == [
        "layout NCHW, OIHW"
    ] * 2
