"""Candidates, a budget and a measure of plans in, the cheapest assignment that was measured to keep the budget out.

Each candidate of each layer is measured alone. Steps that save most cost for the noise that they add come first, and
of that order the longest beginning is taken with which the model, measured as a whole, keeps the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from corecast.lang.problems import CorecastError, Problem
from corecast.plan import Plan
from corecast.recipe import Bound
from corecast.search.candidates import Candidate, Candidates
from corecast.verify import Measured

Measure = Callable[[Plan], Measured]
Assignment = Mapping[str, Candidate]

# So many of the steps that did not fit are tried once more by themselves, for what is left of the budget.
MOST_REFILLS = 8


class BudgetError(CorecastError):
    """A budget that the model does not keep as it is, or no layer that anything could be chosen for."""

    exit_status = 1


class Tried(NamedTuple):
    """A plan was measured: the `number`-th of about so many, which changes so many layers."""

    number: int
    about: int
    what: str
    measured: Measured


class Sensitivity(BaseModel):
    """What one request does when it is carried out on one layer alone, and the share of all cost that it saves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    request: str
    saves: float
    alone: Measured

    @property
    def text(self) -> str:
        """`cast float16 alone: cosine 0.999998, snr 61.0 dB; saves 1.2% of the cost`."""
        told = self.alone.reason or self.alone.text
        if self.alone.snr_db is not None and self.alone.snr_db < inf and "snr" not in told:
            told += f", snr {self.alone.snr_db:.1f} dB"
        return f"{self.request} alone: {told}; saves {self.saves:.1%} of the cost"


class Chosen(BaseModel):
    """What a layer gets; `request` is None where it stays as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    parameter: str | None
    request: str | None


class Found(BaseModel):
    """What a search found: for each layer that had a choice its request, and what the whole was measured to be.

    `cost` is that of all layers that multiply and add, as a share of what they cost in the dtypes that the model has,
    by the model in `corecast.search.costs`. `requests` are those that were to be chosen from, the cheapest first.
    `sensitivities` are there where the cheapest candidates of all layers together did not keep the budget. `declined`
    says of requests that no layer took why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    target: str
    budget: tuple[Bound, ...]
    seed: int
    compared: str
    inputs: str | None
    cost: float
    whole: Measured
    probes: int
    requests: tuple[str, ...]
    chosen: tuple[Chosen, ...]
    sensitivities: tuple[Sensitivity, ...] = ()
    declined: dict[str, str] = {}


def search(
    found: Candidates,
    budget: Sequence[Bound],
    measure: Measure,
    *,
    seed: int,
    compared: Callable[[], str],
    inputs: str | None = None,
    on_try: Callable[[Tried], object] | None = None,
) -> Found:
    """Choose a candidate for each layer.

    Args:
        found: what each layer may become.
        budget: what has to hold of the answers; `measure` gives the share of it that a plan uses up.
        measure: carries a plan out and compares; it raises nothing for a plan that cannot be.
        seed: of the inputs that are compared on, for the record.
        compared: says, once something was measured, what is compared.
        inputs: what is compared on, where no seed made it.
        on_try: called after each measurement; it may raise, which ends the search.

    Raises:
        BudgetError: where there is nothing to choose, or the model does not keep the budget as it is.
    """
    if not found.of:
        reasons = "; ".join(f"`{request}`: {reason}" for request, reason in found.declined.items())
        help = "a dtype is a candidate where the target is native in it: `corecast targets` has the table"
        raise BudgetError(Problem("nothing-to-choose", f"no layer has a choice: {reasons}", help=help))
    tries = _Tries(found, measure, on_try)
    nothing = tries.whole({})
    if not nothing.error <= 1:
        message = f"{found.table.model} does not keep the budget as it is: {nothing.text}"
        raise BudgetError(
            Problem("budget-too-small", message, help=nothing.reason or "ask for less, or give other data")
        )
    chosen: Assignment = {layer: items[0] for layer, items in found.of.items()}
    whole = tries.whole(chosen)
    sensitivities: list[Sensitivity] = []
    if not whole.error <= 1:
        sensitivities = list(tries.sensitivities())
        chosen = _chosen(tries, sensitivities)
        whole = tries.whole(chosen)
    if not chosen:
        best = min(sensitivities, key=lambda item: item.alone.error)
        message = f"no layer of {found.table.model} can be changed within the budget"
        help = f"the least is lost by {best.layer}: {best.text}"
        raise BudgetError(Problem("budget-too-small", message, help=help))
    return Found(
        model=found.table.model,
        target=found.target.name,
        budget=tuple(Bound(metric=bound.metric, bound=bound.bound) for bound in budget),
        seed=seed,
        compared=compared(),
        inputs=inputs,
        cost=found.cost(dict(chosen)) / found.cost({}),
        whole=whole,
        probes=len(tries.measured),
        requests=found.requests,
        chosen=tuple(
            Chosen(
                layer=layer,
                parameter=found.table.by_id[layer].name,
                request=chosen[layer].request if layer in chosen else None,
            )
            for layer in found.of
        ),
        sensitivities=tuple(sensitivities),
        declined=found.declined,
    )


