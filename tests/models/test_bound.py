"""The lower bound of layout transforms, on graphs small enough to count by hand."""

from __future__ import annotations

from models.bound import fewest_transforms

from corecast.api import Source, plan, read_recipe
from corecast.model import parse_table

IMAGE, FEATURES = "float32 1x8x8x8", "float32 8x8x3x3"
CONV = 'data_layout="NCHW" kernel_layout="OIHW" padding=[1,1,1,1]'


def fewest(*lines: str) -> int:
    """Of a network of which every convolution goes to NHWC."""
    table = parse_table("\n".join([f"x: {IMAGE}", *lines]))
    recipe = read_recipe(Source("case.rules", "match nn.conv2d, set layout NHWC\noptional"), table)
    return fewest_transforms(table, plan(recipe, table))


def conv(number: int, operand: str) -> str:
    return f"nn.conv2d#{number}({operand}, %w{number}: {FEATURES}) {CONV} -> {IMAGE} follows"


def test_a_chain_costs_one_at_its_door_and_one_at_its_end() -> None:
    """What follows stays inside."""
    assert (
        fewest(conv(0, "x"), f"nn.relu#0(nn.conv2d#0) -> {IMAGE} follows", conv(1, "nn.relu#0"), "return nn.conv2d#1")
        == 2
    )


def test_what_stands_in_the_models_order_costs_one_before_and_one_behind() -> None:
    """However many read it."""
    assert (
        fewest(
            conv(0, "x"),
            f"call_tir#0(nn.conv2d#0) -> {IMAGE} original",
            conv(1, "call_tir#0"),
            conv(2, "call_tir#0"),
            f"add#0(nn.conv2d#1, nn.conv2d#2) -> {IMAGE} follows",
            "return add#0",
        )
        == 4
    )


def test_axes_of_length_one_may_stand_anywhere() -> None:
    """A pooled image leaves for nothing."""
    pooled = "float32 1x8x1x1"
    assert (
        fewest(conv(0, "x"), f"mean#0(nn.conv2d#0) axis=[2,3] keepdims=true -> {pooled} follows", "return mean#0") == 1
    )


def test_no_layout_costs_nothing() -> None:
    """The recipe matched nothing."""
    assert fewest(f"nn.relu#0(x) -> {IMAGE} follows", "return nn.relu#0") == 0
