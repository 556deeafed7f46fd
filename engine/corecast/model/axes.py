"""Where the axes of a call's tensors lie: plain shapes and attributes in, `Axes` out, from which every order follows.

A call computes over a space of axes. An elementwise sum of NCHW tensors has four, and each tensor has one axis along
each of them. A mean over H and W has the same four, and its result has axes along two of them. A reshape from NCHW to
NC(HW) has three, and its operand has two axes along the last one. Once the axes of the space are put in an order, so
are those of every tensor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

from corecast.model.layer import Call
from corecast.model.orders import Order, Shape, in_memory
from corecast.model.tensor import TensorType

# For each axis of the space, the axes of a tensor that lie along it.
Blocks: TypeAlias = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Axes:
    """The rank of a call's space, and for each tensor its axes along those of the space.

    None stands for a tensor that is read as the model had it, whatever the order: a scale for each channel, say. Where
    the call `stretches`, an operand with fewer axes is repeated along those that it lacks. Where it `is_plain`, every
    tensor has each axis of the space, and so the order of the space is that of all of them.
    """

    rank: int
    operands: tuple[Blocks | None, ...]
    results: tuple[Blocks | None, ...]
    stretches: bool = False
    is_plain: bool = False


@lru_cache(maxsize=1 << 14)
def tensor_order(blocks: Blocks, space: Order) -> Order:
    """The order of a tensor where the axes of the space stand in this order."""
    return tuple(axis for place in space for axis in blocks[place])


@lru_cache(maxsize=1 << 14)
def space_order(blocks: Blocks, order: Order, shape: Shape) -> Order | None:
    """The order of the space in which a tensor of this shape has this order, but for its axes of size one.

    Axes of the space that the tensor does not have stay behind those that they stood behind. None where no order of the
    space will do: a reshape that merges H and W cannot take them in the order of WH.
    """
    places = {axis: place for place, axis in enumerate(order)}
    first: dict[int, int] = {}
    for place, axes in enumerate(blocks):
        if axes:
            first[place] = min(places[axis] for axis in [axis for axis in axes if shape[axis] != 1] or axes)
    space = sorted(first, key=first.__getitem__)
    for place in range(len(blocks)):
        if place not in first:
            space.insert(space.index(place - 1) + 1 if place else 0, place)
    found = tuple(space)
    return found if in_memory(tensor_order(blocks, found), shape) == in_memory(order, shape) else None


@cache
def whole(rank: int) -> Blocks:
    """A tensor that has each axis of the space."""
    return tuple((axis,) for axis in range(rank))


@cache
def _trailing(rank: int, space: int) -> Blocks:
    """A tensor that is broadcast from the right."""
    missing = space - rank
    return tuple((place - missing,) if place >= missing else () for place in range(space))


def _without(absent: Collection[int], space: int) -> Blocks:
    """A tensor that lacks some axes of the space."""
    numbers = iter(range(space))
    return tuple(() if place in absent else (next(numbers),) for place in range(space))


# ── one function for each way in which an operator treats axes ───────────────────────────────────────────────────────


def broadcast(call: Call) -> Axes | None:
    """Element by element: every operand has the axes of the result, or the last ones of them."""
    ranks = tuple(len(operand.type.shape or ()) for operand in call.operands)
    return _broadcast(ranks, len(call.results[0].shape or ()), len(call.results))


@cache
def _broadcast(ranks: tuple[int, ...], space: int, results: int) -> Axes | None:
    if max(ranks, default=0) > space:
        return None
    if set(ranks) == {space}:
        return _together(space, len(ranks), results)
    return Axes(space, tuple(_trailing(rank, space) for rank in ranks), (whole(space),) * results, stretches=True)


def together(call: Call) -> Axes | None:
    """Every operand and every result has all axes: concatenate, split, softmax, gather along an axis."""
    ranks = [len(tensor.shape or ()) for tensor in _tensors(call)]
    if not call.operands or len(set(ranks)) != 1:
        return None
    return _together(ranks[0], len(call.operands), len(call.results))


@cache
def _together(rank: int, operands: int, results: int) -> Axes:
    return Axes(rank, (whole(rank),) * operands, (whole(rank),) * results, is_plain=True)


def first_alone(call: Call) -> Axes | None:
    """The first operand has all axes; the others are for its channels, say, and stay as they are."""
    space = len(call.operands[0].type.shape or ())
    results = tuple(whole(space) if len(result.shape or ()) == space else None for result in call.results)
    if not results or results[0] is None:
        return None
    return Axes(space, (whole(space), *[None] * (len(call.operands) - 1)), results)


def along_an_axis(call: Call) -> Axes | None:
    """As `together`, but for a call that names no axis: it looks at the elements in the model's order."""
    return together(call) if call.attributes.get("axis") is not None else None


