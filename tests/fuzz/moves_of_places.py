"""The moves that look elements up, put them elsewhere or bring them in an order, by one axis or by every axis."""

from __future__ import annotations

from fuzz.grow import MOST_ELEMENTS, Growth, Value, move


def is_plain(net: Growth, x: Value) -> bool:
    return x.dtype == net.dtype and x.rank > 0 and "n" not in x.shape


@move(0.8)
def along_an_axis(net: Growth, x: Value) -> None:
    """Flip, repeat, tile, sum up, look up: everything that names one axis."""
    if not is_plain(net, x):
        return
    axis = net.random.randrange(x.rank)
    kind = net.choice("flip", "repeat", "tile", "cumsum", "cumprod", "take", "broadcast_to")
    if kind == "flip":
        net.add("flip", x, axis=axis)
    elif kind == "repeat" and 2 * x.elements() <= MOST_ELEMENTS:
        net.add("repeat", x, repeats=2, axis=axis)
    elif kind == "tile" and 2 * x.elements() <= MOST_ELEMENTS:
        net.add("tile", x, repeats=[2 if place == axis else 1 for place in range(x.rank)])
    elif kind in ("cumsum", "cumprod"):
        net.add(kind, x, axis=axis, exclusive=net.chance(0.2))
    elif kind == "take" and x.shape[axis] > 1:
        net.add("take", x, net.weight(net.choice(1, 2, 3), dtype="int64", role="index"), axis=axis)
    elif kind == "broadcast_to" and 2 * x.elements() <= MOST_ELEMENTS:
        net.add(
            "broadcast_to", x, shape=tuple(2 if size == 1 and place else size for place, size in enumerate(x.shape))
        )


@move(0.5)
def sorted_along(net: Growth, x: Value) -> None:
    """Sorted, or the order of it, or the largest few; the values of a tanh would tie."""
    if not is_plain(net, x):
        return
    axis = net.random.randrange(-x.rank, x.rank)
    kind = net.choice("sort", "argsort", "topk")
    if kind == "topk":
        count = net.random.randint(1, x.shape[axis])
        net.items("topk", x, k=count, axis=axis, ret_type="both", largest=net.chance(0.7), dtype="int64")
    else:
        net.add(kind, x, axis=axis, descending=net.chance(0.5))


@move(0.5)
def placed(net: Growth, x: Value) -> None:
    """Gather and scatter along one axis, by indices of the same rank."""
    if not is_plain(net, x):
        return
    axis = net.random.randrange(x.rank)
    if x.shape[axis] < 2:
        return
    shape = [net.random.randint(1, size) for size in x.shape]
    if net.chance(0.5):
        indices = net.weight(*shape, dtype="int64", role="index")
        net.add("gather_elements", x, indices, axis=axis)
    else:
        # One place along the axis, or what is written last would decide; all others, for so TVM computes it.
        shape = [1 if place == axis else size for place, size in enumerate(x.shape)]
        indices = net.weight(*shape, dtype="int64", role="index")
        updates = net.weight(*shape)
        net.add("scatter_elements", x, indices, updates, axis=axis, reduction=net.choice("update", "add", "mul"))


@move(0.3)
def as_classes(net: Growth, x: Value) -> None:
    """Integers as ones at their places, on a new axis anywhere."""
    if x.dtype == "int64" and x.rank < 4 and "n" not in x.shape and x.elements() <= MOST_ELEMENTS // 3:
        net.add("one_hot", x, 1.0, 0.0, depth=3, axis=net.random.randint(0, x.rank))


@move(0.4)
def triangle(net: Growth, x: Value) -> None:
    """Operators whose axes each have a meaning of their own, so that nothing can be carried through."""
    if x.dtype == net.dtype and x.rank >= 2 and "n" not in x.shape:
        kind = net.choice("tril", "triu", "einsum")
        if kind in ("tril", "triu"):
            net.add(kind, x, k=net.choice(-1, 0, 1))
        elif kind == "einsum" and x.rank == 4:
            net.add("einsum", (x, x), subscripts=net.choice("nchw,nchw->nc", "nchw,nkhw->nck", "nchw,nchw->hw"))
