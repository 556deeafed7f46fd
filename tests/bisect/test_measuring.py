"""What counts as a failing plan, and what is no fault of any plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import Any

import numpy as np
import pytest
from networks import model_of
from numpy.typing import NDArray

from corecast.adapters.agreement import RealisedError
from corecast.adapters.relax import Model, apply, prepare, survey
from corecast.api.comparing import Pair
from corecast.api.measuring import MeasureError, Measurer
from corecast.api.recipes import read_recipe
from corecast.bisect import bisect
from corecast.lang import Problem, Source
from corecast.plan import Plan, plan
from corecast.quantization import DataError
from corecast.recipe import read_bound
from corecast.verify import Evidence, ScoreError, Whole, top1

Array = NDArray[np.generic]


@dataclass
class Answers:
    """Outputs as they are, and how often the original was asked for its own."""

    original: list[Any]
    converted: list[Any] | Exception
    is_cut: bool = False
    asked: int = 0

    def inputs(self, seed: int) -> Mapping[str, Array]:  # noqa: ARG002
        return {}

    def run_original(self, inputs: Mapping[str, Array]) -> Sequence[Array]:  # noqa: ARG002
        self.asked += 1
        return [np.array(self.original)]

    def run_converted(self, inputs: Mapping[str, Array]) -> Sequence[Array]:  # noqa: ARG002
        if isinstance(self.converted, Exception):
            raise self.converted
        return [np.array(self.converted)]


ANY = Plan.model_construct()


def raising(error: Exception) -> Measurer:
    def carry_out(_: Plan) -> Answers:
        raise error

    return Measurer(carry_out, seed=0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RealisedError(Problem("not-realised", "it is gone")), "it is gone"),
        (ValueError("first\n  last line\n"), "ValueError: last line"),
        (MemoryError(), "MemoryError: no message"),
    ],
)
def test_what_raises_fails(error: Exception, reason: str) -> None:
    """In the conversion and in the run alike; the reason is kept."""
    assert raising(error)(ANY).reason == reason
    assert Measurer(lambda _: Answers([1.0], error), seed=0)(ANY).reason == reason
    assert isinf(raising(error)(ANY).error)


def test_data_that_cannot_be_had_is_no_fault_of_a_plan() -> None:
    """Or a search would say of every layer that it cannot be quantized, probe by probe."""
    with pytest.raises(DataError, match="not one sample"):
        raising(DataError(Problem("no-data", "there is not one sample in the data")))(ANY)


def test_numbers_are_compared_and_what_is_none_fails() -> None:
    assert Measurer(lambda _: Answers([2.0, 4.0], [2.0, 3.0]), seed=0)(ANY).error == 0.25
    found = Measurer(lambda _: Answers([2.0, 4.0], [np.nan, 3.0]), seed=0)(ANY)
    assert (found.error, found.reason) == (inf, "1 of 2 values of output 0 are NaN or infinite")


def test_a_request_to_end_is_no_fault_of_a_plan() -> None:
    """TVM makes an error of its own of it."""
    wrapped = RuntimeError("Traceback ...\nKeyboardInterrupt")
    outer = ValueError("cannot compile")
    outer.__cause__ = wrapped
    with pytest.raises(KeyboardInterrupt):
        raising(outer)(ANY)


def test_the_original_runs_once() -> None:
    """For each way of comparing."""
    plain, cut = Answers([1.0], [1.0]), Answers([1.0], [1.0], is_cut=True)
    pairs = iter([plain, plain, cut, plain])
    measure = Measurer(lambda _: next(pairs), seed=0)
    assert [measure(ANY).error for _ in range(4)] == [0.0] * 4
    assert (plain.asked, cut.asked) == (1, 1)


def test_an_original_without_numbers_is_told() -> None:
    with pytest.raises(MeasureError, match="gives no numbers to compare with"):
        Measurer(lambda _: Answers([np.inf], [1.0]), seed=0)(ANY)


NETWORK = """
image: float32 1x8x6x6
nn.conv2d#0(image, %first: float32 8x8x3x3) -> float32 1x8x4x4
nn.relu#0(nn.conv2d#0) -> float32 1x8x4x4
nn.conv2d#1(nn.relu#0, %second: float32 8x8x3x3) -> float32 1x8x2x2
return nn.conv2d#1
"""


def test_a_conversion_that_breaks_on_one_layer_names_it() -> None:
    """Compiled and run by TVM; what is not realised on a layer is a failure like any other."""
    original = model_of(NETWORK)
    prepared = prepare(original)
    table = survey(prepared)
    rules = Source("case.rules", "match nn.conv2d, set layout NHWC, cast float16")
    decided = plan(read_recipe(rules, table), table)

    def carry_out(some: Plan) -> Pair:
        layout = some.by_id["nn.conv2d#1"].layout
        if layout and layout.edit.kind != "keep":
            raise RealisedError(Problem("not-realised", "nn.conv2d#1 lost its layout"))
        converted: Model = apply(some, prepared).converted
        return Pair.of(original, converted)

    measure = Measurer(carry_out, seed=0)
    found = bisect(decided, measure, dtypes=(), seed=0, compared=lambda: measure.compared)
    [item] = found.left_out
    assert (item.layer, item.property, item.alone.reason) == ("nn.conv2d#1", "layout", "nn.conv2d#1 lost its layout")
    assert found.rest is not None
    assert 0 < found.rest.error < 0.01


def test_what_is_expected_is_measured_by_the_share_of_it_that_is_used_up() -> None:
    """The largest of them; a metric that nothing was given for is no fault of any plan."""
    bounds = [read_bound("max error <= 50%"), read_bound("snr >= 10 dB")]
    pair = Answers([2.0, 4.0], [2.0, 3.0])
    found = Measurer(lambda _: pair, seed=0, bounds=bounds)(ANY)
    assert (found.error, found.told) == (pytest.approx(0.5), "max error 25%, snr 13.0 dB")
    with pytest.raises(ScoreError, match="--labels"):
        Measurer(lambda _: pair, seed=0, bounds=[read_bound("accuracy >= 1%")])(ANY)


def test_an_accuracy_is_judged_on_all_batches() -> None:
    """The original is run on each of them once, however many plans there are."""
    evidence = Evidence([Whole({}), Whole({})], scorer=top1(np.array([1, 0])))
    pair = Answers([[1.0, 2.0]], [[2.0, 1.0]])
    measure = Measurer(lambda _: pair, seed=0, evidence=evidence, bounds=[read_bound("accuracy drop <= 10%")])
    assert (measure(ANY).error, measure(ANY).told) == (0.0, "accuracy drop 0%")
    assert pair.asked == 2
