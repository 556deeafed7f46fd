"""Every layout that `set layout` takes is compiled by TVM and gives the same numbers; one that it refuses does not."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import numpy as np
import pytest
from tvm import relax
from tvm.ir import IRModule

from corecast.actions.layout import SetLayout
from corecast.backends import Runner, build
from corecast.model import WEIGHTED, Operator, Target, parse_table
from corecast.recipe import Declined

BATCH, CHANNELS, KERNELS = 2, 4, 8
GROUPS = {"plain": 1, "grouped": 2, "depthwise": CHANNELS}
# No two axes alike, so that to take one for the other is seen.
SPACE, WINDOW, DILATION = (7, 6, 5), (3, 2, 3), (2, 1, 1)

Pair = tuple[str, str]


def orders(axes: str) -> list[str]:
    return ["".join(order) for order in permutations(axes)]


def accepted(operator: Operator) -> list[Pair]:
    """Those of all layouts of data and kernel that the action proposes."""
    x, w = ("x".join(map(str, shape)) for shape in shapes(len(operator.data) - 2, 1))
    layer_id = f"{operator.name}#0"
    text = f"data: float32 {x}\n{layer_id}(data, %w: float32 {w}) -> float32 1\nreturn {layer_id}"
    (layer,) = parse_table(text).layers
    return [
        (data, kernel)
        for data in orders(operator.data)
        for kernel in orders(operator.kernel)
        if not isinstance(SetLayout(data=data, kernel=kernel).propose(layer, None), Declined)
    ]


def shapes(rank: int, groups: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (BATCH, CHANNELS, *SPACE[:rank]), (KERNELS, CHANNELS // groups, *WINDOW[:rank])


def convolutions(operator: Operator, groups: int, layouts: Iterable[Pair]) -> IRModule:
    """The same convolution in its own layout, and in each of these, with the result transposed back."""
    rank = len(operator.data) - 2
    x, w = (
        relax.Var(name, relax.TensorType(shape, "float32"))
        for name, shape in zip("xw", shapes(rank, groups), strict=True)
    )
    convolve = getattr(relax.op.nn, operator.name.removeprefix("nn."))
    options = {"strides": [2] * rank, "padding": [1] * rank, "dilation": list(DILATION[:rank]), "groups": groups}
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w]):
        with builder.dataflow():
            results = []
            for data, kernel in [(operator.data, operator.kernel), *layouts]:
                moved = builder.emit(relax.op.permute_dims(x, places(operator.data, data)))
                weight = builder.emit(relax.op.permute_dims(w, places(operator.kernel, kernel)))
                result = builder.emit(
                    convolve(moved, weight, data_layout=data, kernel_layout=kernel, out_layout=data, **options)
                )
                results.append(builder.emit(relax.op.permute_dims(result, places(data, operator.data))))
            output = builder.emit_output(relax.Tuple(results))
        builder.emit_func_output(output)
    return builder.get()


def places(old: str, new: str) -> list[int]:
    return [old.index(axis) for axis in new]


def differing(operator: Operator, groups: int, layouts: list[Pair], target: Target) -> list[Pair]:
    """The layouts in which the result has another shape or other values."""
    random = np.random.default_rng(0)
    x, w = (random.standard_normal(shape).astype(np.float32) for shape in shapes(len(operator.data) - 2, groups))
    expected, *found = Runner(build(convolutions(operator, groups, layouts), target), {"w": w})(x)
    return [
        layout
        for layout, result in zip(layouts, found, strict=True)
        if result.shape != expected.shape or not np.allclose(result, expected, rtol=0, atol=1e-4)
    ]


@pytest.mark.parametrize("kind", GROUPS)
@pytest.mark.parametrize(("rank", "step"), [(1, 2), (2, 3), (3, 7)])
def test_accepted_layouts_of_data_and_of_kernel_compute_the_same(rank: int, step: int, kind: str, cpu: Target) -> None:
    """Of the layouts of many axes only some, or this would take minutes; all pairs were tried once, and held."""
    operator = WEIGHTED[f"nn.conv{rank}d"]
    pairs = accepted(operator)
    datas, kernels = (list(dict.fromkeys(layouts)) for layouts in zip(*pairs, strict=True))
    assert len(pairs) == len(datas) * len(kernels) == {1: 6, 2: 12, 3: 20}[rank] ** 2
    first = {"plain": 0, "grouped": 1, "depthwise": 2}[kind]
    chosen = list(zip(datas, reversed(kernels), strict=True))[first % step :: step]
    assert differing(operator, GROUPS[kind], chosen, cpu) == []


@pytest.mark.parametrize("layout", [("NCWH", "OIHW"), ("NCHW", "OIWH")])
def test_a_layout_with_height_behind_width_computes_something_else(layout: Pair, cpu: Target) -> None:
    """Which is why it is refused. Where this fails, TVM has learnt it."""
    operator = WEIGHTED["nn.conv2d"]
    assert layout not in accepted(operator)
    assert differing(operator, 1, [layout], cpu) == [layout]
