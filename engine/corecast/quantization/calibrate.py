"""A way to run a model and batches in, the range of each of its values out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from corecast.lang.problems import CorecastError, Problem
from corecast.plan.ids import shorten
from corecast.quantization.calibration import Range
from corecast.quantization.data import Batch
from corecast.quantization.files import Array
from corecast.quantization.methods import Method
from corecast.quantization.observers import Extent, NotFiniteError

Run: TypeAlias = Callable[[Mapping[str, Array]], Mapping[str, Array]]
# How many samples were run, and how many there are, where that is known.
OnSamples: TypeAlias = Callable[[int], None]


class ObservationError(CorecastError):
    """A model that does not do on the data what it would have to: values that are no numbers, or that never come."""


def observe(
    run: Run,
    batches: Iterable[Batch],
    symmetric: Mapping[str, bool],
    method: Method,
    on_samples: OnSamples | None = None,
) -> tuple[dict[str, Range], int]:
    """Run every batch once and choose a range for each value.

    Args:
        run: from inputs to the values, each under its name.
        batches: what to run; one is held at a time.
        symmetric: the values to look at, and whether zero shall be in the middle of their integers.
        method: how the ranges are chosen.
        on_samples: called after each batch with the number of samples so far; it may raise, which ends it.

    Returns:
        The ranges, and of how many samples they are.

    Raises:
        ObservationError: where a layer gives NaN or infinity on finite data, or nothing at all.
    """
    observers = {name: method.observer() for name in symmetric}
    samples = 0
    for batch in batches:
        found = run(batch.inputs)
        for name, observer in observers.items():
            _see(observer, found[name], name, batch.place)
        samples += batch.samples
        if on_samples:
            on_samples(samples)
    if silent := [name for name, observer in observers.items() if not observer.count]:
        message = f"{shorten(', '.join(silent))} had no value in {samples} samples"
        help = "give data on which it runs, or leave it out of what the rules quantize"
        raise ObservationError(Problem("never-ran", message, help=help))
    return {name: method.range(seen, symmetric=symmetric[name]) for name, seen in observers.items()}, samples


def _see(observer: Extent, values: Array, name: str, place: str) -> None:
    try:
        observer.see(values)
    except NotFiniteError as error:
        help = "the data is finite: look at the layers before it, with `corecast layers MODEL`"
        message = f"of what {name} gives, {error}"
        raise ObservationError(Problem("not-finite-value", message, help=help, place=place)) from error
