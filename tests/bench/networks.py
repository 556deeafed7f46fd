"""A number of operators in, a Relax model of so many out; and the graph of Llama 70B, whose weights are nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call, IRModule, Var

from corecast.adapters.relax import Model

STAGES = 50


class Builder:
    """A `main` in the making, quick enough for a hundred thousand calls."""

    def __init__(self) -> None:
        self.parameters: dict[str, Var] = {}
        self._bindings: list[relax.VarBinding] = []
        self._normalizer = relax.BlockBuilder()
        self._kinds: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._bindings)

    def parameter(self, name: str, *shape: int, dtype: str = "float32") -> Var:
        self.parameters[name] = var = Var(name, relax.TensorType(shape, dtype))
        return var

    def call(self, kind: str, make: Callable[..., Any], *operands: Any, name: str = "") -> Var:
        """Bind a call. One of a kind that was there before has the attributes and the type of that one."""
        known = self._kinds.get(kind)
        if known is None:
            value = self._kinds[kind] = self._normalizer.normalize(make(*operands))
        else:
            rest = known.args[len(operands) :]
            value = Call(known.op, [*operands, *rest], known.attrs, known.ty_args, None, known.ty)
        var = relax.DataflowVar(name or f"{kind}_{len(self)}", value.ty)
        self._bindings.append(relax.VarBinding(var, value))
        return var

    def module(self, inputs: Sequence[Var], result: relax.Expr) -> IRModule:
        """The module that returns one more call."""
        value = self._normalizer.normalize(result)
        output = Var("result", value.ty)
        block = relax.DataflowBlock([*self._bindings, relax.VarBinding(output, value)])
        body = self._normalizer.normalize(relax.SeqExpr([block], output))
        main = relax.Function([*inputs, *self.parameters.values()], body, output.ty, True)
        return tvm.IRModule({"main": main.with_attr("num_input", len(inputs)).with_attr("global_symbol", "main")})


def residual(operators: int, channels: int = 8, side: int = 8) -> Model:
    """Bottleneck blocks: pointwise, 3x3 (every third one depthwise) and pointwise convolutions, biases, relus, a sum.

    Weights are called `stage7.block123.conv0.weight`; the blocks are spread over fifty stages.
    """
    builder, op = Builder(), relax.op
    x = data = Var("data", relax.TensorType((1, channels, side, side), "float32"))
    for block in range((operators - 1) // 9):
        start, prefix = x, f"stage{block * 9 * STAGES // operators}.block{block}"
        for place in range(3):
            size, groups = (3 if place == 1 else 1), (channels if place == 1 and block % 3 == 0 else 1)
            weight = builder.parameter(f"{prefix}.conv{place}.weight", channels, channels // groups, size, size)
            bias = builder.parameter(f"{prefix}.conv{place}.bias", 1, channels, 1, 1)

            def convolution(x: Var, weight: Var, size: int = size, groups: int = groups) -> Call:
                return op.nn.conv2d(x, weight, padding=size // 2, groups=groups)

            x = builder.call(f"conv{size}_{groups}", convolution, x, weight, name=f"block{block}/conv{place}")
            x = builder.call("bias", op.add, x, bias, name=f"block{block}/bias{place}")
            if place < 2:
                x = builder.call("relu", op.nn.relu, x, name=f"block{block}/relu{place}")
        x = builder.call("sum", op.add, x, start, name=f"block{block}/sum")
    module = builder.module([data], op.mean(x, [2, 3]))
    random = np.random.default_rng(0)
    arrays = {
        name: 0.1 * random.standard_normal([int(size) for size in var.ty.shape.values], dtype=np.float32)
        for name, var in builder.parameters.items()
    }
    return Model(module, arrays, f"residual-{operators}")


class Llama:
    """The decoder of Llama 70B on one prompt, written out as exporters write it; weights are arguments of `main`.

    Grouped-query attention is one product for each of the eight key and value heads; norms and softmaxes are spelled
    out, in float32, between products in float16.
    """

    WIDTH, HEADS, GROUPS, HEAD, HIDDEN, WORDS = 8192, 64, 8, 128, 28672, 32000

    def __init__(self, blocks: int = 80, prompt: int = 128) -> None:
        self.blocks, self.prompt = blocks, prompt
        self._b = Builder()

    def module(self) -> IRModule:
        op, b = relax.op, self._b
        words = Var("words", relax.TensorType((1, self.prompt), "int64"))
        self._cos, self._sin = (
            Var(name, relax.TensorType((1, 1, self.prompt, self.HEAD), "float16")) for name in ("cos", "sin")
        )
        self._mask = Var("mask", relax.TensorType((1, 1, self.prompt, self.prompt), "float16"))
        embedding = b.parameter("embedding.weight", self.WORDS, self.WIDTH, dtype="float16")
        x = b.call("embed", lambda table, words: op.take(table, words, axis=0), embedding, words)
        for block in range(self.blocks):
            x = self._block(f"layers.{block}", x)
        last = self._norm("norm", x)
        head = b.parameter("head.weight", self.WIDTH, self.WORDS, dtype="float16")
        return b.module([words, self._cos, self._sin, self._mask], op.matmul(last, head))

    def _block(self, name: str, x: Var) -> Var:
        op, b = relax.op, self._b
        h = self._norm(f"{name}.attention_norm", x)
        q = self._heads("q", self._dense(f"{name}.attention.wq", h, self.HEADS * self.HEAD), self.HEADS)
        k = self._heads("k", self._dense(f"{name}.attention.wk", h, self.GROUPS * self.HEAD), self.GROUPS)
        v = self._heads("v", self._dense(f"{name}.attention.wv", h, self.GROUPS * self.HEAD), self.GROUPS)
        q, k = self._rotated("q", q), self._rotated("k", k)
        attended = [self._attention(group, q, k, v) for group in range(self.GROUPS)]
        joined = b.call("join", lambda parts: op.concat(parts, axis=1), relax.Tuple(attended))
        turned = b.call("turn", lambda x: op.permute_dims(x, [0, 2, 1, 3]), joined)
        flat = b.call("flat", lambda x: op.reshape(x, (1, self.prompt, self.WIDTH)), turned)
        x = b.call("sum", op.add, x, self._dense(f"{name}.attention.wo", flat, self.WIDTH))
        h = self._norm(f"{name}.ffn_norm", x)
        gate = self._dense(f"{name}.feed_forward.w1", h, self.HIDDEN)
        gate = b.call("gated", op.multiply, gate, b.call("sigmoid", op.sigmoid, gate))
        both = b.call("gated", op.multiply, gate, self._dense(f"{name}.feed_forward.w3", h, self.HIDDEN))
        return b.call("sum", op.add, x, self._dense(f"{name}.feed_forward.w2", both, self.WIDTH))

    def _dense(self, name: str, x: Var, width: int) -> Var:
        depth = int(x.ty.shape.values[2])
        weight = self._b.parameter(f"{name}.weight", depth, width, dtype="float16")
        return self._b.call(f"dense{depth}x{width}", relax.op.matmul, x, weight, name=name)

    def _norm(self, name: str, x: Var) -> Var:
        op, b = relax.op, self._b
        weight = b.parameter(f"{name}.weight", self.WIDTH, dtype="float16")
        wide = b.call("wide", lambda x: op.astype(x, "float32"), x)
        square = b.call("square", op.multiply, wide, wide)
        mean = b.call("mean", lambda x: op.mean(x, -1, keepdims=True), square)
        shifted = b.call("epsilon", lambda x: op.add(x, relax.const(1e-5, "float32")), mean)
        scaled = b.call("scaled", op.multiply, wide, b.call("rsqrt", op.rsqrt, shifted))
        narrow = b.call("narrow", lambda x: op.astype(x, "float16"), scaled)
        return b.call("weighted", op.multiply, narrow, weight, name=name)

    def _heads(self, kind: str, x: Var, heads: int) -> Var:
        op, b = relax.op, self._b
        split = b.call(f"{kind}_split", lambda x: op.reshape(x, (1, self.prompt, heads, self.HEAD)), x)
        return b.call(f"{kind}_heads", lambda x: op.permute_dims(x, [0, 2, 1, 3]), split)

    def _rotated(self, kind: str, x: Var) -> Var:
        op, b, half = relax.op, self._b, self.HEAD // 2
        first = b.call(f"{kind}_first", lambda x: op.strided_slice(x, [3], [0], [half]), x)
        second = b.call(f"{kind}_second", lambda x: op.strided_slice(x, [3], [half], [self.HEAD]), x)
        turned = relax.Tuple([b.call(f"{kind}_negative", op.negative, second), first])
        other = b.call(f"{kind}_other", lambda parts: op.concat(parts, axis=3), turned)
        cos = b.call(f"{kind}_cos", op.multiply, x, self._cos)
        return b.call(f"{kind}_rotated", op.add, cos, b.call(f"{kind}_sin", op.multiply, other, self._sin))

    def _attention(self, group: int, q: Var, k: Var, v: Var) -> Var:
        op, b, heads = relax.op, self._b, self.HEADS // self.GROUPS
        own = (op.strided_slice, [1], [group * heads], [(group + 1) * heads])
        q = b.call(f"q{group}", lambda x: own[0](x, *own[1:]), q)
        k = b.call(f"k{group}", lambda x: op.strided_slice(x, [1], [group], [group + 1]), k)
        v = b.call(f"v{group}", lambda x: op.strided_slice(x, [1], [group], [group + 1]), v)
        scores = b.call("scores", op.matmul, q, b.call("k_turned", lambda x: op.permute_dims(x, [0, 1, 3, 2]), k))
        scaled = b.call("scale", lambda x: op.multiply(x, relax.const(self.HEAD**-0.5, "float16")), scores)
        wide = b.call("scores_wide", lambda x: op.astype(x, "float32"), b.call("mask", op.add, scaled, self._mask))
        lower = b.call("lower", op.subtract, wide, b.call("most", lambda x: op.max(x, -1, keepdims=True), wide))
        exp = b.call("exp", op.exp, lower)
        share = b.call("share", op.divide, exp, b.call("total", lambda x: op.sum(x, -1, keepdims=True), exp))
        return b.call("attended", op.matmul, b.call("share_narrow", lambda x: op.astype(x, "float16"), share), v)
