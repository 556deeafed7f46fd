"""Bundles in, answers out: is the conversion right, what does it compute, and how much faster can it be made?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corecast.adapters.bundle import RECORDS, STORE, layers_to_tune
from corecast.adapters.relax import (
    Bundle,
    BundleError,
    Model,
    load,
    prepare,
    survey,
)
from corecast.api.comparing import HOST, Pair, runner
from corecast.api.evidence import Given
from corecast.api.layerwise import errors_of_layers
from corecast.backends import (
    Bench,
    Budget,
    BuildError,
    Records,
    Runner,
    Store,
    TaskResult,
    Tracker,
    TuneProgress,
    Tuner,
    build,
    tasks,
    tune,
    unrunnable,
)
from corecast.lang import Problem
from corecast.model import LayerTable, Target
from corecast.plan import Plan, PlannedLayer, compress
from corecast.quantization.data import Source
from corecast.recipe import ChangeDType, ChangeLayout, Keep, Pad, Quantize
from corecast.verify import Verification, is_forgiving
from corecast.verify import verify as compare
from corecast.verify.score import UserMetric

Array = NDArray[np.generic]

# How many layers are disturbed, one after another, before a check counts as vacuous.
MOST_CONTROLS = 3


def original_of(bundle: Bundle, path: str | Path | None = None) -> Model:
    """Load the model that a bundle was made from, with the weight fill and the shapes that were used.

    Args:
        bundle: what `read_bundle` returned.
        path: where the original lies now, if it was moved.

    Raises:
        BundleError: where the bundle does not say, or where the file is another one.
        ModelError: where the file cannot be read.
    """
    origin = bundle.report.origin
    if origin is None:
        help = "it was converted in memory; verify it there, with `corecast.verify.verify`"
        message = "the bundle does not say where its original lies"
        raise BundleError(Problem("no-original", message, help=help, place=str(bundle.path)))
    model = load(path or origin.path, weights=origin.weights, shapes=origin.shapes, function=origin.function)
    if model.origin is None or model.origin.sha256 != origin.sha256:
        message = f"this is not the file that {bundle.path} was made from"
        help = f"its digest should be {origin.sha256}"
        raise BundleError(Problem("another-original", message, help=help, place=str(path or origin.path)))
    return model


def verify_bundle(
    bundle: Bundle,
    original: Model | None = None,
    seed: int = 0,
    *,
    data: Source | None = None,
    labels: Array | str | Path | None = None,
    metric: UserMetric | str | None = None,
    layers: bool = False,
) -> Verification:
    """Run the original and the converted model on the same inputs and judge the difference.

    Args:
        bundle: what `read_bundle` returned.
        original: the model before conversion; loaded from where the bundle says if not given.
        seed: of the inputs, where no data is given.
        data: what to run on: a folder of `.npy` or `.npz` files, or an iterable of arrays or dictionaries of them.
        labels: the classes of the samples, or whatever `metric` takes; an array or a `.npy` file.
        metric: from all outputs and the labels to a number, the higher the better; or its name, `module:function`.
            It sees the outputs of the whole model; else a softmax at its end is left out.
        layers: whether to compare each layer too.

    Returns:
        The verdict with its numbers. A bundle whose dtypes this CPU lacks is run with wider carriers (`emulate`).

    Raises:
        CorecastError: where data, labels or metric cannot be had, or do not fit.
    """
    given = Given(seed, data, labels, metric)
    return verify_given(bundle, original or original_of(bundle), given, layers=layers)


def verify_given(bundle: Bundle, original: Model, given: Given, *, layers: bool = False) -> Verification:
    """The same for what was gathered already."""
    pair = Pair.of(original, bundle.model, whole=given.is_by_metric)
    evidence = given.evidence(survey(pair.runnable_original))
    reference, converted = pair.runnable_original, pair.runnable_converted
    for model in (reference, converted):
        if problem := unrunnable(model.module, HOST):
            return Verification(verdict="cannot-run-here", reason=problem.message, seed=given.seed, compared=str(pair))
    table = _surveyed(bundle)
    run = runner(converted, HOST, "the converted model")
    verification = compare(
        runner(reference, HOST, "the original")(reference.parameters),
        run(converted.parameters),
        {what: run(_disturbed(converted, names)) for what, names in _to_disturb(bundle.plan, table).items()},
        evidence=evidence,
        plan=bundle.plan,
        seed=given.seed,
        compared=str(pair),
        dtypes=pair.coarse,
    )
    if not layers:
        return verification
    errors = errors_of_layers(bundle.plan, prepare(original), bundle.model, evidence.batches)
    return verification.model_copy(update={"layers": errors})


def _surveyed(bundle: Bundle) -> LayerTable:
    """The layers of a bundle's module, which has all those that its plan changes. Raises `BundleError`."""
    table = survey(bundle.model)
    changed = (layer.id for layer in bundle.plan.layers if _is_changed(layer))
    if missing := [layer for layer in changed if layer not in table.by_id]:
        message = f"it decides about {compress(missing)}, which the bundle's module does not have"
        help = "make the bundle anew with `corecast apply`"
        raise BundleError(Problem("damaged-bundle", message, help=help, place=str(bundle.path / "plan.yaml")))
    return table


