"""A converted model and its original in, a verdict out: does it still give the original's answers?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from corecast.adapters.onnx.emulate import emulate, emulated_dtypes
from corecast.adapters.onnx.model import Array, Model
from corecast.adapters.onnx.observe import errors_of_layers
from corecast.adapters.onnx.runtime import CannotRunError, Run, runner
from corecast.adapters.onnx.softmax import before_softmax
from corecast.adapters.onnx.survey import survey
from corecast.plan import Plan
from corecast.recipe import ChangeDType, Quantize
from corecast.verify import Evidence, Verification, Whole, inputs_for, is_forgiving, verify

# How many layers are disturbed, one after another, before a check counts as vacuous.
MOST_CONTROLS = 3


def verify_models(
    plan: Plan,
    original: Model,
    converted: Model,
    seed: int = 0,
    *,
    evidence: Evidence | None = None,
    whole: bool = False,
    layers: bool = False,
) -> Verification:
    """Run the original and the converted model on the same inputs and judge the difference.

    Args:
        plan: what was carried out; it names the layers and sets the tolerance.
        original, converted: what `load` and `apply` returned, or `original_of` and `read_model`.
        seed: of the inputs, where there is no evidence.
        evidence: what to run on, and what the answers are worth; else seeded inputs.
        whole: whether a softmax at the end stays, which a metric that sees the outputs may need.
        layers: whether to compare each layer too.

    Returns:
        The verdict with its numbers. Short floats are carried in float32 and rounded after each node (`emulate`).
    """
    controls = dict(_disturbed(plan, original, converted))
    pair = Pair.of(original, converted, whole=whole)
    if pair.is_cut:
        controls = {layer: before_softmax(model) or model for layer, model in controls.items()}
    evidence = evidence or Evidence([Whole(pair.inputs(seed))])
    try:
        verification = verify(
            runner(emulate(pair.original)),
            runner(emulate(pair.converted)),
            {layer: _when_run(model) for layer, model in controls.items()},
            evidence=evidence,
            plan=plan,
            seed=seed,
            compared=str(pair),
            dtypes=pair.coarse,
        )
        if not layers:
            return verification
        errors = errors_of_layers(plan, original, converted, evidence.batches)
        return verification.model_copy(update={"layers": errors})
    except CannotRunError as error:
        reason = "; ".join(problem.message for problem in error.problems)
        return Verification(verdict="cannot-run-here", reason=reason, seed=seed, compared=str(pair))


@dataclass(frozen=True)
class Pair:
    """Two models with the same outputs: those before their softmaxes where both end in such.

    Attributes:
        original, converted: as they were given, or cut before the softmaxes.
        is_cut: whether they are.
        coarse: the dtypes of the original that are rounded after each node.
    """

    original: Model
    converted: Model
    is_cut: bool
    coarse: tuple[str, ...]

    @classmethod
    def of(cls, original: Model, converted: Model, *, whole: bool = False) -> Pair:
        """Two models, cut where both end in softmaxes, unless they are to be compared `whole`."""
        one, other = (None, None) if whole else (before_softmax(original), before_softmax(converted))
        if one and other and len(one.outputs) == len(other.outputs):
            return cls(one, other, True, tuple(emulated_dtypes(one)))
        return cls(original, converted, False, tuple(emulated_dtypes(original)))

    def inputs(self, seed: int) -> Mapping[str, Array]:
        """Seeded inputs that both take. Raises `InputError`."""
        return inputs_for(survey(self.original), seed)

    def run_original(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Run the original once. Raises `CannotRunError`."""
        return runner(emulate(self.original))(inputs)

    def run_converted(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Run the converted model once. Raises `CannotRunError`."""
        return runner(emulate(self.converted))(inputs)

    def __str__(self) -> str:
        """What is compared, for the reader."""
        text = "outputs before the softmax" if self.is_cut else "outputs"
        dtypes = sorted({*self.coarse, *emulated_dtypes(self.converted)})
        return f"{text}, {' and '.join(dtypes)} rounded after each node" if dtypes else text


def _when_run(model: Model) -> Run:
    """Make a model ready only when it is asked for: of several controls most are not."""
    ready = cache(lambda: runner(emulate(model)))
    return lambda inputs: ready()(inputs)


def _disturbed(plan: Plan, original: Model, converted: Model) -> Iterator[tuple[str, Model]]:
    """The converted model with the weight of one layer disturbed, for a few of the layers that the plan changes.

    The first one is the furthest from the output and the hardest to see; of a transformer it may be too hard. What a
    recipe expects may be met with one layer disturbed; then it is all of them, with their weights in disorder.
    """
    before = survey(original).by_id
    after = {layer.source: layer for layer in survey(converted).layers}
    changed = (
        layer.id for layer in plan.layers if layer.dtype and isinstance(layer.dtype.edit, ChangeDType | Quantize)
    )
    named = ((layer, after[before[layer].source].name or "") for layer in changed)
    found = [(layer, name) for layer, name in named if name in converted.initializers]
    several = is_forgiving(plan) and len(found) > 1
    places = np.linspace(0, len(found) - 1, MOST_CONTROLS).astype(int) if found else ()
    for layer, name in found[:1] if several else (found[place] for place in dict.fromkeys(places)):
        yield layer, _with(converted, {name: partial(_other, converted, name)})
    if several:
        disorder = {name: partial(_in_disorder, converted, name) for _, name in found}
        yield f"all {len(found)} converted layers", _with(converted, disorder)


def _with(model: Model, weights: Mapping[str, Callable[[], Array]]) -> Model:
    return replace(model, late={**model.late, **weights})


def _other(model: Model, name: str) -> Array:
    """A weight with every element made up to a half larger or smaller.

    Not its sign alone: an even function behind it, or a second use of the weight, would hide that.
    """
    weight = model.array(name)
    factors = np.random.default_rng(0).uniform(0.5, 1.5, weight.shape)
    return (weight.astype(np.float64) * factors).astype(weight.dtype)


def _in_disorder(model: Model, name: str) -> Array:
    weight = model.array(name)
    return np.random.default_rng(0).permutation(weight.reshape(-1)).reshape(weight.shape)
