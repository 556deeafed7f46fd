"""Networks for the Relay tests: those of `tvm.relay.testing`, and the small ones of the golden data."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import tvm
from tvm import relay
from tvm.ir import IRModule
from tvm.relay import testing

from corecast.adapters.relay import survey
from corecast.api import Source, plan, read_recipe
from corecast.model import Layer
from corecast.plan import Plan

GOLDEN = Path(__file__).parents[1] / "golden"

TINY = tuple(sorted(path.stem for path in GOLDEN.glob("tiny_*.json")))

# The networks of the golden data that `tvm.relay.testing` builds.
ZOO = {
    "resnet18_b1": lambda: testing.resnet.get_workload(num_layers=18, batch_size=1),
    "resnet18_b8": lambda: testing.resnet.get_workload(num_layers=18, batch_size=8),
    "resnet50_b1": lambda: testing.resnet.get_workload(num_layers=50, batch_size=1),
    "mobilenet_b1": lambda: testing.mobilenet.get_workload(batch_size=1),
    "squeezenet_v11_b1": lambda: testing.squeezenet.get_workload(batch_size=1, version="1.1"),
    "densenet121_b1": lambda: testing.densenet.get_workload(densenet_size=121, batch_size=1),
    "dcgan_b1": lambda: testing.dcgan.get_workload(batch_size=1),
    "mlp_b1": lambda: testing.mlp.get_workload(batch_size=1),
}

NETWORKS = (*ZOO, *TINY)

WORKFLOW = """
skip nn.conv2d #0
match nn.conv2d #k, set layout HWNC, cast int8 -> int32 unless skipped
"""


@cache
def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@cache
def network(name: str) -> IRModule:
    """A network of the golden data; its weights are arguments of `main`."""
    return ZOO[name]()[0] if name in ZOO else _recorded(name)


@cache
def weights(name: str) -> frozenset[str]:
    """The names of the weights that come with a network."""
    return frozenset(ZOO[name]()[1])


def _recorded(name: str) -> IRModule:
    layers = iter(golden(name)["layers"])
    values: list[Any] = []
    for _, op, arguments, ty in golden(name)["expressions"]:
        values.append(_expression(op, [values[place] for place in arguments], ty, layers))
    return relay.transform.InferType()(IRModule.from_expr(values[-1]))


def _expression(op: str, arguments: list[Any], ty: str, layers: Any) -> Any:
    match re.split(r"[:\[,\]]", op):
        case ["var", name]:
            shape, dtype = ty.split()
            return relay.var(name, shape=[int(size) for size in shape.split("x")], dtype=dtype)
        case ["tuple"]:
            return relay.Tuple(arguments)
        case ["concatenate", *_]:
            return relay.concatenate(*arguments, axis=1)
        case ["nn.bias_add", *_]:
            return relay.nn.bias_add(*arguments)
        case ["nn.conv2d" | "nn.conv2d_transpose" as name, data, kernel, _]:
            _, _, groups, strides, padding, dilation, channels, size, *_ = next(layers)
            function = relay.nn.conv2d if name == "nn.conv2d" else relay.nn.conv2d_transpose
            how = {"channels": channels, "kernel_size": size, "data_layout": data, "kernel_layout": kernel}
            return function(*arguments, strides, padding, dilation, groups, **how)
        case [name]:
            return relay.nn.relu(*arguments) if name == "nn.relu" else relay.add(*arguments)
    raise AssertionError(op)


def chain(*convolutions: tuple[str, int], data: tuple[int, ...] = (8, 32, 8, 8)) -> IRModule:
    """Convolutions by weight name and number of output channels, 3x3, one after another."""
    value = relay.var("data", shape=data)
    channels = data[1]
    for name, outputs in convolutions:
        weight = relay.var(name, shape=(outputs, channels, 3, 3))
        value = relay.nn.conv2d(value, weight, padding=(1, 1), channels=outputs, kernel_size=(3, 3))
        channels = outputs
    return relay.transform.InferType()(IRModule.from_expr(value))


def calls(module: IRModule) -> list[relay.Call]:
    """Every call of `main`, weights' preparation too, in forward post order."""
    found: list[relay.Call] = []
    relay.analysis.post_order_visit(module["main"], lambda node: found.append(node) if _is_call(node) else None)
    return found


def _is_call(node: Any) -> bool:
    return isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op)


def called(module: IRModule) -> Counter[str]:
    return Counter(call.op.name for call in calls(module))


def realised(module: IRModule) -> list[tuple[str, ...]]:
    """Layouts and dtypes of every layer with a weight, in order."""
    listed = ("nn.conv2d", "nn.dense", "nn.conv2d_transpose")
    return [_realised(layer) for layer in survey(module).layers if layer.op in listed]


def _realised(layer: Layer) -> tuple[str, ...]:
    attributes = layer.attributes
    layouts = [str(attributes.get(key, "")) for key in ("data_layout", "kernel_layout", "out_dtype")]
    return (layer.op, *layouts, *(operand.type.dtype for operand in layer.operands), layer.results[0].dtype)


def plan_of(rules: str, module: IRModule, name: str = "module") -> Plan:
    table = survey(module, name=name)
    return plan(read_recipe(Source("test.rules", rules), table), table)
