"""The networks of the golden data as Relax modules, and what the original utilities made of them.

The small ones are built from the expressions recorded with them, the larger ones as `tvm.relay.testing` defined them in
TVM 0.18. Calls stand in the order in which Relay visited them: arguments first, left to right.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule, Var

from corecast.adapters.relax import LayoutConfig, convert_layout, recast, survey
from corecast.model import Layer, LayerTable, count

GOLDEN = Path(__file__).with_name("golden")

NETWORKS = tuple(sorted(path.stem for path in GOLDEN.glob("*_*.json")))
TINY = tuple(name for name in NETWORKS if name.startswith("tiny"))


@cache
def golden(name: str) -> dict[str, Any]:
    """A file of golden data."""
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def _can_be_built(variant: dict[str, Any]) -> bool:
    """Relax compiles transposed convolutions in their own layout only."""
    return "nn.conv2d_transpose" not in variant.get("convert", {}).get("desired_layouts", ())


# Each network with each variant of the workflow that the original could carry out on it, and that Relax can compile.
RECORDED = tuple(
    (name, variant["name"])
    for name in NETWORKS
    for variant in golden(name)["variants"]
    if "error" not in variant and _can_be_built(variant)
)


def variant_of(network: str, name: str) -> dict[str, Any]:
    return next(variant for variant in golden(network)["variants"] if variant["name"] == name)


# ── building ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Net:
    """A network in the making, with the layers of `tvm.relay.testing` under their names."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.builder = relax.BlockBuilder()
        self.data = Var("data", relax.TensorType(shape, "float32"))
        self.weights: dict[str, Var] = {}

    def weight(self, name: str, shape: Sequence[int]) -> Var:
        return self.weights.setdefault(name, Var(name, relax.TensorType(shape, "float32")))

    def emit(self, expr: Any, name: str = "") -> Var:
        return self.builder.emit(expr, name)

    def conv(self, x: Var, name: str, channels: int, kernel: int = 3, stride: int = 1, pad: int = 0) -> Var:
        weight = self.weight(f"{name}_weight", (channels, channels_of(x), kernel, kernel))
        return self.emit(relax.op.nn.conv2d(x, weight, (stride, stride), (pad,) * 4), name)

    def depthwise(self, x: Var, name: str, stride: int) -> Var:
        channels = channels_of(x)
        weight = self.weight(f"{name}_weight", (channels, 1, 3, 3))
        return self.emit(relax.op.nn.conv2d(x, weight, (stride, stride), (1,) * 4, groups=channels), name)

    def deconv(self, x: Var, name: str, channels: int, kernel: int, stride: int, pad: int) -> Var:
        weight = self.weight(f"{name}_weight", (channels_of(x), channels, kernel, kernel))
        return self.emit(relax.op.nn.conv2d_transpose(x, weight, (stride, stride), (pad,) * 4), name)

    def batch_norm(self, x: Var, name: str, epsilon: float = 1e-5, scale: bool = True) -> Var:
        roles = ("gamma", "beta", "moving_mean", "moving_var")
        statistics = [self.weight(f"{name}_{role}", (channels_of(x),)) for role in roles]
        call = relax.op.nn.batch_norm(x, *statistics, axis=1, epsilon=epsilon, scale=scale, training=False)
        return self.emit(relax.TupleGetItem(self.emit(call, name), 0), f"{name}_out")

    def dense(self, x: Var, name: str, units: int, bias: bool = True) -> Var:
        weight = self.weight(f"{name}_weight", (units, channels_of(x)))
        y = self.emit(relax.op.matmul(x, self.emit(relax.op.permute_dims(weight))), name)
        return self.emit(relax.op.add(y, self.weight(f"{name}_bias", (units,))), f"{name}_biased") if bias else y

    def bias(self, x: Var, name: str) -> Var:
        bias = self.weight(name, (channels_of(x),))
        return self.emit(relax.op.add(x, self.emit(relax.op.reshape(bias, (1, -1, 1, 1)))), f"{name}_add")

    def relu(self, x: Var) -> Var:
        return self.emit(relax.op.nn.relu(x), "relu")

    def max_pool(self, x: Var, pad: int = 0) -> Var:
        return self.emit(relax.op.nn.max_pool2d(x, (3, 3), (2, 2), (pad,) * 4), "pool")

    def avg_pool(self, x: Var, size: int, stride: int = 1) -> Var:
        return self.emit(relax.op.nn.avg_pool2d(x, (size, size), (stride, stride)), "pool")

    def global_pool(self, x: Var) -> Var:
        return self.emit(relax.op.nn.adaptive_avg_pool2d(x, (1, 1)), "pool")

    def flatten(self, x: Var) -> Var:
        return self.emit(relax.op.reshape(x, (shape_of(x)[0], -1)), "flat")

    def softmax(self, x: Var) -> Var:
        return self.emit(relax.op.nn.softmax(x), "softmax")

    def build(self, layers: Callable[[Net], Var]) -> IRModule:
        with self.builder.function("main"):
            with self.builder.dataflow():
                result = self.builder.emit_output(layers(self))
            self.builder.emit_func_output(result, params=[self.data, *self.weights.values()])
        module = self.builder.get()
        module["main"] = module["main"].with_attr("num_input", 1)
        return module