def reduced(call: Call) -> Axes | None:
    """The results lack the axes in the attribute `axis`, unless `keepdims` is set."""
    space = len(call.operands[0].type.shape or ())
    if call.attributes.get("keepdims"):
        return together(call)
    axes = _numbers(call.attributes.get("axis"), space)
    lost = set(range(space)) if axes is None else set(axes)
    return Axes(space, (whole(space),), (_without(lost, space),) * len(call.results))


def reduced_along_an_axis(call: Call) -> Axes | None:
    """As `reduced`, but for a call that names no axis: its result counts elements in the model's order."""
    return reduced(call) if call.attributes.get("axis") is not None else None


def with_new_axes(call: Call) -> Axes | None:
    """The operands lack the axes of the result in the attribute `axis`: expand_dims, stack, one_hot."""
    space = len(call.results[0].shape or ())
    axes = _numbers(call.attributes.get("axis"), space)
    ranks = {len(operand.type.shape or ()) for operand in call.operands}
    if axes is None or ranks != {space - len(axes)}:
        return None
    return Axes(space, (_without(set(axes), space),) * len(call.operands), (whole(space),))


def squeezed(call: Call) -> Axes | None:
    """The result lacks the axes in the attribute `axis`, or all of size one."""
    shape = call.operands[0].type.shape or ()
    axes = _numbers(call.attributes.get("axis"), len(shape))
    lost = {place for place, size in enumerate(shape) if size == 1} if axes is None else set(axes)
    if len(shape) - len(lost) != len(call.results[0].shape or ()):
        return None
    return Axes(len(shape), (whole(len(shape)),), (_without(lost, len(shape)),))


def taken(call: Call) -> Axes | None:
    """Some places along one axis; the indices are a vector, or a number for which the axis goes."""
    data, *others = (len(operand.type.shape or ()) for operand in call.operands)
    indices = others[0] if others else 0
    axes = _numbers(call.attributes.get("axis"), data)
    if axes is None or indices > 1:
        return None
    result = whole(data) if indices else _without(set(axes), data)
    return Axes(data, (whole(data), *[None] * len(others)), (result,))


def multiplied(call: Call) -> Axes | None:
    """A matrix product: the axes before the last two are those of a batch, and a matrix for all of it has none."""
    left, right = (len(operand.type.shape or ()) for operand in call.operands[:2])
    if left < 2 or len(call.results[0].shape or ()) != left or right not in (2, left):
        return None
    return Axes(left, (whole(left), whole(left) if right == left > 2 else None), (whole(left),))


def pooled(call: Call) -> Axes | None:
    """As `together`, for a call that gives its result in the layout that it reads."""
    layout, result = call.attributes.get("layout"), call.attributes.get("out_layout")
    return together(call) if layout and result in (layout, None, "") else None


def reshaped(call: Call) -> Axes | None:
    """The space has an axis for each run of axes that become, together, a run of axes of the result."""
    if len(call.operands) != 1:
        return None
    return _reshaped(call.operands[0].type.shape or (), call.results[0].shape or ())


@lru_cache(maxsize=1 << 12)
def _reshaped(before: tuple[int | str, ...], after: tuple[int | str, ...]) -> Axes | None:
    if 0 in before or 0 in after:
        return None
    products = list(_products(before)), list(_products(after))
    # Both are cut where the sizes so far have the same product; what is left after the last such place goes together.
    common = set(products[0]) & set(products[1])
    runs = [_runs(sizes, common) for sizes in products]
    space = max(map(len, runs))
    if len({len(run) for run in runs}) != 1:
        return None
    return Axes(space, (runs[0],), (runs[1],))


Product: TypeAlias = tuple[int, frozenset[tuple[str, int]]]


def _products(shape: Iterable[int | str]) -> Iterator[Product]:
    """For each axis the product of the sizes up to it: a number, and how often each dynamic size stands in it."""
    number, names = 1, Counter[str]()
    for size in shape:
        if isinstance(size, int):
            number *= size
        else:
            names[size] += 1
        yield number, frozenset(names.items())


def _runs(products: list[Product], common: Collection[Product]) -> Blocks:
    """The axes in runs that end where the product is a common one; an axis of size one goes with the run before it."""
    runs: list[tuple[int, ...]] = []
    run: tuple[int, ...] = ()
    last = (1, frozenset[tuple[str, int]]())
    for axis, product in enumerate(products):
        if product == last and not run and runs:
            runs[-1] += (axis,)
            continue
        run += (axis,)
        if product in common and product != last:
            runs.append(run)
            run = ()
        last = product
    if run:
        runs.append(run)
    return tuple(runs)


def _tensors(call: Call) -> list[TensorType]:
    return [*(operand.type for operand in call.operands), *call.results]


def _numbers(axes: object, rank: int) -> tuple[int, ...] | None:
    """One axis or several, counted from the front; None for None."""
    if axes is None:
        return None
    return tuple(int(axis) % rank for axis in (axes if isinstance(axes, tuple) else (axes,)))
