"""An ONNX model and `random:SEED` in, the same model with seeded weights of a sane scale out.

Published test models often come without weights (every one a `ConstantOfShape`). What is checked numerically needs
weights that differ from each other, and activations that neither explode nor vanish: a saturated softmax hides every
mistake. Values depend on the parameter's name and the seed alone, not on the order of nodes.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from corecast.adapters.onnx.model import Array
from corecast.adapters.source import ModelError

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}

# A tensor of so few elements whose role is unknown is a bound or an epsilon, not a weight.
_FEW = 4

# A residual branch is damped where it joins its stream, or each of a network's blocks would add to the variance.
_BRANCH = 0.2
_BOTH = 0.7

# What can be the last layer of a branch.
_LAYERS = {"BatchNormalization", "Conv"}

# How much larger a convolution should make the result of each, and what leaves such a result as it is.
_GAINS = dict.fromkeys(("Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "HardSwish", "Gelu"), 2.0**0.5) | {"MaxPool": 0.75}
_PASSING = {"AveragePool", "Concat", "Dropout", "Identity", "LRN", "Transpose", "Reshape"}

Noise: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Parameter:
    """A float tensor of the graph that a node reads: its shape, the node that reads it, at which place, and how strong.

    `gain` is what the layer should do to the size of its data.
    """

    name: str
    shape: tuple[int, ...]
    reader: NodeProto
    place: int
    gain: float = 1.0


Role: TypeAlias = Callable[[Parameter, Noise], Noise]


def fill(model: ModelProto, spec: str) -> ModelProto:
    """Replace every float parameter by seeded noise that suits its role; integer tensors are never touched."""
    seed = _seed(spec)
    filled = ModelProto()
    filled.CopyFrom(model)
    graph = _Graph(filled)
    filled_names = [name for name, tensor in graph.floats.items() if _fill_one(graph, name, tensor, seed)]
    graph.drop_makers_of(filled_names)
    return filled


def _fill_one(graph: _Graph, name: str, tensor: TensorProto, seed: int) -> bool:
    parameter = graph.parameter(name, tuple(tensor.dims))
    values = None if parameter is None else _values(parameter, seed)
    if values is None:
        return False
    graph.put(name, values.astype(helper.tensor_dtype_to_np_dtype(tensor.data_type), copy=False), tensor.data_type)
    return True


def _seed(spec: str) -> int:
    match = re.fullmatch(r"random:(\d+)", spec)
    if not match:
        raise ModelError.of(
            "weight-fill",
            f"cannot fill weights with `{spec}`",
            "write `random:SEED` with a whole number, as in `random:0`",
        )
    return int(match[1])


class _Graph:
    """The float tensors of a graph, wherever they are stored, and who reads them."""

    def __init__(self, model: ModelProto) -> None:
        self.graph = model.graph
        self.readers: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
        self.writers: dict[str, NodeProto] = {}
        for node in self.graph.node:
            self.writers.update((output, node) for output in node.output)
            for place, name in enumerate(node.input):
                self.readers[name].append((node, place))
        tensors = self._initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        made = _constants(self.graph.node)
        made.update(_constants_of_shape(self.graph.node, tensors | made))
        self.made = made
        self.floats = {name: tensor for name, tensor in (tensors | made).items() if tensor.data_type in _FLOATS}

    def parameter(self, name: str, shape: tuple[int, ...]) -> Parameter | None:
        """How the graph uses a tensor, seen through the views between it and its first reader."""
        seen = name
        while True:
            readers = self.readers.get(seen)
            if not readers:
                return None
            reader, place = readers[0]
            if reader.op_type not in {"Unsqueeze", "Squeeze", "Reshape", "Identity", "Cast", "Flatten"} or place:
                return Parameter(name, shape, reader, place, self._gain(reader))
            seen = reader.output[0]

    def _gain(self, node: NodeProto) -> float:
        """What keeps the size of the data: a rectifier cut off half of it, a maximum raised it; a branch is damped."""
        convolves = node.op_type in {"Conv", "ConvTranspose"}
        return self._damping(node) * (_GAINS.get(self._nonlinearity(node.input[0]), 1.0) if convolves else 1.0)

    def _nonlinearity(self, name: str) -> str:
        """The last operator before a value that changed its distribution, or the empty string."""
        while name in self.writers:
            writer = self.writers[name]
            if writer.op_type in _GAINS:
                return str(writer.op_type)
            if writer.op_type not in _PASSING:
                break
            name = writer.input[0]
        return ""

    def _damping(self, node: NodeProto) -> float:
        """How much smaller a layer's result should be because it joins a residual stream."""
        if node.op_type not in _LAYERS:
            return 1.0
        readers = self.readers.get(node.output[0], [])
        if len(readers) != 1 or readers[0][0].op_type not in {"Add", "Sum"}:
            return 1.0
        others = [name for name in readers[0][0].input if name != node.output[0]]
        if any(name in self.floats for name in others):
            return 1.0
        writers = {self.writers[name].op_type for name in others if name in self.writers}
        return _BOTH if _LAYERS.intersection(writers) else _BRANCH

    def put(self, name: str, values: Array, dtype: int) -> None:
        """Make an initializer of this name, or give the one that there is other values."""
        tensor = self._initializers.get(name)
        if tensor is None:
            tensor = self.graph.initializer.add()
        tensor.Clear()
        tensor.name = name
        tensor.data_type = dtype
        tensor.dims.extend(values.shape)
        tensor.raw_data = values.tobytes()

    def drop_makers_of(self, names: Iterable[str]) -> None:
        """Drop the nodes that made what are initializers now, and the shapes that nobody else reads."""
        made = self.made.keys() & set(names)
        unread = {name for node in self.graph.node if set(node.output) & made for name in node.input}
        _drop(self.graph.node, lambda node: bool(set(node.output) & made))
        unread -= {name for node in self.graph.node for name in node.input}
        _drop(self.graph.initializer, lambda tensor: tensor.name in unread)
        _drop(self.graph.input, lambda value: value.name in unread)


