"""The weights of a fold in, an ONNX model out: the residual network that `digits.train` trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = Path(__file__).with_name("weights.npz")


def weights_of(fold: int) -> dict[str, NDArray[np.float32]]:
    """The weights of the network that has not seen the images of this fold."""
    with np.load(WEIGHTS) as file:
        mine = f"{fold}/"
        return {name.removeprefix(mine): file[name].astype(np.float32) for name in file if name.startswith(mine)}


def onnx_model(weights: Mapping[str, NDArray[np.float32]], batch: int) -> onnx.ModelProto:
    """The network for `image`, float32 Nx1x8x8, with ten `logits` for each."""
    nodes = [
        *_conv("stem", "image"),
        _node("Relu", "stem_relu", "stem"),
        *_conv("first", "stem_relu"),
        _node("Relu", "first_relu", "first"),
        *_conv("second", "first_relu"),
        _node("Add", "sum", "second", "stem_relu"),
        _node("Relu", "sum_relu", "sum"),
        *_conv("third", "sum_relu", stride=2),
        _node("Relu", "third_relu", "third"),
        *_conv("fourth", "third_relu"),
        *_conv("shortcut", "sum_relu", kernel=1, stride=2),
        _node("Add", "sum_2", "fourth", "shortcut"),
        _node("Relu", "sum_2_relu", "sum_2"),
        _node("GlobalAveragePool", "pool", "sum_2_relu"),
        _node("Flatten", "flat", "pool"),
        _node("Gemm", "logits", "flat", "head.weight", "head.bias", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _conv(name: str, data: str, kernel: int = 3, stride: int = 1) -> list[onnx.NodeProto]:
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
    return [_node("Conv", name, data, f"{name}.weight", f"{name}.bias", **attributes)]


def _node(op: str, name: str, *inputs: str, **attributes: object) -> onnx.NodeProto:
    """A node that is called as its result is."""
    return helper.make_node(op, list(inputs), [name], name, **attributes)
