"""What networks are made of; each function is one move, drawn with its weight (see `grow`)."""

from __future__ import annotations

from fuzz.grow import Growth, Value, move

CONVOLUTIONS = {3: ("nn.conv1d", "NCW", "OIW"), 4: ("nn.conv2d", "NCHW", "OIHW"), 5: ("nn.conv3d", "NCDHW", "OIDHW")}


def is_image(net: Growth, x: Value) -> bool:
    return x.dtype == net.dtype and x.rank in CONVOLUTIONS and all(isinstance(size, int) for size in x.shape[1:])


# ── layers with weights ──────────────────────────────────────────────────────────────────────────────────────────────


@move(16)
def convolution(net: Growth, x: Value) -> None:
    """Plain, grouped, depthwise, strided, dilated, asymmetrically padded; with a bias half of the time."""
    images = [value for value in net.values[-6:] if is_image(net, value)]
    if not is_image(net, x) and images:
        x = net.random.choice(images)
    if not is_image(net, x):
        return
    op, data, kernel = CONVOLUTIONS[x.rank]
    channels, *space = x.shape[1:]
    groups = net.random.choice([channels, *(g for g in (1, 1, 1, 2, 3, 4) if channels % g == 0)])
    if groups == channels > 1 and net.chance(0.6):
        outputs = channels * net.choice(1, 1, 2)
    else:
        outputs = groups * net.choice(1, 2, 3, 4, 5, 8 // groups or 1)
    sizes = [net.choice(1, 2, 3, 3) for _ in space] if net.chance(0.3) else [net.choice(1, 3, 3)] * len(space)
    dilation = [net.choice(1, 1, 1, 2)] * len(space)
    spread = [d * (k - 1) for d, k in zip(dilation, sizes, strict=True)]
    same = [s // 2 for s in spread]
    padding = [*same, *same] if net.chance(0.7) else [net.random.randint(0, 2) for _ in range(2 * len(space))]
    strides = [net.choice(1, 1, 1, 2)] * len(space)
    attributes = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    if net.chance(0.06):
        _natively_last(net, x, outputs, sizes, attributes)
        return
    # Now and then a kernel that is no weight.
    kernels = net.weight if net.chance(0.97) else net.argument
    weight = kernels(outputs, channels // groups, *sizes)
    made = net.add(op, x, weight, data_layout=data, kernel_layout=kernel, **attributes)
    if made and net.chance(0.5):
        biased(net, made)


def _natively_last(net: Growth, x: Value, outputs: int, sizes: list[int], attributes: dict[str, object]) -> None:
    """A convolution whose model is in NHWC: the last axis is the channels."""
    op, data, kernel = CONVOLUTIONS[x.rank]
    groups = attributes["groups"] if x.shape[-1] % attributes["groups"] == 0 else 1
    weight = net.weight(*sizes, x.shape[-1] // groups, outputs // attributes["groups"] * groups)
    layouts = {"data_layout": f"N{data[2:]}C", "kernel_layout": f"{kernel[2:]}IO"}
    net.add(op, x, weight, **{**attributes, "groups": groups}, **layouts)


def biased(net: Growth, x: Value) -> Value | None:
    """A bias as frontends write it, of the same rank or a lower one, or a batch norm."""
    channels = x.shape[1]
    ones = (1,) * (x.rank - 2)
    form = net.choice("same", "lower", "reshaped", "norm")
    if form == "norm":
        return batch_norm(net, x)
    if form == "reshaped":
        row = net.add("reshape", net.weight(channels), shape=(1, channels, *ones))
        return net.add("add", x, row) if row else None
    return net.add("add", x, net.weight(*([1] if form == "same" else []), channels, *ones))


@move(1)
def batch_norm(net: Growth, x: Value) -> Value | None:
    if not is_image(net, x):
        return None
    axis = net.choice(1, 1, 1, x.rank - 1)
    size = x.shape[axis]
    names = [net.weight(size, role="positive"), net.weight(size), net.weight(size), net.weight(size, role="positive")]
    items = net.items("nn.batch_norm", x, *names, axis=axis, training=False, epsilon=net.choice(1e-5, 1e-2))
    return items[0] if items else None


@move(1.5)
def transposed_convolution(net: Growth, x: Value) -> None:
    if not is_image(net, x):
        return
    op, data, _ = CONVOLUTIONS[x.rank]
    channels, *space = x.shape[1:]
    groups = net.random.choice([g for g in (1, 1, 2, channels) if channels % g == 0])
    stride = net.choice(1, 2)
    sizes = [net.choice(1, 2, 3) for _ in space]
    weight = net.weight(channels, net.random.randint(1, 3), *sizes)
    net.add(
        f"{op}_transpose", x, weight,
        strides=[stride] * len(space), padding=[min(1, (size - 1) // 2) for size in sizes] * 2,
        output_padding=[net.choice(0, stride - 1)] * len(space), groups=groups,
        data_layout=data, kernel_layout=f"IO{data[2:]}",
    )  # fmt: skip


@move(2.5)
def dense(net: Growth, x: Value) -> None:
    """A matmul with a weight, now and then one that is transposed in the graph."""
    if not x.is_float or x.rank < 2 or not isinstance(x.shape[-1], int):
        return
    inputs, outputs = x.shape[-1], net.random.randint(1, 8)
    if net.chance(0.4):
        weight = net.add("permute_dims", net.weight(outputs, inputs, dtype=x.dtype), axes=[1, 0])
    else:
        weight = net.weight(inputs, outputs, dtype=x.dtype)
    made = net.add("matmul", x, weight) if weight else None
    if made and net.chance(0.5):
        net.add("add", made, net.weight(outputs, dtype=x.dtype))


@move(0.8)
def matmul(net: Growth, x: Value) -> None:
    """Two values with each other, as in attention."""
    if x.rank >= 2 and x.is_float and x.shape[-1] != "n":
        turned = net.add("permute_dims", x, axes=[*range(x.rank - 2), x.rank - 1, x.rank - 2])
        if turned:
            net.add("matmul", *((x, turned) if net.chance(0.5) else (turned, x)))


@move(0.3)
def attention(net: Growth, x: Value) -> None:
    """One call for all of it, with axes of fixed meanings: batch, sequence, heads, depth."""
    if x.dtype == "float32" and x.rank == 4 and "n" not in x.shape:
        net.add("nn.attention", x, x, x)


# ── pooling, resizing ────────────────────────────────────────────────────────────────────────────────────────────────


@move(2)
def pool(net: Growth, x: Value) -> None:
    if not is_image(net, x):
        return
    dims = x.rank - 2
    size, strides = [net.choice(1, 2, 2, 3)] * dims, [net.choice(1, 2, 2)] * dims
    if net.chance(0.3):
        size, strides = [net.choice(1, 2, 3) for _ in size], [net.choice(1, 2) for _ in strides]
    padding = [net.random.randint(0, side // 2) for side in size * 2] if net.chance(0.4) else [0] * 2 * dims
    kind = net.choice("max", "avg")
    attributes = {"ceil_mode": net.chance(0.3), "count_include_pad": net.chance(0.3)}
    if all(side >= reach for side, reach in zip(x.shape[2:], size, strict=True)):
        net.add(
            f"nn.{kind}_pool{dims}d", x, pool_size=size, strides=strides, padding=padding,
            layout=CONVOLUTIONS[x.rank][1], **attributes,
        )  # fmt: skip


@move(0.5)
def pool_of_channels(net: Growth, x: Value) -> None:
    """A window over channels, as frontends write a local response normalisation."""
    if not is_image(net, x) or x.rank != 4:
        return
    deep = net.add("expand_dims", x, axis=[1])
    if deep:
        reach = net.choice(3, 5)
        pooled = net.add(
            "nn.avg_pool3d", deep, pool_size=[reach, 1, 1], padding=[reach // 2, 0, 0, reach // 2, 0, 0],
            count_include_pad=True,
        )  # fmt: skip
        if pooled:
            net.add("squeeze", pooled, axis=[1])


@move(0.7)
def adaptive_pool(net: Growth, x: Value) -> None:
    if is_image(net, x):
        dims = x.rank - 2
        net.add(f"nn.adaptive_avg_pool{dims}d", x, output_size=[net.choice(1, 1, 2, 3) for _ in range(dims)])


@move(0.7)
def resize(net: Growth, x: Value) -> None:
    if is_image(net, x) and x.rank == 4:
        method, mode, rounding = net.choice(
            ("nearest_neighbor", "asymmetric", "floor"), ("linear", "half_pixel", ""), ("linear", "align_corners", "")
        )
        size = [net.random.randint(1, 2 * side) for side in x.shape[2:]]
        attributes = {"layout": "NCHW", "method": method, "rounding_method": rounding or "round"}
        net.add("image.resize2d", x, size=size, coordinate_transformation_mode=mode, **attributes)


# ── elementwise ──────────────────────────────────────────────────────────────────────────────────────────────────────

UNARY = "silu gelu gelu_tanh selu softplus".split()
FUNCTIONS = """
sigmoid tanh negative abs erf sin cos square round floor ceil sign sigmoid tanh negative abs atan asinh sinh cosh tan
trunc exp
""".split()
# What is defined on a part of the numbers only, and what brings every number there.
PARTIAL = {"sqrt": "abs", "log": "exp", "rsqrt": "exp", "asin": "tanh", "acos": "sin", "acosh": "cosh", "atanh": "erf"}


@move(5)
def activation(net: Growth, x: Value) -> None:
    if not x.is_float:
        return
    kinds = ["relu", "nn", "function", "partial", "clip", "leaky", "prelu"]
    kind = net.random.choices(kinds, [4, 1, 2, 0.5, 2, 1, 0.5])[0]
    if kind == "relu":
        net.add("nn.relu", x)
    elif kind == "nn":
        net.add(f"nn.{net.random.choice(UNARY)}", x)
    elif kind == "function":
        net.add(net.random.choice(FUNCTIONS), x)
    elif kind == "partial":
        op = net.random.choice(list(PARTIAL))
        safe = net.add(PARTIAL[op], x)
        if safe:
            net.add(op, safe)
    elif kind == "clip":
        net.add("clip", x, min=net.choice(-1.0, 0.0), max=net.choice(1.0, 6.0))
    elif kind == "leaky":
        net.add("nn.leakyrelu", x, alpha=net.choice(0.01, 0.25))
    elif x.rank > 1 and isinstance(x.shape[1], int):
        net.add("nn.prelu", x, net.weight(x.shape[1], dtype=x.dtype), axis=1)


BINARY = "add add add add subtract multiply multiply maximum minimum".split()


@move(4)
def residual(net: Growth, x: Value) -> None:
    """With another value of the same shape, or with itself."""
    same = net.others(lambda y: y.shape == x.shape and y.dtype == x.dtype)
    if x.is_float:
        net.add(net.random.choice(BINARY), x, net.random.choice(same))


@move(2)
def with_a_weight(net: Growth, x: Value) -> None:
    """A weight of any shape that broadcasts, on either side; division by one that is not about zero."""
    if not x.is_float or "n" in x.shape[1:]:
        return
    op = net.random.choice([*BINARY, "divide"])
    shape = [size if net.chance(0.4) and size != "n" else 1 for size in x.shape]
    shape = shape[net.random.randint(0, len(shape)) :] if net.chance(0.4) else shape
    weight = net.weight(*shape, dtype=x.dtype, role="positive" if op == "divide" else "weight")
    net.add(op, *((weight, x) if net.chance(0.2) and op != "divide" else (x, weight)))


@move(1.5)
def with_a_number(net: Growth, x: Value) -> None:
    if x.dtype == "float32":
        op = net.random.choice([*BINARY, "divide"])
        number = net.choice(0.5, 2.0, 3.0, -1.5)
        net.add(op, *((number, x) if net.chance(0.2) and op != "divide" else (x, number)))


@move(1)
def squeeze_and_excite(net: Growth, x: Value) -> None:
    """A value times a gate that is broadcast over some of its axes."""
    if is_image(net, x):
        axes = list(range(2, x.rank)) if net.chance(0.7) else [net.random.randrange(x.rank)]
        mean = net.add("mean", x, axis=axes, keepdims=True)
        gate = net.add("sigmoid", mean) if mean else None
        if gate:
            net.add("multiply", *((x, gate) if net.chance(0.5) else (gate, x)))


@move(0.8)
def broadcast(net: Growth, x: Value) -> None:
    """With any other value that TVM takes, of lower rank too."""
    others = net.others(lambda y: y.is_float and y.dtype == x.dtype and y.rank <= x.rank and y.elements() < 200)
    if x.is_float and others:
        other = net.random.choice(others)
        net.add(net.choice("add", "multiply", "maximum"), *((x, other) if net.chance(0.7) else (other, x)))


@move(1)
def where(net: Growth, x: Value) -> None:
    """One value or another, by comparing; conditions are joined now and then."""
    if not x.is_float:
        return
    same = net.others(lambda y: y.shape == x.shape and y.dtype == x.dtype)
    bound = net.weight(*(1 for _ in x.shape), dtype=x.dtype)
    compare = net.choice("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
    condition = net.add(compare, x, net.choice(bound, net.random.choice(same)))
    if condition and net.chance(0.3):
        other = net.random.choice(net.others(lambda y: y.shape == condition.shape and y.dtype == "bool"))
        condition = net.add(net.choice("logical_and", "logical_or", "logical_xor"), condition, other)
    if condition and net.chance(0.2):
        condition = net.add(net.choice("logical_not", "bitwise_not"), condition)
    if condition:
        net.add("where", condition, x, net.choice(net.random.choice(same), bound))


@move(0.8)
def with_other_operators(net: Growth, x: Value) -> None:
    """The binary operators that few networks have, and those that only look at a shape."""
    if x.dtype != net.dtype or "n" in x.shape[1:]:
        return
    same = net.others(lambda y: y.shape == x.shape and y.dtype == x.dtype)
    other = net.random.choice(same)
    kind = net.choice("divisor", "divisor", "plain", "like", "power", "finite")
    if kind == "divisor":
        positive = net.weight(*(size if net.chance(0.3) else 1 for size in x.shape), role="positive")
        net.add(net.choice("floor_divide", "floor_mod", "mod"), x, positive)
    elif kind == "plain":
        net.add(net.choice("atan2", "log_add_exp"), x, other)
    elif kind == "like":
        made = net.add(net.choice("ones_like", "zeros_like"), x)
        if made:
            net.add("subtract", x, made)
    elif kind == "power":
        net.add("power", x, 2.0)
    else:
        made = net.add(net.choice("isnan", "isinf", "isfinite"), x)
        if made:
            net.add("where", made, other, x)


@move(0.6)
def cast(net: Growth, x: Value) -> None:
    """To another float dtype, mostly back again."""
    if x.is_float:
        narrow = net.add("astype", x, dtype=net.choice("float16", "float32"))
        if narrow and net.chance(0.7):
            net.add("astype", narrow, dtype=x.dtype)


@move(0.5)
def quantized(net: Growth, x: Value) -> None:
    if x.dtype == "float32" and x.rank:
        codes = net.add("quantize", x, scale=0.0625, zero=net.choice(0, 3), axis=0, out_dtype="int8")
        if codes:
            net.add("dequantize", codes, scale=0.0625, zero=0, axis=0, out_dtype="float32")


@move(0.5)
def dropout(net: Growth, x: Value) -> None:
    if x.dtype == net.dtype and x.rank:
        net.items("nn.dropout", x, rate=0.5)


@move(0.4)
def another_name(net: Growth, x: Value) -> None:
    net.add("alias", x)


# ── norms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@move(1.2)
def softmax(net: Growth, x: Value) -> None:
    if x.dtype == net.dtype and x.rank:
        net.add(net.choice("nn.softmax", "nn.softmax", "nn.log_softmax"), x, axis=net.random.randrange(-x.rank, x.rank))


@move(1.5)
def norm(net: Growth, x: Value) -> None:
    if x.dtype != net.dtype or x.rank < 2 or "n" in x.shape[1:]:
        return
    kind = net.choice("layer", "layer", "group", "instance", "rms")
    channels = x.shape[1]
    space = list(range(2, x.rank))
    if kind in ("layer", "rms"):
        axes = [*range(net.random.randint(1, x.rank - 1), x.rank)]
        shape = [x.shape[axis] for axis in axes]
        if kind == "rms":
            net.add("nn.rms_norm", x, net.weight(*shape), axes=axes)
        else:
            net.add("nn.layer_norm", x, net.weight(*shape), net.weight(*shape), axes=axes)
    elif x.rank > 2:
        weights = net.weight(channels), net.weight(channels)
        if kind == "instance":
            net.add("nn.instance_norm", x, *weights, channel_axis=1, axes=space)
        else:
            groups = net.random.choice([g for g in (1, 2, 3, channels) if channels % g == 0])
            net.add("nn.group_norm", x, *weights, num_groups=groups, channel_axis=1, axes=space)
