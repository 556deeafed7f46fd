"""The model as this adapter holds it: an ONNX graph whose nodes all have their own names, and the types of its values.

Weights that a file keeps beside the model stay there until somebody asks for one: planning reads none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from corecast.adapters.onnx.tensors import array_type
from corecast.adapters.source import ModelError, Origin
from corecast.model import TensorType

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Model:
    """An ONNX model; nothing in it is changed once it is made.

    Args:
        proto: its nodes stand in an order in which they can run.
        name: what layer tables and messages call it.
        types: those of the main graph's values, where they are known.
        folder: of the files in which it keeps weights.
        late: initializers that have no values in `proto`, and what computes them.
        origin: says where the model came from; reads all of it to know its digest.
    """

    proto: ModelProto
    name: str
    types: Mapping[str, TensorType]
    folder: Path | None = None
    late: Mapping[str, Callable[[], Array]] = field(default_factory=dict)
    origin: Callable[[], Origin] | None = None

    @cached_property
    def initializers(self) -> dict[str, TensorProto]:
        return {tensor.name: tensor for tensor in self.proto.graph.initializer}

    @cached_property
    def parameters(self) -> Mapping[str, Array]:
        """The initializers and constants by name; each is read when it is asked for, and kept by nobody."""
        constants = (node for node in self.proto.graph.node if is_constant(node))
        found = {node.output[0]: partial(self.constant, node) for node in constants}
        return _Late({**{name: partial(self.array, name) for name in self.initializers}, **found})

    @cached_property
    def inputs(self) -> dict[str, TensorType]:
        """What the model takes: the inputs of its graph that are no initializers."""
        names = (value.name for value in self.proto.graph.input)
        return {name: self.types[name] for name in names if name not in self.initializers and name in self.types}

    @property
    def outputs(self) -> list[str]:
        return [value.name for value in self.proto.graph.output]

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return self.opsets.get("", 1)

    @cached_property
    def opsets(self) -> dict[str, int]:
        """The versions of the operators of each domain; ONNX's own is the empty one."""
        return {domain_of(item.domain): int(item.version) for item in self.proto.opset_import}

    def array(self, name: str) -> Array:
        """The values of an initializer. Raises `ModelError` where the file that has them does not."""
        if name in self.late:
            return self.late[name]()
        return self.array_of(self.initializers[name])

    def constant(self, node: NodeProto) -> Array:
        """The value of a `Constant`, in any of its spellings."""
        tensor = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if tensor is not None:
            return self.array_of(tensor)
        ((kind, plain),) = settings_of(node).items()
        return np.asarray(plain, np.float32 if kind.startswith("value_float") else np.int64)

    def array_of(self, tensor: TensorProto) -> Array:
        """The values of a tensor that stands in the model or in a file beside it."""
        if not is_external(tensor):
            array: Array = numpy_helper.to_array(tensor)
            return array
        copy = TensorProto()  # for reading puts the values into the tensor
        copy.CopyFrom(tensor)
        try:
            loaded: Array = numpy_helper.to_array(copy, str(self.folder or ""))
        except Exception as error:  # onnx raises what its checks, its reader or numpy met
            message = f"the weight {tensor.name} of {self.name} cannot be read from the file beside it: {error}"
            raise ModelError.of("no-weights", message, "copy that file to where the model is") from error
        return loaded

    def type_of(self, name: str) -> TensorType | None:
        """The type of a value of the main graph."""
        if name in self.initializers:
            return array_type(self.initializers[name])
        return self.types.get(name)


class _Late(Mapping[str, Array]):
    """Arrays by name that are computed whenever they are asked for."""

    def __init__(self, arrays: Mapping[str, Callable[[], Array]]) -> None:
        self._arrays = arrays

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def is_constant(node: NodeProto) -> bool:
    """Whether a node is a constant that is stored element by element; a text is none, for it is no number."""
    spelled = {attribute.name for attribute in node.attribute}
    known = {"value", "value_int", "value_ints", "value_float", "value_floats"}
    return node.op_type == "Constant" and not domain_of(node.domain) and bool(spelled & known)


def is_external(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def domain_of(domain: str) -> str:
    """ONNX's own domain goes by two names."""
    return "" if domain == "ai.onnx" else domain


def without(message: Any, *fields: str) -> Any:
    """A copy of a protobuf message that leaves some fields out: large ones are never copied only to be dropped."""
    copy = type(message)()
    for descriptor, value in message.ListFields():
        if descriptor.name in fields:
            continue
        if hasattr(value, "extend"):
            getattr(copy, descriptor.name).extend(value)
        elif hasattr(value, "CopyFrom"):
            getattr(copy, descriptor.name).CopyFrom(value)
        else:
            setattr(copy, descriptor.name, value)
    return copy


def settings_of(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node that are numbers or texts, as Python values; graphs and tensors are left out."""
    plain = (item for item in node.attribute if item.type in _SETTINGS)
    return {item.name: _SETTINGS[item.type](item) for item in plain}


_SETTINGS: dict[int, Callable[[Any], Any]] = {
    1: lambda attribute: attribute.f,
    2: lambda attribute: attribute.i,
    3: lambda attribute: attribute.s.decode(errors="replace"),
    6: lambda attribute: tuple(attribute.floats),
    7: lambda attribute: tuple(attribute.ints),
    8: lambda attribute: tuple(text.decode(errors="replace") for text in attribute.strings),
}
