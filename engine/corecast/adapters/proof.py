"""A converted model and its original in, a verdict out, by whichever adapter can run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from corecast.lang.problems import CorecastError, Problem
from corecast.model import Layer, LayerTable
from corecast.plan import Plan
from corecast.recipe import Keep, Tune
from corecast.verify import Evidence, LayerError, Verification, Whole, inputs_for, is_forgiving, verify
from corecast.verify.evidence import Batch

Array = NDArray[Any]
Run = Callable[[Mapping[str, Array]], Sequence[Array]]
Change = Callable[[Array], Array]
Observed = Callable[[Mapping[str, Array]], Mapping[str, Array]]

# How many layers are disturbed, one after another, before a check counts as vacuous.
MOST_CONTROLS = 3


class CannotRunError(CorecastError):
    """A model that cannot be run here."""

    @classmethod
    def no_runner(cls, ir: str) -> CannotRunError:
        help = "run it with its own toolchain; its adapter could say how, with `runner` and `with_weights`"
        return cls(Problem("no-runner", f"the adapter of the IR `{ir}` does not say how to run a model", help=help))


class Compared(Protocol):
    """An original and what a plan made of it, of any IR; it prints as what of them is compared.

    `is_cut` says whether that is what stands before a softmax, `coarse` which dtypes the original itself rounds to.
    """

    @property
    def is_cut(self) -> bool: ...

    @property
    def coarse(self) -> tuple[str, ...]: ...

    @property
    def run_original(self) -> Run: ...

    @property
    def run_converted(self) -> Run: ...

    def inputs(self, seed: int) -> Mapping[str, Array]: ...


class Runs(Protocol):
    """What of an adapter proves a conversion."""

    def survey(self, model: Any) -> LayerTable: ...

    def runner(self, model: Any) -> Run: ...

    def with_weights(self, model: Any, changes: Mapping[str, Change]) -> Any: ...

    def compared(self, original: Any, converted: Any, *, whole: bool = False) -> Compared: ...

    def errors_of_layers(
        self, plan: Plan, original: Any, converted: Any, batches: Iterable[Batch]
    ) -> tuple[LayerError, ...]: ...


@dataclass(frozen=True)
class Outputs:
    """All outputs of two models, as they are."""

    adapter: Runs
    original: Any
    converted: Any

    is_cut: ClassVar[bool] = False
    coarse: ClassVar[tuple[str, ...]] = ()

    def inputs(self, seed: int) -> Mapping[str, Array]:
        return inputs_for(self.adapter.survey(self.original), seed)

    @cached_property
    def run_original(self) -> Run:
        return self.adapter.runner(self.original)

    @cached_property
    def run_converted(self) -> Run:
        return self.adapter.runner(self.converted)

    def __str__(self) -> str:
        return "outputs"


def verify_models(
    adapter: Runs,
    plan: Plan,
    original: Any,
    converted: Any,
    seed: int = 0,
    *,
    evidence: Evidence | None = None,
    whole: bool = False,
    layers: bool = False,
) -> Verification:
    """Run the original and the converted model on the same inputs and judge the difference.

    Args:
        adapter: of their IR.
        plan: what was carried out; it names the layers, and says what is expected.
        original, converted: two models of that adapter's.
        seed: of the inputs, where there is no evidence.
        evidence: what to run on, and what the answers are worth; else seeded inputs.
        whole: whether a softmax at the end stays, which a metric that sees the outputs may need.
        layers: whether to compare each layer too.

    Returns:
        The verdict with its numbers.
    """
    pair = adapter.compared(original, converted, whole=whole)
    evidence = evidence or Evidence([Whole(pair.inputs(seed))])

    def when_run(model: Any) -> Run:
        """Make a model ready only when it is asked for: of several controls most are not."""
        ready = cache(lambda: adapter.compared(original, model, whole=whole).run_converted)
        return lambda inputs: ready()(inputs)

    try:
        verification = verify(
            pair.run_original,
            pair.run_converted,
            {what: when_run(model) for what, model in _controls(adapter, plan, original, converted)},
            evidence=evidence,
            plan=plan,
            seed=seed,
            compared=str(pair),
            dtypes=pair.coarse,
        )
        if not layers:
            return verification
        errors = adapter.errors_of_layers(plan, original, converted, evidence.batches)
        return verification.model_copy(update={"layers": errors})
    except CannotRunError as error:
        reason = "; ".join(problem.message for problem in error.problems)
        return Verification(verdict="cannot-run-here", reason=reason, seed=seed, compared=str(pair))


def _controls(adapter: Runs, plan: Plan, original: Any, converted: Any) -> Iterator[tuple[str, Any]]:
    """The converted model with the weight of one layer disturbed, for a few of the layers that the plan changes.

    The first one is the furthest from the output and the hardest to see; of a transformer it may be too hard. What a
    recipe expects may be met with one layer disturbed; then it is all of them, with their weights in disorder.
    """
    found = list(_weights(adapter, plan, original, converted))
    several = is_forgiving(plan) and len(found) > 1
    places = np.linspace(0, len(found) - 1, MOST_CONTROLS).astype(int) if found else ()
    for layer, name in found[:1] if several else (found[place] for place in dict.fromkeys(places)):
        yield layer, adapter.with_weights(converted, {name: scaled})
    if several:
        yield f"all {len(found)} converted layers", adapter.with_weights(converted, {name: mixed for _, name in found})


def _weights(adapter: Runs, plan: Plan, original: Any, converted: Any) -> Iterator[tuple[str, str]]:
    """The layers that a plan changes, each with the name of a weight of its that can be changed."""
    before, table = adapter.survey(original).by_id, adapter.survey(converted)
    after = {layer.source: layer for layer in table.layers}
    for planned in plan.layers:
        edits = [decision.edit for decision in planned.decisions if decision]
        layer = after.get(before[planned.id].source)
        name = _weight_of(layer, table) if layer else None
        if name and any(not isinstance(edit, Keep | Tune) for edit in edits):
            try:
                adapter.with_weights(converted, {name: lambda weight: weight})
            except KeyError:
                continue
            yield planned.id, name


def _weight_of(layer: Layer, table: LayerTable) -> str | None:
    """The first weight that a layer reads, as it is or as another layer makes it of nothing else: of integers, say."""
    for operand in layer.operands:
        maker = None if operand.layer is None else table.layers[operand.layer]
        if operand.parameter or (maker and all(item.parameter for item in maker.operands)):
            return operand.parameter or (maker.name if maker else None)
    return None


def scaled(weight: Array) -> Array:
    """A weight with every element made up to a half larger or smaller.

    Not its sign alone: an even function behind it, or a second use of the weight, would hide that.
    """
    changed = weight.astype(np.float64) * np.random.default_rng(0).uniform(0.5, 1.5, weight.shape)
    if weight.dtype.kind in "iu":
        limits = np.iinfo(weight.dtype)
        changed = np.clip(changed, limits.min, limits.max)
    return changed.astype(weight.dtype)


def mixed(weight: Array) -> Array:
    """The elements of a weight in disorder."""
    return np.random.default_rng(0).permutation(weight.reshape(-1)).reshape(weight.shape)