def _drop(items: Any, is_unwanted: Callable[[Any], bool]) -> None:
    """Take items out of a repeated field in place: to fill it anew would copy all the weights."""
    for place in range(len(items) - 1, -1, -1):
        if is_unwanted(items[place]):
            del items[place]


def _constants(nodes: Iterable[NodeProto]) -> dict[str, TensorProto]:
    """The tensors of `Constant` nodes under the names of their outputs."""
    tensors = {}
    for node in nodes:
        value = _value(node)
        if node.op_type == "Constant" and value is not None:
            tensors[node.output[0]] = tensor = TensorProto()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
    return tensors


def _constants_of_shape(nodes: Iterable[NodeProto], shapes: Mapping[str, TensorProto]) -> dict[str, TensorProto]:
    """What `ConstantOfShape` nodes make, without its values: they are about to be filled."""
    tensors = {}
    for node in nodes:
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            value = _value(node)
            shape = numpy_helper.to_array(shapes[node.input[0]]).tolist()
            dtype = TensorProto.FLOAT if value is None else value.data_type
            tensors[node.output[0]] = TensorProto(name=node.output[0], dims=shape, data_type=dtype)
    return tensors


def _value(node: NodeProto) -> TensorProto | None:
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _values(parameter: Parameter, seed: int) -> Array | None:
    """Noise for a parameter by its role, or None for a tensor that is no weight."""
    role = _ROLES.get((parameter.reader.op_type, parameter.place))
    if role is None:
        if parameter.reader.op_type in _NOT_WEIGHTS or int(np.prod(parameter.shape)) <= _FEW:
            return None
        role = _modest
    key = hashlib.sha256(f"{seed}:{parameter.name}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(key[:16], "big"))
    return role(parameter, random.standard_normal(parameter.shape, dtype=np.float32))


def _by_fan_in(parameter: Parameter, noise: Noise, fan_in: int) -> Noise:
    noise *= np.float32(parameter.gain * np.sqrt(1.0 / max(1, fan_in)))
    return noise


def _conv(parameter: Parameter, noise: Noise) -> Noise:
    return _by_fan_in(parameter, noise, int(np.prod(parameter.shape[1:])))


def _conv_transpose(parameter: Parameter, noise: Noise) -> Noise:
    return _by_fan_in(parameter, noise, parameter.shape[0])


def _matmul(parameter: Parameter, noise: Noise) -> Noise:
    return _by_fan_in(parameter, noise, parameter.shape[-2] if len(parameter.shape) > 1 else parameter.shape[0])


def _gemm(parameter: Parameter, noise: Noise) -> Noise:
    transposed = any(attribute.name == "transB" and attribute.i for attribute in parameter.reader.attribute)
    return _by_fan_in(parameter, noise, parameter.shape[1 if transposed else 0])


def _recurrent(parameter: Parameter, noise: Noise) -> Noise:
    return _by_fan_in(parameter, noise, parameter.shape[-1])


def _around(mean: float, spread: float) -> Role:
    def role(_: Parameter, noise: Noise) -> Noise:
        """Noise about a mean, without the rare large values that could change a sign."""
        values: Noise = np.float32(mean) + np.clip(noise, -3, 3) * np.float32(spread)
        return values

    return role


def _scale(parameter: Parameter, noise: Noise) -> Noise:
    values: Noise = _positive(parameter, noise) * np.float32(parameter.gain)
    return values


_small = _around(0, 0.05)
_modest = _around(0, 0.1)
_positive = _around(1, 0.1)
_slope = _around(0.25, 0.02)

# What a parameter is, by the node that reads it and the place where it stands there.
_ROLES: dict[tuple[str, int], Role] = {
    ("Conv", 1): _conv,
    ("Conv", 2): _small,
    ("ConvTranspose", 1): _conv_transpose,
    ("ConvTranspose", 2): _small,
    ("MatMul", 0): _matmul,
    ("MatMul", 1): _matmul,
    ("Gemm", 1): _gemm,
    ("Gemm", 2): _small,
    ("BatchNormalization", 1): _scale,
    ("BatchNormalization", 2): _small,
    ("BatchNormalization", 3): _small,
    ("BatchNormalization", 4): _positive,
    ("InstanceNormalization", 1): _positive,
    ("InstanceNormalization", 2): _small,
    ("GroupNormalization", 1): _positive,
    ("GroupNormalization", 2): _small,
    ("LayerNormalization", 1): _positive,
    ("LayerNormalization", 2): _small,
    ("RMSNormalization", 1): _positive,
    ("PRelu", 1): _slope,
    ("Gather", 0): _modest,
    ("LSTM", 1): _recurrent,
    ("LSTM", 2): _recurrent,
    ("GRU", 1): _recurrent,
    ("GRU", 2): _recurrent,
    ("RNN", 1): _recurrent,
    ("RNN", 2): _recurrent,
}
_ROLES |= {(op, place): _small for op in ("Add", "Sub", "Sum") for place in (0, 1)}
_ROLES |= {(op, place): _positive for op in ("Mul", "Div") for place in (0, 1)}

# Float operands that say what to do and are no weights: scales of sizes, bounds, steps of a quantizer.
_NOT_WEIGHTS = {
    *("Resize", "Upsample", "Clip", "Pad", "Pow", "Range", "Where", "Max", "Min", "OneHot", "Dropout"),
    *("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"),
}
