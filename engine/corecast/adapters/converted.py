"""A conversion in, the texts by which its file says what it is out; and from such a file back to both models.

An adapter keeps the texts wherever its format has room for some, so that a converted file can be checked wherever it
goes: `corecast.plan` is the plan as YAML, `corecast.report` the rest as JSON.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from corecast.adapters.agreement import Realised
from corecast.adapters.bundle import corecast_version
from corecast.adapters.source import Origin
from corecast.lang.problems import CorecastError, Problem
from corecast.model import LayerTable
from corecast.model.files import FormatVersion, first_objection
from corecast.model.record import Record
from corecast.plan import Plan, Prediction, format_plan
from corecast.plan.file import parse_plan

PLAN, REPORT = "corecast.plan", "corecast.report"

M = TypeVar("M")


class ModelFileError(CorecastError):
    """A file that was not written by corecast, or that stands where one should be written."""


class Report(Record):
    """What a converted file says of itself beside its plan; the path of `origin` starts from the folder it lies in."""

    corecast_model: FormatVersion = 1
    corecast: str
    ir: str
    model: str
    fingerprint: str
    origin: Origin | None
    predicted: Prediction
    realised: Realised


@dataclass(frozen=True)
class Conversion(Generic[M]):
    """A model before and after a plan was carried out, and what its reader should know of its weights.

    `origin` says where the original was loaded from, and reads all of it to know its digest.
    """

    plan: Plan
    original: M
    converted: M
    before: LayerTable
    after: LayerTable
    realised: Realised
    warnings: tuple[Problem, ...] = ()
    origin: Callable[[], Origin] | None = None

    def told(self, path: Path) -> dict[str, str]:
        """The texts for a file at `path`."""
        origin = self.origin() if self.origin else None
        if origin:
            place = os.path.relpath(Path(origin.path).resolve(), path.parent.resolve())
            origin = origin.model_copy(update={"path": Path(place).as_posix()})
        report = Report(
            corecast=corecast_version(),
            ir=self.before.ir,
            model=self.before.model,
            fingerprint=self.before.fingerprint,
            origin=origin,
            predicted=self.plan.predicted,
            realised=self.realised,
        )
        return {PLAN: format_plan(self.plan), REPORT: report.model_dump_json()}


@dataclass(frozen=True)
class Converted(Generic[M]):
    """A converted model that was read: the plan that it was made by, and its report."""

    path: Path
    plan: Plan
    model: M
    report: Report

    @classmethod
    def of(cls, path: Path, model: M, told: Mapping[str, str]) -> Converted[M]:
        """A model with the texts of its file. Raises `ModelFileError` and `PlanFileError` where they are not whole."""
        if PLAN not in told or REPORT not in told:
            message = f"{path} does not say what it was converted from: corecast did not write it"
            help = f"make one with `corecast apply RULES MODEL -o OUT{path.suffix}`"
            raise ModelFileError(Problem("not-converted", message, help=help))
        plan = parse_plan(told[PLAN], f"the plan in {path}")
        try:
            return cls(path, plan, model, Report.model_validate_json(told[REPORT]))
        except ValidationError as error:
            message = f"what {path} says of its conversion is damaged: {first_objection(error)}"
            raise ModelFileError(Problem("damaged-report", message, help="make it anew")) from error

    def load_original(
        self, load: Callable[..., M], origin_of: Callable[..., Origin], path: str | Path | None = None
    ) -> M:
        """Load the model that this one was made from, with the options that were used.

        Args:
            load, origin_of: an adapter's, from a path and options to a model and to where it came from.
            path: where the original lies now, if it was moved.

        Raises:
            ModelFileError: where the report does not say, or where the file is another one.
            ModelError: where the file cannot be read.
        """
        origin = self.report.origin
        if origin is None:
            message = f"{self.path} does not say where its original lies"
            help = "it was converted in memory; compare the two there, with `corecast.adapters.proof.verify_models`"
            raise ModelFileError(Problem("no-original", message, help=help))
        place = str(path if path is not None else self.path.parent / origin.path)
        given: dict[str, Any] = {"weights": origin.weights, "shapes": origin.shapes, "function": origin.function}
        options = {name: value for name, value in given.items() if value is not None}
        model = load(place, **options)
        if origin_of(place, **options).sha256 != origin.sha256:
            message = f"{place} is not the file that {self.path} was made from"
            help = f"its digest should be {origin.sha256}"
            raise ModelFileError(Problem("another-original", message, help=help))
        return model