def shape_of(x: Var) -> tuple[int, ...]:
    return tuple(int(size) for size in x.ty.shape.values)


def channels_of(x: Var) -> int:
    return shape_of(x)[1]


def resnet(layers: int) -> Callable[[Net], Var]:
    """ResNet v2: batch norm and relu stand before each convolution, and the residual sums are left alone."""
    deep = layers >= 50
    filters = (256, 512, 1024, 2048) if deep else (64, 128, 256, 512)
    units = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[layers]

    def build(net: Net) -> Var:
        x = net.batch_norm(net.data, "bn_data", 2e-5, scale=False)
        if shape_of(x)[2] <= 32:
            x = net.conv(x, "conv0", 64, 3, pad=1)
        else:
            x = net.relu(net.batch_norm(net.conv(x, "conv0", 64, 7, stride=2, pad=3), "bn0", 2e-5))
            x = net.max_pool(x, pad=1)
        for stage, (channels, repeats) in enumerate(zip(filters, units, strict=True), 1):
            for unit in range(1, repeats + 1):
                stride = 2 if stage > 1 and unit == 1 else 1
                x = _residual_unit(net, x, f"stage{stage}_unit{unit}", channels, stride, unit > 1, deep)
        x = net.relu(net.batch_norm(x, "bn1", 2e-5))
        return net.softmax(net.dense(net.flatten(net.global_pool(x)), "fc1", 1000))

    return build


