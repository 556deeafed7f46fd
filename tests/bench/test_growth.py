"""How the work grows with the model, counted in calls, to which a busy machine does nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import process_time
from types import FrameType
from typing import Any

import pytest

from bench import rivals
from bench.networks import Llama, residual
from bench.rules import LLAMA, rules
from corecast.adapters.relax import Model, apply, compile_plan, prepare, recipe_pass, survey
from corecast.api import plan, read_recipe
from corecast.lang import Source

SMALL, LARGE = 1000, 4000
# Four times the operators are four times the work, and a little less, for something is done once for each kind of call.
LINEAR = 4.4


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many functions are called, of Python's own and of C's."""
    calls = [0]

    def count(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG001
        calls[0] += event.endswith("call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def growth(work: Callable[[Any], object], small: Any, large: Any) -> float:
    """How much more work the large one is, both of them seen before."""
    work(small)
    counts = []
    for item in (small, large):
        with counted() as calls:
            work(item)
        counts += calls
    return counts[1] / counts[0]


@pytest.fixture(scope="module")
def models() -> tuple[Model, Model]:
    return prepare(residual(SMALL)), prepare(residual(LARGE))


def test_planning_is_linear_in_the_operators(models: tuple[Model, Model]) -> None:
    tables = [survey(model) for model in models]
    assert growth(lambda table: plan(read_recipe(rules(50), table), table), *tables) < LINEAR


def test_converting_is_linear_in_the_operators(models: tuple[Model, Model]) -> None:
    """With every check that it makes of what it has done."""

    def convert(model: Model) -> object:
        table = survey(model)
        return apply(plan(read_recipe(rules(10), table), table), model)

    assert growth(convert, *models) < LINEAR


def test_preparing_is_linear_in_the_operators() -> None:
    assert growth(prepare, residual(SMALL), residual(LARGE)) < LINEAR


def test_the_count_finds_work_that_is_not_linear() -> None:
    """The negative twin: what looks at every pair."""
    assert growth(lambda items: [abs(one - other) for one in items for other in items], range(50), range(200)) > 15


def test_one_layout_takes_about_as_long_as_the_bare_pass() -> None:
    """The aim is 1.2 times; a busy machine is given twice that."""
    module = residual(1000).module
    ours = recipe_pass(read_recipe(Source("one.rules", "match nn.conv2d, set layout NHWC")))
    took = []
    for convert in (rivals.convert_layout, ours):
        start = process_time()
        convert(module)
        took.append(process_time() - start)
    assert took[1] < 2.4 * took[0]


def test_the_rivals_do_the_same_job() -> None:
    """As many convolutions compute in float16, or lie in NHWC, as by a rule."""

    def converted(module: Any) -> list[tuple[str, str]]:
        layers = survey(module).by_op["nn.conv2d"]
        return [(str(layer.data_layout), layer.operands[0].type.dtype) for layer in layers]

    module = residual(200).module
    for request, others in (
        ("set layout NHWC", [rivals.convert_layout]),
        ("cast float16", [rivals.rewrite_by_pattern, rivals.rewrite_by_mutator]),
    ):
        ours = recipe_pass(read_recipe(Source("one.rules", f"match nn.conv2d, {request}")))
        assert all(converted(other(module)) == converted(ours(module)) for other in others)


def test_the_graph_of_llama_is_planned_and_converted_without_its_weights() -> None:
    """Four of its eighty blocks, of which the recipe skips two; what it expects is said of all of them."""
    module = Llama(4).module()
    lines = [line.replace("layers.79", "layers.3") for line in LLAMA.text.splitlines() if "expect" not in line]
    table = survey(module)
    decided = plan(read_recipe(Source("llama.rules", "\n".join(lines)), table), table)
    assert len(table.layers) > 600
    converted = survey(compile_plan(decided).sequential()(module))
    assert {"float8_e4m3fn", "bfloat16"} < {layer.operands[0].type.dtype for layer in converted.by_op["nn.dense"]}
