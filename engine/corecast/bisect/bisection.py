"""A plan and a way to measure plans in, the decisions that break it out, with the numbers that say so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from corecast.bisect.changes import Change, changes, hard_casts, without
from corecast.bisect.search import Found, Outcome, search
from corecast.plan import Plan
from corecast.plan.plan import Placed
from corecast.recipe import Bound, Property
from corecast.verify import Measured, tolerance_of

# For so many of the decisions that are left out the error without each of them is measured.
MOST_TOLD = 16


class LeftOut(Placed):
    """A decision that is taken back: what was asked for where, and the errors with it alone and of all without it.

    `alone` is that of its group where the layers are so many that groups were ranked; `without` is measured for the
    first few only.
    """

    layer: str
    parameter: str | None
    property: Property
    rule: str
    edit: str
    alone: Measured
    without: Measured | None


class Ranked(BaseModel):
    """The error of a few layers whose decisions alone are carried out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[str, ...]
    alone: Measured


class Bisection(BaseModel):
    """Which decisions of a recipe break a model.

    `outcome` is `passes` where none does; `fails-anyway` where the model fails with none of them; `culprits` where each
    that is left out breaks it alone; `together` where it takes many or several: those that weigh most are left out, and
    `ranking` has what each alone does. `rest` is the error without what is left out. Where `bounds` were judged by, an
    error is the share of them that is used up, and the tolerance is 1. `inputs` says what was compared on, where that
    is no seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    model: str
    recipe: str
    seed: int
    tolerance: float
    bounds: tuple[Bound, ...] = ()
    compared: str
    inputs: str | None = None
    decisions: int
    hard_casts: int
    probes: int
    whole: Measured
    nothing: Measured | None = None
    rest: Measured | None = None
    left_out: tuple[LeftOut, ...] = ()
    ranking: tuple[Ranked, ...] = ()

    @property
    def allowed(self) -> str:
        """What was judged by: `0.01 allowed`, `cosine >= 0.99 expected`."""
        return f"{', '.join(map(str, self.bounds))} expected" if self.bounds else f"{self.tolerance:g} allowed"

    @property
    def on(self) -> str:
        """What was compared on, and how often."""
        return self.inputs or f"inputs of seed {self.seed}"


class Probe(NamedTuple):
    """A plan was measured: the `number`-th, with so many of the decisions."""

    number: int
    kept: int
    decisions: int
    measured: Measured


Measure = Callable[[Plan], Measured]
OnProbe = Callable[[Probe], object]


def bisect(
    plan: Plan,
    measure: Measure,
    *,
    dtypes: Collection[str],
    seed: int,
    compared: Callable[[], str],
    tolerance: float | None = None,
    bounds: Sequence[Bound] = (),
    inputs: str | None = None,
    on_probe: OnProbe | None = None,
) -> Bisection:
    """Find the decisions without which a plan stays within the tolerance.

    Args:
        plan: all of it, as `apply` would carry it out.
        measure: carries a plan out and compares; it raises nothing for a plan that cannot be.
        dtypes: those that the original rounds to, for which the tolerance has to allow.
        seed: of the inputs that are compared on, for the record.
        compared: says, once something was measured, what is compared.
        tolerance: what is allowed; else what `verify` allows the plan and what is left of it, hard casts aside.
        bounds: what is measured by instead, as shares of what they allow; then there is no tolerance.
        inputs: what is compared on, where no seed made it.
        on_probe: called after each measurement; it may raise, which ends the search.
    """
    probes = _Probes(plan, measure, on_probe)
    found = _found(probes, 1.0 if bounds else tolerance, dtypes)
    left_out = found.result.left_out
    groups = {change: part for part, _ in found.result.ranking for change in part}
    return Bisection(
        outcome=found.result.outcome,
        model=plan.model.name,
        recipe=plan.recipe.file,
        seed=seed,
        tolerance=found.tolerance,
        bounds=tuple(Bound(metric=bound.metric, bound=bound.bound) for bound in bounds),
        inputs=inputs,
        decisions=len(probes.changes),
        hard_casts=len(hard_casts(probes.changes)),
        whole=probes.of(probes.changes),
        nothing=None if found.result.nothing is None else probes.of(()),
        rest=probes.without(left_out) if left_out else None,
        left_out=tuple(
            LeftOut(
                rule=probes.changes[change].rule,
                line=probes.changes[change].line,
                file=probes.changes[change].file,
                edit=str(probes.changes[change].edit),
                layer=change.layer,
                parameter=plan.by_id[change.layer].parameter,
                property=change.property,
                alone=probes.of(groups.get(change, (change,))),
                without=probes.without([change]) if number < MOST_TOLD else None,
            )
            for number, change in enumerate(left_out)
        ),
        ranking=tuple(
            Ranked(layers=tuple(change.layer for change in part), alone=probes.of(part))
            for part, _ in found.result.ranking
        ),
        compared=compared(),
        probes=len(probes.measured),
    )


class _Probes:
    """Measures plans with some of the changes of one, each once."""

    def __init__(self, plan: Plan, measure: Measure, on_probe: OnProbe | None):
        self.plan = plan
        self.changes = changes(plan)
        self.measured: dict[frozenset[Change], Measured] = {}
        self._measure = measure
        self._on_probe = on_probe

    def of(self, kept: Collection[Change]) -> Measured:
        key = frozenset(kept)
        if key not in self.measured:
            self.measured[key] = self._measure(without(self.plan, self.changes.keys() - key))
            if self._on_probe:
                self._on_probe(Probe(len(self.measured), len(key), len(self.changes), self.measured[key]))
        return self.measured[key]

    def group(self, change: Change) -> tuple[str, int]:
        """The rule and the request that ask for a change."""
        decision = self.changes[change]
        return decision.rule, decision.line

    def without(self, left_out: Sequence[Change]) -> Measured:
        return self.of(self.changes.keys() - set(left_out))


class _Judged(NamedTuple):
    result: Found[Change]
    tolerance: float


def _found(probes: _Probes, tolerance: float | None, dtypes: Collection[str]) -> _Judged:
    """Search; and again, where what is left is so much finer that `verify` would allow it less."""

    def allowed(left_out: Collection[Change]) -> float:
        integers = hard_casts(probes.changes)
        found = tolerance_of(without(probes.plan, {*integers, *left_out}), dtypes)
        assert found is not None, "no hard cast is left in it"
        return found

    limit = allowed(()) if tolerance is None else tolerance
    while True:
        result = search(list(probes.changes), lambda kept: probes.of(kept).error, limit, probes.group)
        if tolerance is not None or not result.left_out:
            return _Judged(result, limit)
        own = allowed(result.left_out)
        if probes.without(result.left_out).error <= own:
            return _Judged(result, own)
        limit = own
