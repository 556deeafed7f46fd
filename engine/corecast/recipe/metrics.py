"""What may be expected of a converted model's answers: the metrics that there are, and bounds on them as plain values.

A metric is a row of this table; the grammar knows only that `expect` takes words, a comparison and a number. What a
metric comes to is measured by `corecast.verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Literal

from pydantic import field_validator

from corecast.lang import nodes, parse_readable
from corecast.lang.problems import Problem, RulesError
from corecast.lang.source import Source
from corecast.lang.spell import spell_number
from corecast.model.record import Record
from corecast.recipe.words import unknown

Unit = Literal["%", "dB"]

# Shares are differences of counts over counts, which no binary number hits.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Metric:
    """A number that says how good answers are.

    Attributes:
        word: what a recipe calls it.
        operator: how it is bounded: from below where more is better.
        low, high: between which a bound of it means something.
        spent: of a value and a bound, the share of what is allowed that is used up; above one, it is too much.
        doc: what it is.
        unit: what a bound is written in; `%` is a hundredth.
        needs_unit: whether it has to be written, because the bare number would be misread.
        scored: whether it takes labels or a user's function, and not the outputs alone.
    """

    word: str
    operator: Literal["<=", ">="]
    low: float
    high: float
    spent: Callable[[float, float], float]
    doc: str
    unit: Unit | None = None
    needs_unit: bool = False
    scored: bool = False

    @property
    def example(self) -> str:
        """What an expectation of it looks like."""
        number = {"<=%": "0.5%", ">=%": "97%", ">=dB": "20 dB", ">=": "0.99"}.get(
            f"{self.operator}{self.unit or ''}", "0.1"
        )
        return f"expect {self.word} {self.operator} {number}"


def _of_loss(value: float, bound: float) -> float:
    return _share(max(value, 0.0), bound)


def _of_perfection(value: float, bound: float) -> float:
    return _share(max(1 - value, 0.0), 1 - bound)


def _of_noise(value: float, bound: float) -> float:
    return float(10 ** ((bound - value) / 10)) if value != -inf else inf


def _share(used: float, allowed: float) -> float:
    return used / allowed if allowed else inf if used > _ROUNDING else 0.0


_ROWS = (
    Metric("cosine", ">=", 0, 1, _of_perfection, "cosine of the angle between the outputs and those of the original"),
    Metric("snr", ">=", -inf, inf, _of_noise, "signal-to-noise ratio of the outputs, in decibels", "dB"),
    Metric("max error", "<=", 0, inf, _of_loss, "largest difference, over the largest value of the original", "%"),
    Metric("accuracy", ">=", 0, 1, _of_perfection, "share of right answers of the converted model", "%", True, True),
    Metric("accuracy drop", "<=", 0, 1, _of_loss, "points of accuracy less than the original has", "%", True, True),
    Metric("metric drop", "<=", 0, inf, _of_loss, "what your own metric says less, in its unit", scored=True),
)
METRICS = {metric.word: metric for metric in _ROWS}


class Bound(Record):
    """A bound on a metric: `accuracy drop <= 0.5%` is `bound=0.005`, shares being fractions and ratios decibels."""

    metric: str
    bound: float

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"there is no metric {metric!r}; known: {', '.join(METRICS)}")
        return metric

    @property
    def of(self) -> Metric:
        return METRICS[self.metric]

    def spent(self, value: float) -> float:
        """The share of what it allows that a value uses up: 1 at the bound, more beyond it."""
        return self.of.spent(value, self.bound)

    def met(self, value: float) -> bool:
        """Whether a value is within it; NaN never is."""
        if self.of.operator == "<=":
            return value <= self.bound + _ROUNDING
        return value >= self.bound - _ROUNDING

    def spell(self, value: float) -> str:
        """A value of the metric as a reader wants it: `0.42%`, `31.2 dB`, `0.99873`."""
        match self.of.unit:
            case "%":
                return f"{value * 100:.3g}%"
            case "dB":
                return f"{value:.1f} dB"
            case _ if self.of.high == 1 and 0 < 1 - value < 5e-7:
                return f"1 - {1 - value:.2e}"
            case _:
                return f"{value:.6g}"

    def __str__(self) -> str:
        scale, unit = {"%": (100, "%"), "dB": (1, " dB")}.get(self.of.unit or "", (1, ""))
        number = float(f"{self.bound * scale:.12g}")  # 0.29 * 100 is not 29
        return f"{self.metric} {self.of.operator} {spell_number(int(number) if number.is_integer() else number)}{unit}"


@dataclass(frozen=True)
class Expectation:
    """A bound that a recipe states, and the node that stated it."""

    bound: Bound
    node: nodes.Expectation


def read_expectation(node: nodes.Expectation) -> Expectation:
    """Give an `expect` of the answers its meaning. Raises `RulesError` with what is wrong with it."""
    word = str(node.metric.value)
    if word not in METRICS:
        help = unknown("metrics", word, list(METRICS))
        raise RulesError([Problem("unknown-metric", f"there is no metric `{word}`", node.metric.span, help)])
    metric = METRICS[word]
    if problems := list(_objections(metric, node)):
        raise RulesError([Problem("bad-expectation", message, node.span, help) for message, help in problems])
    return Expectation(Bound(metric=word, bound=_number(node)), node)


def _number(node: nodes.Expectation) -> float:
    return float(nodes.settled(node.bound)) / (100 if node.unit == "%" else 1)


def _objections(metric: Metric, node: nodes.Expectation) -> Iterator[tuple[str, str]]:
    help = f"write it as in `{metric.example}`"
    if node.operator != metric.operator:
        better = "more" if metric.operator == ">=" else "less"
        yield f"of {metric.word} {better} is better, so it is bounded by `{metric.operator}`", help
    elif node.unit not in (metric.unit, None):
        yield f"{metric.word} is not measured in `{node.unit}`", help
    elif metric.needs_unit and node.unit is None:
        yield f"{metric.word} is bounded in points: its number needs a `{metric.unit}`", help
    elif not metric.low <= (number := _number(node)) <= metric.high:
        yield f"{metric.word} lies between {metric.low:g} and {metric.high:g}, and {number:g} does not", help


def read_bound(text: str) -> Bound:
    """Read the text of a bound, as a command line gives it: `accuracy drop <= 0.5%`. Raises `RulesError`."""
    source = Source("bound", f"expect {text}")
    found, problems = parse_readable(source)
    match found.statements:
        case [nodes.Expectation(bound=nodes.Parameter() as parameter)]:
            help = "write the number itself"
            raise RulesError(
                Problem("unknown-param", f"no recipe gives ${parameter.name} a value", parameter.span, help)
            )
        case [nodes.Expectation() as node] if not problems:
            return read_expectation(node).bound
    help = f"write it as in `{METRICS['accuracy drop'].example}`, without `expect`"
    raise RulesError(problems or Problem("bad-expectation", "this bounds no metric", found.span, help))