def _is_changed(layer: PlannedLayer) -> bool:
    return any(not isinstance(decision.edit, Keep) for decision in layer.decisions if decision)


def _to_disturb(plan: Plan, table: LayerTable) -> dict[str, list[str]]:
    """The weights to disturb in each control: those of single layers, the furthest from the output first.

    What a recipe expects may be met with one layer disturbed; then it is all of those that the plan changes.
    """
    changed = [
        layer.id
        for layer in plan.layers
        if any(
            isinstance(decision.edit, ChangeLayout | ChangeDType | Quantize | Pad)
            for decision in filter(None, layer.decisions)
        )
        and table.by_id[layer.id].name
    ]
    names = {layer: table.by_id[layer].name or "" for layer in changed}
    if is_forgiving(plan) and len(changed) > 1:
        return {changed[0]: [names[changed[0]]], f"all {len(changed)} converted layers": list(names.values())}
    return {layer: [names[layer]] for layer in changed[:MOST_CONTROLS]}


def _disturbed(model: Model, names: Collection[str]) -> Mapping[str, Array]:
    """The parameters with every element of a weight made up to a half larger or smaller; of several, in disorder.

    Not its sign alone: an even function behind it, or a second use of the weight, would hide that.
    """
    random = np.random.default_rng(0)

    def disturbed(weight: Array) -> Array:
        if len(names) > 1:
            return random.permutation(weight.reshape(-1)).reshape(weight.shape)
        return (weight.astype(np.float64) * random.uniform(0.5, 1.5, weight.shape)).astype(weight.dtype)

    return {**model.parameters, **{name: disturbed(model.parameters[name]) for name in names}}


def runner_of(bundle: Bundle, target: Target) -> Runner:
    """Compile a bundle, with the schedules that were tuned for this target, and load its parameters.

    Raises:
        BuildError: where the module holds dtypes that the target cannot run; said before anything is compiled.
    """
    executable = build(bundle.model.module, target, records_of(bundle, target))
    return Runner(executable, bundle.model.parameters)


def records_of(bundle: Bundle, target: Target) -> Records | None:
    """The tuned schedules in a bundle, or None where nothing was tuned. Raises `RecordsError`."""
    store = bundle.path / RECORDS / STORE
    return Records.open(store, target) if store.exists() else None


def tune_bundle(
    bundle: Bundle,
    target: Target,
    *,
    layers: Sequence[str] | None = None,
    budget: Budget | None = None,
    tuner: Tuner | None = None,
    cached: Sequence[Store] = (),
    tracker: Tracker | None = None,
    progress: Callable[[TuneProgress], None] | None = None,
) -> list[TaskResult]:
    """Search schedules for the layers that the plan marks, and keep the better ones in the bundle.

    Args:
        bundle: what `read_bundle` returned.
        target: where the schedules are measured and kept for.
        layers: ids of the layers to tune; all that the plan marks if not given.
        budget: what may be spent, where not what the plan says.
        tuner: what searches; for each kernel the first one that takes it if not given.
        cached: other stores to look into first; what is found goes there too.
        tracker: lends the workers that measure; this machine if not given.
        progress: called after every round of measurements.

    Returns:
        For each kernel, its layers and its times before and after, in microseconds.

    Raises:
        BundleError: where the plan marks no layer, or not one of `layers`.
        TuneError: where every candidate of a kernel failed; with the first compiler message.
    """
    chosen = layers_to_tune(bundle, layers)
    if problem := unrunnable(bundle.model.module, target):
        raise BuildError(problem)
    table = _surveyed(bundle)
    wanted = {table.by_id[layer].source or layer: edit for layer, edit in chosen.items()}
    ids = {layer.source: layer.id for layer in table.layers}
    found = [
        replace(task, layers=tuple(ids[name] for name in task.layers))
        for task in tasks(bundle.model.module, wanted, target)
    ]
    records = Records.create(bundle.path / RECORDS / STORE, target)
    others = [Records(store, target) for store in cached]
    with closing(Bench(target, tracker=tracker)) as bench:
        return tune(found, records, budget=budget, tuner=tuner, bench=bench, cached=others, progress=progress)
