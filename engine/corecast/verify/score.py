"""Labels or a user's function in, a score of outputs out: what answers are worth, and not how far they lie apart."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from corecast.lang.problems import CorecastError, Problem

Array = NDArray[np.generic]

UserMetric = Callable[[Any, Any], float]
"""From the outputs of all samples (an array; a tuple of arrays where the model has several) and the labels, None where
there are none, to a number: the higher the better."""


class ScoreError(CorecastError):
    """Labels that do not fit the outputs, or a metric that gives no number."""


@dataclass(frozen=True)
class Scorer:
    """Gives outputs a number; `name` is what it is called where it is told."""

    name: str
    score: Callable[[Sequence[Array]], float]

    def compare(self, original: Sequence[Sequence[Array]], converted: Sequence[Sequence[Array]]) -> Score:
        """What the outputs of two models for all batches are worth. Raises `ScoreError`."""
        return Score(name=self.name, original=self.score(joined(original)), converted=self.score(joined(converted)))


class Score(BaseModel):
    """What the answers of both models are worth by one scorer, and those of the disturbed model where it was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    original: float
    converted: float
    control: float | None = None

    def __str__(self) -> str:
        if not self.is_share:
            return f"{self.name}: {self.original:.6g} before, {self.converted:.6g} after"
        return f"{self.name}: {self.original:.2%} before, {self.converted:.2%} after"

    @property
    def of_control(self) -> str:
        """What the answers of the disturbed model are worth."""
        return f"{self.name} {self.control:.2%}" if self.is_share else f"{self.name} {self.control:.6g}"

    @property
    def is_share(self) -> bool:
        """Whether it can be an accuracy: both numbers lie between 0 and 1."""
        return 0 <= self.original <= 1 and 0 <= self.converted <= 1


def top1(labels: Array) -> Scorer:
    """The share of samples whose largest output is that of their label.

    Args:
        labels: whole numbers, one for each place of the first output but its last axis, which holds the classes.
    """
    if labels.dtype.kind not in "iu":
        message = f"labels are whole numbers that name classes, and these are {labels.dtype}"
        raise ScoreError(Problem("bad-labels", message, help="a metric of your own (`--metric`) takes any labels"))

    def score(outputs: Sequence[Array]) -> float:
        answers = outputs[0]
        # Classifiers often leave axes of one place behind their classes.
        flat = answers.reshape(answers.shape[:2]) if answers.ndim > 2 and set(answers.shape[2:]) == {1} else answers
        if flat.shape[:-1] != labels.shape:
            message = (
                f"the labels are {_shape(labels)}, and the first output is {_shape(answers)}: one label a row is needed"
            )
            raise ScoreError(Problem("bad-labels", message, help="give the labels of this data, in its order"))
        classes = flat.shape[-1]
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            message = f"labels from {labels.min()} to {labels.max()} for {classes} classes"
            raise ScoreError(Problem("bad-labels", message, help="classes are counted from 0"))
        return float(np.mean(np.argmax(flat.astype(np.float64), axis=-1) == labels))

    return Scorer(f"top-1 accuracy of {labels.size} labels", score)


def by_metric(name: str, metric: UserMetric, labels: Array | None) -> Scorer:
    """What a function of the user's gives for outputs and labels; it is called once for each model."""

    def score(outputs: Sequence[Array]) -> float:
        given = outputs[0] if len(outputs) == 1 else tuple(outputs)
        try:
            with redirect_stdout(sys.stderr):  # standard output is for results
                value = float(metric(given, labels))
        except (Exception, SystemExit) as error:  # of any kind: it is not our code
            message = f"the metric {name} fails: {type(error).__name__}: {error}"
            help = "it is called as `metric(outputs, labels)`, with all samples at once"
            raise ScoreError(Problem("bad-metric", message, help=help)) from error
        if not isfinite(value):
            help = "it has to give a number, the higher the better"
            raise ScoreError(Problem("bad-metric", f"the metric {name} gives {value}", help=help))
        return value

    return Scorer(name, score)


def joined(batches: Sequence[Sequence[Array]]) -> list[Array]:
    """The outputs of all batches, one after another along their first axis."""
    if len(batches) == 1:
        return list(batches[0])
    return [np.concatenate([np.atleast_1d(part) for part in parts]) for parts in zip(*batches, strict=True)]


def _shape(array: Array) -> str:
    return "x".join(map(str, array.shape)) or "a single number"
