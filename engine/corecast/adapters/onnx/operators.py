"""ONNX's operators in, the names and attributes that recipes use for them out: a rule reads alike for every IR.

Where TVM's frontend makes one call of a node, the name is that call's. Where it makes several (an `Elu`, an `LRN`), or
has none, it is ONNX's own in snake case; operators of other domains keep their name with the domain before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from corecast.model import Attribute

_NAMES = {
    "AffineGrid": "image.affine_grid",
    "And": "logical_and",
    "ArgMax": "argmax",
    "ArgMin": "argmin",
    "Attention": "nn.attention",
    "BatchNormalization": "nn.batch_norm",
    "Cast": "astype",
    "CumProd": "cumprod",
    "CumSum": "cumsum",
    "DequantizeLinear": "dequantize",
    "Div": "divide",
    "Dropout": "nn.dropout",
    "Expand": "broadcast_to",
    "Flatten": "reshape",
    "Gather": "take",
    "GatherND": "gather_nd",
    "GlobalAveragePool": "mean",
    "GlobalMaxPool": "max",
    "GreaterOrEqual": "greater_equal",
    "GridSample": "image.grid_sample",
    "GroupNormalization": "nn.group_norm",
    "InstanceNormalization": "nn.instance_norm",
    "IsInf": "isinf",
    "IsNaN": "isnan",
    "LayerNormalization": "nn.layer_norm",
    "LeakyRelu": "nn.leakyrelu",
    "LessOrEqual": "less_equal",
    "LogSoftmax": "nn.log_softmax",
    "MatMulInteger": "matmul_integer",
    "Max": "maximum",
    "MaxRoiPool": "vision.roi_pool",
    "Min": "minimum",
    "Mul": "multiply",
    "Neg": "negative",
    "NonMaxSuppression": "vision.all_class_non_max_suppression",
    "NonZero": "nonzero",
    "Not": "logical_not",
    "Or": "logical_or",
    "PRelu": "nn.prelu",
    "Pad": "nn.pad",
    "Pow": "power",
    "QLinearMatMul": "qlinear_matmul",
    "QuantizeLinear": "quantize",
    "RMSNormalization": "nn.rms_norm",
    "Range": "arange",
    "ReduceMax": "max",
    "ReduceMean": "mean",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceSum": "sum",
    "Relu": "nn.relu",
    "RoiAlign": "vision.roi_align",
    "ScatterElements": "scatter_elements",
    "ScatterND": "scatter_nd",
    "Selu": "nn.selu",
    "Shape": "shape_of",
    "Slice": "strided_slice",
    "Softmax": "nn.softmax",
    "Softplus": "nn.softplus",
    "Sub": "subtract",
    "Sum": "add",
    "TopK": "topk",
    "Transpose": "permute_dims",
    "Unsqueeze": "expand_dims",
    "Xor": "logical_xor",
}

# The operators whose name counts the axes of their data.
_BY_RANK = {
    "AveragePool": "nn.avg_pool{}d",
    "Conv": "nn.conv{}d",
    "ConvTranspose": "nn.conv{}d_transpose",
    "MaxPool": "nn.max_pool{}d",
    "Resize": "image.resize{}d",
    "Upsample": "image.resize{}d",
}

# Graphs inside a graph.
_NESTED = frozenset({"If", "Loop", "Scan"})

# How many of a node's inputs are tensors that it computes on; the others say what to do, as attributes do elsewhere.
DATA_INPUTS = {
    "Clip": 1,
    "CumSum": 1,
    "Dropout": 1,
    "Expand": 1,
    "OneHot": 1,
    "Pad": 1,
    "ReduceL1": 1,
    "ReduceL2": 1,
    "ReduceLogSum": 1,
    "ReduceLogSumExp": 1,
    "ReduceMax": 1,
    "ReduceMean": 1,
    "ReduceMin": 1,
    "ReduceProd": 1,
    "ReduceSum": 1,
    "ReduceSumSquare": 1,
    "Reshape": 1,
    "Resize": 1,
    "Slice": 1,
    "Split": 1,
    "Squeeze": 1,
    "Tile": 1,
    "TopK": 1,
    "Trilu": 1,
    "Unsqueeze": 1,
    "Upsample": 1,
}

_RENAMED = {"dilations": "dilation", "group": "groups", "pads": "padding", "perm": "axes"}
_FLAGS = frozenset({"ceil_mode", "count_include_pad", "keepdims"})
_DATA_LAYOUTS = {3: "NCW", 4: "NCHW", 5: "NCDHW"}
_KERNEL_LAYOUTS = {"Conv": {3: "OIW", 4: "OIHW", 5: "OIDHW"}, "ConvTranspose": {3: "IOW", 4: "IOHW", 5: "IODHW"}}

Settings = Mapping[str, Any]
Shape = Sequence[int | str] | None


def operator_name(domain: str, op_type: str, settings: Settings, rank: int | None, has_weight: bool) -> str:
    """What recipes call an operator.

    Args:
        domain: the empty string for ONNX's own operators.
        settings: its attributes, of which few matter for the name.
        rank: of the first operand, where it is known.
        has_weight: whether the second operand is a parameter.
    """
    if domain:
        return f"{domain}.{op_type}"
    if op_type in {"Gemm", "MatMul"}:
        return "nn.dense" if has_weight else "matmul"
    if op_type in _BY_RANK and rank is not None:
        return _BY_RANK[op_type].format(rank - 2)
    if op_type == "Gelu":
        return "nn.gelu_tanh" if settings.get("approximate") == "tanh" else "nn.gelu"
    if op_type == "Trilu":
        return "triu" if settings.get("upper", 1) else "tril"
    return _NAMES.get(op_type) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", op_type).lower()


def is_nested(op_type: str) -> bool:
    """Whether an operator holds graphs of its own, each of which counts as a part of it."""
    return op_type in _NESTED


def attributes_of(op_type: str, settings: Settings, data: Shape, kernel: Shape) -> dict[str, Attribute]:
    """The attributes of a call under the names that recipes use, with ONNX's defaults where rules ask for them.

    Args:
        settings: the node's attributes, and the inputs that are settings too, where they are constant.
        data: the shape of the first operand.
        kernel: the shape of the second one, a convolution's weight.
    """
    plain = {_RENAMED.get(key, key): _plain(key, value) for key, value in settings.items()}
    if op_type in {"Conv", "ConvTranspose"} and data is not None and 3 <= len(data) <= 5:
        spatial = len(data) - 2
        window = _window(settings, kernel)
        plain.pop("kernel_shape", None)
        return {**_layouts(op_type, len(data)), **_slides(settings, data, spatial, window, plain)}
    if op_type in {"AveragePool", "MaxPool"} and data is not None:
        window = _window(settings, None)
        plain["pool_size"] = plain.pop("kernel_shape", None)
        plain = {"ceil_mode": False, "count_include_pad": False, "layout": _DATA_LAYOUTS.get(len(data)), **plain}
        return _slides(settings, data, len(data) - 2, window, plain)
    if op_type in {"GlobalAveragePool", "GlobalMaxPool"} and data is not None:
        return {**plain, "axis": tuple(range(2, len(data))), "keepdims": True}
    if op_type.startswith("Reduce") or op_type in {"Squeeze", "Unsqueeze"}:
        axis = {"axis": plain.pop("axes", None)}
        return {**plain, **axis, **({"keepdims": plain.get("keepdims", True)} if op_type.startswith("Reduce") else {})}
    if op_type in {"Softmax", "LogSoftmax"}:
        return {"axis": -1, **plain}
    return plain


def _plain(key: str, value: Any) -> Attribute:
    if key in _FLAGS:
        return bool(value)
    if value is None or isinstance(value, int | float | str):
        return value
    return tuple(item if isinstance(item, int | float) else str(item) for item in value)


def _window(settings: Settings, kernel: Shape) -> Sequence[int] | None:
    if "kernel_shape" in settings:
        return [int(size) for size in settings["kernel_shape"]]
    sizes = kernel[2:] if kernel is not None else ()
    return [int(size) for size in sizes] if sizes and all(isinstance(size, int) for size in sizes) else None


def _slides(
    settings: Settings, data: Sequence[int | str], spatial: int, window: Sequence[int] | None, plain: dict[str, Any]
) -> dict[str, Attribute]:
    """What a window that slides over the data has: strides, dilation, and the padding in numbers."""
    ones = (1,) * spatial
    strides, dilation = plain.get("strides", ones), plain.get("dilation", ones)
    named = settings.get("auto_pad", "NOTSET")
    padding = plain.get("padding", (0,) * (2 * spatial))
    if named in {"SAME_UPPER", "SAME_LOWER"} and window and all(isinstance(size, int) for size in data[2:]):
        padding = _same(data[2:], window, strides, dilation, late=named == "SAME_UPPER")
        plain.pop("auto_pad")
    elif named in {"NOTSET", "VALID"}:
        plain.pop("auto_pad", None)
    return {**plain, "strides": strides, "padding": padding, "dilation": dilation}


def _same(sizes: Any, window: Sequence[int], strides: Any, dilation: Any, *, late: bool) -> tuple[int, ...]:
    """The padding that keeps the size over the stride; of an odd one the larger half is the late or the early one."""
    totals = [
        max(0, (-(-size // stride) - 1) * stride + (reach - 1) * step + 1 - size)
        for size, reach, stride, step in zip(sizes, window, strides, dilation, strict=True)
    ]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (*small, *large) if late else (*large, *small)


def _layouts(op_type: str, rank: int) -> dict[str, Attribute]:
    return {"groups": 1, "data_layout": _DATA_LAYOUTS[rank], "kernel_layout": _KERNEL_LAYOUTS[op_type][rank]}
