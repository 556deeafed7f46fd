"""Networks that recipes break, as files in the folder where the tests stand."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper
from onnx_networks import proto_of

DEEP = """
<ir_version: 8, opset_import: ["" : 13]>
deep (float[1,4,8,8] image, float[8,4,3,3] w0, float[8,8,3,3] w1, float[8,8,3,3] w2, float[8,8,3,3] w3,
      float[8,10] w4) => (float[1,10] answer)
{
    [c0] a0 = Conv<pads = [1,1,1,1]>(image, w0)
    [r0] b0 = Relu(a0)
    [c1] a1 = Conv<pads = [1,1,1,1]>(b0, w1)
    [r1] b1 = Relu(a1)
    [c2] a2 = Conv<pads = [1,1,1,1]>(b1, w2)
    [r2] b2 = Relu(a2)
    [c3] a3 = Conv<pads = [1,1,1,1]>(b2, w3)
    [pool] p = GlobalAveragePool(a3)
    [flat] f = Flatten(p)
    [fc] answer = MatMul(f, w4)
}
"""

NORMED = """
<ir_version: 8, opset_import: ["" : 13]>
normed (float[1,4,8,8] image, float[8,4,3,3] w0, float[8] w1, float[8] w2, float[8] w3, float[8] w4)
    => (float[1,8,8,8] answer)
{
    [c0] a = Conv<pads = [1,1,1,1]>(image, w0)
    [norm] answer = BatchNormalization(a, w1, w2, w3, w4)
}
"""


def with_value(proto: ModelProto, weight: str, value: float) -> ModelProto:
    """The model with the first value of a weight replaced."""
    [tensor] = [item for item in proto.graph.initializer if item.name == weight]
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[0] = value
    tensor.CopyFrom(numpy_helper.from_array(array, weight))
    return proto


def write() -> None:
    """Write them: sound; with one weight or two that float16 does not hold; with one that is no number; a norm."""
    onnx.save(proto_of(DEEP), "deep.onnx")
    onnx.save(with_value(proto_of(DEEP), "w3", 1e5), "spoilt.onnx")
    onnx.save(with_value(with_value(proto_of(DEEP), "w3", 1e5), "w4", 1e5), "twice.onnx")
    onnx.save(with_value(proto_of(DEEP), "w0", np.nan), "numberless.onnx")
    onnx.save(normed(), "normed.onnx")


def normed() -> ModelProto:
    """A batch norm behind a convolution; variances are positive."""
    proto = proto_of(NORMED)
    [variance] = [item for item in proto.graph.initializer if item.name == "w4"]
    variance.CopyFrom(numpy_helper.from_array(np.abs(numpy_helper.to_array(variance)) + np.float32(0.5), "w4"))
    return proto
