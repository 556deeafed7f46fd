"""What models are compared on: batches of inputs that are gone through once for each model, and a scorer of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from corecast.verify.score import Scorer

Array = NDArray[np.generic]
Run = Callable[[Mapping[str, Array]], Sequence[Array]]


class Batch(Protocol):
    """What a model is run on once: its inputs by name, and how many samples of them count.

    A batch that its samples do not fill repeats some of them behind, whose answers are thrown away.
    """

    @property
    def inputs(self) -> Mapping[str, Array]: ...

    @property
    def samples(self) -> int: ...


@dataclass(frozen=True)
class Whole:
    """A batch of which everything counts."""

    inputs: Mapping[str, Array]

    @property
    def samples(self) -> int:
        return _rows(self.inputs)


@dataclass(frozen=True)
class Evidence:
    """Inputs, and what the answers to them are worth.

    Attributes:
        batches: gone through again for each model, and never held together.
        told: what they are, where no seed made them: `1797 samples of digits`.
        scorer: of the answers to all of them together.
    """

    batches: Iterable[Batch]
    told: str | None = None
    scorer: Scorer | None = None


def answers(run: Run, batch: Batch) -> Sequence[Array]:
    """The outputs for the samples of a batch that count."""
    outputs, rows = run(batch.inputs), _rows(batch.inputs)
    if batch.samples >= rows:
        return outputs
    return [array[: batch.samples] if array.ndim and len(array) == rows else array for array in outputs]


def _rows(inputs: Mapping[str, Array]) -> int:
    return max((len(array) for array in inputs.values() if array.ndim), default=1)
