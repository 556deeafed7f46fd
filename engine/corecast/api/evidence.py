"""What a user gives to check a model on in (data, labels, a metric), batches and a scorer out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corecast.lang import CorecastError, Problem
from corecast.model import LayerTable, TensorType
from corecast.quantization.data import Batch, Data, Source
from corecast.quantization.files import BROKEN
from corecast.verify import Evidence, Scorer, by_metric, inputs_for, top1
from corecast.verify.evidence import Whole
from corecast.verify.score import UserMetric

Array = NDArray[np.generic]


class EvidenceError(CorecastError):
    """Labels, or a metric, that cannot be found or read, or that have no data."""


@dataclass(frozen=True)
class Given:
    """What a model is checked on; seeded inputs where nothing was given.

    Attributes:
        seed: of the inputs, where there is no data.
        data: a folder of `.npy` or `.npz` files, one such file, or an iterable of arrays or dictionaries.
        labels: whole numbers for the samples of the data, in their order, or whatever the metric takes; or a `.npy`
            file of them.
        metric: a function of all outputs and the labels, or `module:function`; the higher the better. Without one,
            labels are of classes, and what is taken is top-1 accuracy.
    """

    seed: int = 0
    data: Source | None = None
    labels: Array | str | Path | None = None
    metric: UserMetric | str | None = None

    @property
    def is_by_metric(self) -> bool:
        """Whether a function of the user's sees the outputs, which then have to be the model's own."""
        return self.metric is not None

    def evidence(self, table: LayerTable) -> Evidence:
        """For a model with these arguments.

        Raises:
            EvidenceError: where labels or a metric cannot be had.
            DataError: where the data does not fit.
            InputError: where there is no data and the inputs cannot be made up.
        """
        if self.data is None:
            if self.labels is not None or self.metric is not None:
                help = "give the data that they are about: `--data DIR`"
                raise EvidenceError(
                    Problem("no-data", "labels and metrics are about data, and none was given", help=help)
                )
            return Evidence([Whole(inputs_for(table, self.seed))])
        batches = _Again(self.data, table.arguments)
        name = f" of {self.data}" if isinstance(self.data, str | Path) else ""
        return Evidence(batches, f"{batches.samples} sample{'' if batches.samples == 1 else 's'}{name}", self._scorer())

    def _scorer(self) -> Scorer | None:
        labels = _labels(self.labels) if isinstance(self.labels, str | Path) else self.labels
        if self.metric is None:
            return None if labels is None else top1(labels)
        if callable(self.metric):
            return by_metric(getattr(self.metric, "__name__", "metric"), self.metric, labels)
        return by_metric(self.metric, find_metric(self.metric), labels)


class _Again:
    """Batches that can be gone through several times: of a folder they are read again, of an iterator they are kept."""

    def __init__(self, source: Source, types: Mapping[str, TensorType]) -> None:
        is_used_up = isinstance(source, Iterator)
        self._data = Data(source, types)
        self._kept = list(self._data.batches()) if is_used_up else None
        known = self._data.samples
        self.samples = sum(batch.samples for batch in self) if known is None else known

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._kept) if self._kept is not None else self._data.batches()


def _labels(path: str | Path) -> Array:
    try:
        labels: Array = np.load(path, allow_pickle=False)
        if not isinstance(labels, np.ndarray):
            raise ValueError("it holds several arrays")
        return labels
    except BROKEN as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        help = "write them with `numpy.save`, in the order of the samples"
        raise EvidenceError(
            Problem("bad-labels", f"no labels can be read: {reason}", help=help, place=str(path))
        ) from error


def find_metric(name: str) -> UserMetric:
    """The function that `module:function` names; the module is looked for where the command runs, too.

    Raises `EvidenceError`. Importing runs the module, which is the user's own.
    """
    module, mark, function = name.partition(":")
    if not (module and mark and function):
        help = "write the module and the function: `--metric my_metrics:f1`"
        raise EvidenceError(Problem("bad-metric", f"`{name}` names no function", help=help))
    sys.path.insert(0, str(Path.cwd()))
    try:
        with redirect_stdout(sys.stderr):  # standard output is for results
            found = getattr(import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        help = "it is imported from here; `python -c 'import ...'` says more"
        message = f"the metric {name} cannot be had: {type(error).__name__}: {error}"
        raise EvidenceError(Problem("bad-metric", message, help=help)) from error
    finally:
        sys.path.remove(str(Path.cwd()))
    if not callable(found):
        raise EvidenceError(
            Problem("bad-metric", f"{name} is no function", help="it is called as `metric(outputs, labels)`")
        )
    return found  # type: ignore[no-any-return]