class _Tries:
    """Measures assignments, each once."""

    def __init__(self, found: Candidates, measure: Measure, on_try: Callable[[Tried], object] | None):
        self.found = found
        self.measured: dict[frozenset[tuple[str, str]], Measured] = {}
        self._measure = measure
        self._on_try = on_try
        candidates = sum(map(len, found.of.values()))
        self._about = 2 + candidates + candidates.bit_length() + MOST_REFILLS

    def whole(self, chosen: Assignment, what: str | None = None) -> Measured:
        key = frozenset((layer, candidate.request) for layer, candidate in chosen.items())
        if key not in self.measured:
            self.measured[key] = self._measure(self.found.planned(dict(chosen)))
            if self._on_try:
                told = what or f"{len(chosen)} of {len(self.found.of)} layers changed"
                number = len(self.measured)
                self._on_try(Tried(number, max(self._about, number), told, self.measured[key]))
        return self.measured[key]

    def keeps(self, chosen: Assignment) -> bool:
        return self.whole(chosen).error <= 1

    def sensitivities(self) -> Iterator[Sensitivity]:
        everything = self.found.cost({})
        for layer, items in self.found.of.items():
            for candidate in items:
                alone = self.whole({layer: candidate}, f"{layer}: {candidate.request}")
                saves = (self.found.as_it_was[layer] - candidate.cost) / everything
                yield Sensitivity(layer=layer, request=candidate.request, saves=saves, alone=alone)


# ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Step(NamedTuple):
    """A layer goes over to a cheaper candidate: the noise that this adds, and the cost that it saves."""

    layer: str
    request: str
    noise: float
    saves: float

    @property
    def price(self) -> float:
        """The noise for each bit of cost."""
        return self.noise / self.saves


def steps_of(sensitivities: Sequence[Sensitivity]) -> list[Step]:
    """The steps of all layers, those first that save most for the noise that they add.

    Those of a layer come in their order, each dearer than the one before: what would be skipped anyway is left out.
    """
    by_layer: dict[str, list[Sensitivity]] = {}
    for item in sensitivities:
        if noise_of(item.alone) < inf and item.alone.error <= 1:
            by_layer.setdefault(item.layer, []).append(item)
    steps = [step for items in by_layer.values() for step in _hull(items)]
    return sorted(steps, key=lambda step: step.price)


def _hull(items: Sequence[Sensitivity]) -> Iterator[Step]:
    """From the layer as it was to its cheapest candidate, over those that are worth a stop."""
    noise, saved = 0.0, 0.0
    left = list(items)
    while left := [item for item in left if item.saves > saved]:
        best = min(left, key=lambda item: ((noise_of(item.alone) - noise) / (item.saves - saved), -item.saves))
        added = max(noise_of(best.alone) - noise, 0.0)
        yield Step(best.layer, best.request, added, best.saves - saved)
        noise, saved = max(noise_of(best.alone), noise), best.saves


def noise_of(measured: Measured) -> float:
    """The noise of the outputs over their signal, which adds up where errors are small and of different layers."""
    if measured.snr_db is None:
        return inf
    return 0.0 if measured.snr_db == inf else float(10 ** (-measured.snr_db / 10))


def _chosen(tries: _Tries, sensitivities: Sequence[Sensitivity]) -> Assignment:
    """The longest beginning of the steps that keeps the budget, and what still fits of those behind it."""
    steps = steps_of(sensitivities)
    keeps, misses = 0, len(steps) + 1
    while misses - keeps > 1:
        middle = (keeps + misses) // 2
        keeps, misses = (middle, misses) if tries.keeps(_after(tries, steps[:middle])) else (keeps, middle)
    taken, blocked = list(steps[:keeps]), set[str]()
    for step in steps[keeps : keeps + MOST_REFILLS]:
        if step.layer not in blocked and tries.keeps(_after(tries, [*taken, step])):
            taken.append(step)
        else:
            blocked.add(step.layer)  # a later step of this layer adds to this one
    return _after(tries, taken)


def _after(tries: _Tries, steps: Sequence[Step]) -> Assignment:
    requests = {step.layer: step.request for step in steps}
    return {
        layer: next(item for item in items if item.request == requests[layer])
        for layer, items in tries.found.of.items()
        if layer in requests
    }