def _residual_unit(net: Net, x: Var, name: str, channels: int, stride: int, identity: bool, deep: bool) -> Var:
    first = net.relu(net.batch_norm(x, f"{name}_bn1", 2e-5))
    if deep:
        steps = [(channels // 4, 1, stride, 0), (channels // 4, 3, 1, 1), (channels, 1, 1, 0)]
    else:
        steps = [(channels, 3, stride, 1), (channels, 3, 1, 1)]
    y = first
    for number, (width, kernel, step, pad) in enumerate(steps, 1):
        if number > 1:
            y = net.relu(net.batch_norm(y, f"{name}_bn{number}", 2e-5))
        y = net.conv(y, f"{name}_conv{number}", width, kernel, step, pad)
    shortcut = x if identity else net.conv(first, f"{name}_sc", channels, 1, stride)
    return net.emit(relax.op.add(y, shortcut), f"{name}_sum")


def mobilenet(net: Net) -> Var:
    x = net.relu(net.batch_norm(net.conv(net.data, "conv_block_1_conv", 32, 3, 2, 1), "conv_block_1_bn"))
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for number, (channels, stride) in enumerate(blocks, 1):
        name = f"separable_conv_block_{number}"
        x = net.relu(net.batch_norm(net.depthwise(x, name, stride), f"{name}_bn1"))
        x = net.relu(net.batch_norm(net.conv(x, f"{name}_conv2", channels, 1), f"{name}_bn2"))
    return net.softmax(net.dense(net.flatten(net.global_pool(x)), "fc", 1000))


def squeezenet(net: Net) -> Var:
    """Version 1.1. Its dropout, which does nothing at inference, is left out."""

    def conv(x: Var, name: str, channels: int, kernel: int, stride: int = 1, pad: int = 0) -> Var:
        return net.relu(net.bias(net.conv(x, name, channels, kernel, stride, pad), f"{name}_bias"))

    x = net.max_pool(conv(net.data, "conv1", 64, 3, 2, 1))
    for number, width in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 1):
        squeezed = conv(x, f"fire{number}_input_conv", width, 1)
        left = conv(squeezed, f"fire{number}_left_conv", 4 * width, 1)
        right = conv(squeezed, f"fire{number}_right_conv", 4 * width, 3, pad=1)
        x = net.emit(relax.op.concat([left, right], 1), f"fire{number}")
        if number in (2, 4):
            x = net.max_pool(x)
    x = conv(x, "conv_final", 1000, 1)
    return net.softmax(net.flatten(net.global_pool(x)))


def densenet121(net: Net) -> Var:
    """Each layer of a block reads the one before it alone; one concatenate at the block's end joins them all."""

    def conv(x: Var, norm: str, name: str, channels: int, kernel: int, pad: int = 0) -> Var:
        return net.conv(net.relu(net.batch_norm(x, norm)), name, channels, kernel, pad=pad)

    x = net.relu(net.batch_norm(net.conv(net.data, "conv1", 64, 7, 2, 3), "batch1"))
    x = net.max_pool(x, pad=1)
    features = 64
    for block, layers in enumerate((6, 12, 24, 16)):
        fields = []
        for layer in range(layers):
            name = f"{block}_{layer}"
            x = conv(
                conv(x, f"batch_1_{name}", f"conv2d_1_{name}", 128, 1), f"batch_2_{name}", f"conv2d_2_{name}", 32, 3, 1
            )
            fields.append(x)
        x = net.emit(relax.op.concat(fields, 1), f"block{block}")
        features += layers * 32
        if block < 3:
            features //= 2
            x = net.avg_pool(conv(x, f"batch_t_{block}", f"conv_t_{block}", features, 1), 2, 2)
    x = net.avg_pool(net.relu(net.batch_norm(x, "batch2")), 7)
    return net.dense(net.flatten(x), "dense", 1000)


def dcgan(net: Net) -> Var:
    x = net.relu(net.dense(net.data, "dense", 4 * 4 * 1024, bias=False))
    x = net.emit(relax.op.reshape(x, (-1, 1024, 4, 4)), "image")
    for name, channels in (("g2", 512), ("g3", 256), ("g4", 128)):
        x = net.deconv(x, f"{name}_deconv", channels, 4, 2, 1)
        x = net.relu(net.batch_norm(x, f"{name}_batch_norm", scale=False))
    return net.emit(relax.op.tanh(net.deconv(x, "g5_deconv", 3, 4, 2, 1)), "tanh")


def mlp(net: Net) -> Var:
    x = net.flatten(net.data)
    x = net.relu(net.dense(x, "fc1", 128))
    x = net.relu(net.dense(x, "fc2", 64))
    return net.softmax(net.dense(x, "fc3", 10))


TOPOLOGIES: dict[str, Callable[[Net], Var]] = {
    "resnet18": resnet(18),
    "resnet50": resnet(50),
    "mobilenet": mobilenet,
    "squeezenet": squeezenet,
    "densenet121": densenet121,
    "dcgan": dcgan,
    "mlp": mlp,
}


def _recorded(network: str) -> Callable[[Net], Var]:
    """The network of a golden file that lists every expression."""
    rows = golden(network)["expressions"]
    layers = iter(golden(network)["layers"])

    def build(net: Net) -> Var:
        values: list[Any] = []
        for _, op, arguments, ty in rows:
            values.append(_expression(net, op, [values[place] for place in arguments], ty, layers))
        return values[-1]

    return build


def _expression(net: Net, op: str, arguments: list[Any], ty: str, layers: Iterator[list[Any]]) -> Any:
    match re.split(r"[:\[,\]]", op):
        case ["var", "data"]:
            return net.data
        case ["var", name]:
            return net.weight(name, [int(size) for size in ty.split()[0].split("x")])
        case ["tuple"]:
            return arguments
        case ["concatenate", *_]:
            return net.emit(relax.op.concat(*arguments, 1))
        case ["nn.bias_add", *_]:
            bias = net.emit(relax.op.reshape(arguments[1], (1, -1, 1, 1)))
            return net.emit(relax.op.add(arguments[0], bias))
        case ["nn.conv2d" | "nn.conv2d_transpose" as name, data, kernel, _]:
            _, weight, groups, strides, padding, dilation, *_ = next(layers)
            function = relax.op.nn.conv2d if name == "nn.conv2d" else relax.op.nn.conv2d_transpose
            how = {"groups": groups, "dilation": dilation, "data_layout": data, "kernel_layout": kernel}
            return net.emit(function(*arguments, strides, padding, **how), f"conv_{weight.replace('#', '_')}")
        case [name]:
            function = relax.op.nn.relu if name == "nn.relu" else relax.op.add
            return net.emit(function(*arguments))
    raise AssertionError(op)


@cache
def network(name: str) -> IRModule:
    """A network of the golden data; its weights are arguments of `main`."""
    recorded = golden(name)
    shape = [int(size) for size in recorded["inputs"]["data"].split()[0].split("x")]
    layers = _recorded(name) if "expressions" in recorded else TOPOLOGIES[name.split("_")[0]]
    return Net(shape).build(layers)


# ── weights ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def arrays(module: IRModule, kind: str, seed: int) -> dict[str, np.ndarray]:
    """Input and weights by the rule of `numerics.json`, which needs their names and shapes only."""
    return {var.name: _array(var.name, shape_of(var), kind, seed) for var in module["main"].params}


def _array(name: str, shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    random = np.random.RandomState((seed * 1000003 + zlib.crc32(name.encode())) % 2**32)
    fan = int(np.prod(shape[1:]))
    if name == "data":
        bound = {"unit": 1, "wide": 2, "sparse": 4}[kind]
        return random.uniform(-bound, bound, shape).astype(np.float32)
    if len(shape) == 1:
        low, high = (0.5, 1.5) if "gamma" in name or "var" in name else (-0.5, 0.5)
        return random.uniform(low, high, shape).astype(np.float32)
    if kind == "sparse":
        drawn = random.uniform(-1, 1, shape)
        return np.where(np.abs(drawn) < min(0.5, 1 / fan), np.sign(drawn), 0).astype(np.float32)
    bound = np.sqrt(3 / fan) if kind == "unit" else 1 / (1 - min(0.5, 6 / fan))
    return random.uniform(-bound, bound, shape).astype(np.float32)


# ── what the original did, and what we do ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Parity:
    """One variant of the workflow on one network: layers as in the original, and what runs at every inference.

    Casts are counted with those of weights, transforms without them, for ours are done ahead. What the original had is
    counted alike.
    """

    equal: int
    layers: int
    transforms: int
    original_transforms: int
    casts: int
    original_casts: int

    @property
    def cells(self) -> tuple[str, str, str]:
        """What the tables in the docs have: layers, transforms, casts. Fewer equal layers than all stand out."""
        layers = f"{self.equal}/{self.layers}"
        return (
            layers if self.equal == self.layers else f"**{layers}**",
            f"{self.transforms}/{self.original_transforms}",
            f"{self.casts}/{self.original_casts}",
        )


def parity(name: str, variant: str) -> Parity:
    recorded = variant_of(name, variant)
    module = carried_out(network(name), recorded)
    after = survey(module)
    expected = [row[:-1] for row in recorded["layers"]]
    return Parity(
        sum(left == right for left, right in zip(realised(after), expected, strict=True)),
        len(expected),
        _count(after, "permute_dims"),  # those of weights are no layers
        recorded["transforms"] - recorded["transforms_of_parameters"],
        sum(name == "relax.astype" for name in called(module)),
        recorded["casts"],
    )


def carried_out(module: IRModule, variant: dict[str, Any]) -> IRModule:
    """Our utilities called as the original's were, but for entries of `skip_layers` that those did not look at."""
    table = survey(module)  # neither ordinals nor depths change on the way
    if (convert := variant.get("convert")) and _has(table, convert["desired_layouts"]):
        is_counted = "nn.conv2d" in convert["desired_layouts"]
        convolutions = _count(table, "nn.conv2d") if is_counted else 0
        with LayoutConfig([place for place in convert.get("skip_layers", ()) if 0 <= place < convolutions]):
            module = convert_layout(module, convert["desired_layouts"])
    if (cast := variant.get("recast")) and _has(table, ops := cast.get("ops", ["nn.conv2d"])):
        depth = count(table, ops).chain
        skip = [place for place in cast["skip_layers"] if -depth <= place < depth]
        module = recast(module, cast["dtype"], cast["out_dtype"], ops, skip)
    return module


def _has(table: LayerTable, ops: Sequence[str]) -> bool:
    return any(op in table.by_op for op in ops)


def _count(table: LayerTable, op: str) -> int:
    return len(table.by_op.get(op, ()))


def called(module: IRModule) -> list[str]:
    """The names of all operators that `main` calls, those that only prepare a weight too."""
    values = [binding.value for block in module["main"].body.blocks for binding in block.bindings]
    return [value.op.name for value in values if isinstance(value, relax.Call)]


def rows(table: LayerTable) -> list[Layer]:
    """The layers that golden tables list."""
    listed = ("nn.conv2d", "nn.dense", "nn.conv2d_transpose")
    return [layer for layer in table.layers if layer.op in listed]


def realised(table: LayerTable) -> list[list[Any]]:
    """Layouts and dtypes of each row, as golden tables have them."""
    return [
        [
            layer.data_layout if layer.op != "nn.dense" else None,
            layer.kernel_layout if layer.op != "nn.dense" else None,
            layer.attributes["out_dtype"] or "",
            *(operand.type.dtype for operand in layer.operands),
            layer.results[0].dtype,
        ]
        for layer in rows(table)
    ]
