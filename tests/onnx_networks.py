"""ONNX networks for tests: a model's text in, a model with seeded weights out; and running and printing models."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper, parser, printer

from corecast.adapters.onnx import Model, load, runner
from corecast.adapters.onnx.emulate import emulate
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import LayerTable
from corecast.plan import Plan, plan
from corecast.verify import seeded_inputs

# Inputs of a text that are called so are weights: the parser has no way to give a large tensor its values.
WEIGHT = re.compile(r"[wb]\d*(_\w+)?")


LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def light(name: str) -> Path:
    """The path of one of the models that the onnx package ships."""
    return LIGHT / f"light_{name}.onnx"


def proto_of(text: str, seed: int = 0) -> ModelProto:
    """The model in a text; inputs called `w`, `w1`, `b_left` and so on become weights, scaled by their fan-in."""
    proto = parser.parse_model(text)
    for value in [value for value in proto.graph.input if WEIGHT.fullmatch(value.name)]:
        shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        random = np.random.default_rng([seed, *value.name.encode()])
        fan_in = np.prod(shape[1:]) if len(shape) > 2 else shape[0] if len(shape) == 2 else 16
        array = (random.standard_normal(shape) / np.sqrt(fan_in)).astype(dtype)
        proto.graph.input.remove(value)
        proto.graph.initializer.append(numpy_helper.from_array(array, value.name))
    return proto


def model_of(text: str, seed: int = 0) -> Model:
    return load(proto_of(text, seed))


def planned(rules: str, table: LayerTable) -> Plan:
    return plan(read_recipe(Source("case.rules", rules), table), table)


def outputs(model: Model, seed: int = 0) -> list[np.ndarray]:
    """Run on seeded inputs, short floats rounded after each node."""
    return list(runner(emulate(model))(seeded_inputs(model.inputs, seed)))


def script(model: Model) -> str:
    """The weights and nodes of a model's main graph, one a line."""
    weights = [
        f"{tensor.name}: {np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))} {list(tensor.dims)}"
        for tensor in model.proto.graph.initializer
    ]
    nodes = [" ".join(printer.to_text(node).split()) for node in model.proto.graph.node]
    return "\n".join([*weights, *nodes]) + "\n"
