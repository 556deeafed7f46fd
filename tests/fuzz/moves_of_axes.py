"""The moves that change shapes: joining, taking apart, reducing, and every way to rename, merge or reorder axes."""

from __future__ import annotations

from fuzz.grow import Growth, Value, move


@move(2.2)
def concat(net: Growth, x: Value) -> None:
    axis = net.random.choice([1, 1, 1, *range(x.rank)]) if x.rank > 1 else 0
    if not x.rank:
        return
    rest = (x.shape[:axis], x.shape[axis + 1 :])
    fitting = net.others(
        lambda y: y.dtype == x.dtype and y.rank == x.rank and (y.shape[:axis], y.shape[axis + 1 :]) == rest
    )
    others = [net.random.choice(fitting) for _ in range(net.choice(1, 1, 2))]
    net.add("concat", (x, *others), axis=net.choice(axis, axis - x.rank))


@move(1)
def split(net: Growth, x: Value) -> None:
    """Into parts, of which some may be read by nobody."""
    axis = net.random.randrange(x.rank) if x.rank else 0
    if not x.rank or x.shape[axis] == "n" or x.shape[axis] < 2:
        return
    size = x.shape[axis]
    sections = [net.random.randint(1, size - 1)] if net.chance(0.6) else net.random.choice([2, size])
    if isinstance(sections, int) and size % sections:
        return
    parts = net.items("split", x, indices_or_sections=sections, axis=axis)
    if len(parts) > 1 and net.chance(0.5):
        net.add("concat", tuple(reversed(parts)), axis=axis)


@move(0.4)
def passed_on(net: Growth, x: Value) -> None:
    """Through a tuple that somebody made."""
    other = net.random.choice(net.values)
    net.items("tuple", x, other)


@move(0.5)
def stack(net: Growth, x: Value) -> None:
    """Often summed again: what ONNX's Sum arrives as."""
    same = net.others(lambda y: y.shape == x.shape and y.dtype == x.dtype)
    axis = net.random.randint(0, x.rank)
    made = net.add("stack", (x, *(net.random.choice(same) for _ in range(net.choice(1, 2)))), axis=axis)
    if made and net.chance(0.7):
        net.add(net.choice("sum", "max", "min"), made, axis=[axis])


@move(2)
def reduction(net: Growth, x: Value) -> None:
    if not x.is_float or not x.rank:
        return
    count = net.random.randint(1, min(x.rank, 3))
    axes = net.random.sample(range(x.rank), count)
    if net.chance(0.4) and x.rank > 2:
        axes = list(range(2, x.rank))
    axes = [net.choice(axis, axis - x.rank) for axis in sorted(axes)]
    op = net.random.choices(["mean", "sum", "max", "min", "variance", "std"], [4, 2, 2, 1, 0.5, 0.3])[0]
    net.add(op, x, axis=axes if net.chance(0.95) else None, keepdims=net.chance(0.5))


@move(0.3)
def index_of_the_largest(net: Growth, x: Value) -> None:
    if x.dtype == net.dtype and x.rank:
        net.add(net.choice("argmax", "argmin"), x, axis=net.random.randrange(x.rank), keepdims=net.chance(0.5))


@move(1.5)
def reshape(net: Growth, x: Value) -> None:
    """Flatten, merge neighbours, take an axis apart, or the shape that it has."""
    if not x.rank:
        return
    first = net.random.randrange(x.rank)
    last = net.random.randint(first + 1, x.rank)
    merged = x.shape[first:last]
    if "n" in merged and len(merged) > 1:
        return
    product = 1
    for size in merged:
        product = product * size if len(merged) > 1 else size
    parts = [product]
    factors = [f for f in (2, 3, 4) if isinstance(product, int) and product % f == 0]
    if factors and net.chance(0.4):
        factor = net.random.choice(factors)
        parts = [factor, product // factor]
    if len(merged) == 1 and len(parts) == 1 and net.chance(0.5):
        parts = [1, product]
    net.add("reshape", x, shape=(*x.shape[:first], *parts, *x.shape[last:]))


@move(0.5)
def flatten(net: Growth, x: Value) -> None:
    if x.rank > 2 and "n" not in x.shape:
        net.add(net.choice("flatten", "nn.batch_flatten"), x)


@move(1.5)
def transpose(net: Growth, x: Value) -> None:
    """Any order; often undone by a second one."""
    axes = net.random.sample(range(x.rank), x.rank)
    made = net.add("permute_dims", x, axes=axes if net.chance(0.9) else None)
    if made and net.chance(0.4):
        back = axes if net.chance(0.2) else [axes.index(axis) for axis in range(x.rank)]
        net.add("permute_dims", made, axes=back)


@move(0.8)
def ones(net: Growth, x: Value) -> None:
    """Axes of size one come and go."""
    single = [axis for axis, size in enumerate(x.shape) if size == 1]
    if single and net.chance(0.6):
        net.add("squeeze", x, axis=[net.random.choice(single)] if net.chance(0.8) else None)
    elif x.rank < 5:
        net.add("expand_dims", x, axis=[net.random.randint(0, x.rank)])


@move(1)
def pad(net: Growth, x: Value) -> None:
    if x.dtype != net.dtype or not x.rank or "n" in x.shape[1:]:
        return
    mode = net.random.choices(["constant", "reflect", "replicate", "circular"], [5, 1, 1, 1])[0]
    widths = [0 if size == "n" or net.chance(0.5) else net.random.randint(0, 2) for size in x.shape for _ in range(2)]
    if mode in ("reflect", "circular"):
        widths = [min(width, x.sizes()[place // 2] - 1) for place, width in enumerate(widths)]
    net.add("nn.pad", x, pad_width=widths, pad_mode=mode, pad_value=net.choice(0.0, 1.5))


@move(0.8)
def part(net: Growth, x: Value) -> None:
    """A slice along some axes, perhaps with a step, perhaps backwards."""
    axes = [axis for axis, size in enumerate(x.shape) if isinstance(size, int) and net.chance(0.5)]
    if not axes:
        return
    begin, end, strides = [], [], []
    for axis in axes:
        size = x.shape[axis]
        first = net.random.randrange(size)
        begin.append(first)
        end.append(net.random.randint(first + 1, size))
        strides.append(net.choice(1, 1, 2))
    net.add("strided_slice", x, axes=axes, begin=begin, end=end, strides=strides)
