"""Relax modules, and what TVM imports as one, through the door that all adapters come through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tvm

from corecast.adapters.agreement import Realised
from corecast.adapters.door import Adapter
from corecast.adapters.relax.apply import Conversion, apply, realised
from corecast.adapters.relax.bundle import refuse_existing, write_bundle
from corecast.adapters.relax.compile import compile_plan
from corecast.adapters.relax.functions import others_of
from corecast.adapters.relax.load import load
from corecast.adapters.relax.model import MAIN, Model
from corecast.adapters.relax.prepare import prepare
from corecast.adapters.relax.survey import survey
from corecast.adapters.values import check_values
from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.quantization import Calibration


class RelaxAdapter(Adapter[Model]):
    """From what TVM imports to a bundle; its models are prepared ones."""

    ir: ClassVar[str] = "relax"
    options: ClassVar[frozenset[str]] = frozenset({"weights", "shapes", "function"})

    def load(self, path: str, **options: Any) -> Model:
        return prepare(load(path, **options))

    def survey(self, model: Model) -> LayerTable:
        return survey(model)

    def compile(self, plan: Plan) -> list[OnModule]:
        return [OnModule(step) for step in compile_plan(plan)]

    def apply(self, plan: Plan, model: Model, calibration: Calibration | None = None) -> Conversion:
        return apply(plan, model, calibration)

    def realised(self, plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
        return realised(plan, before, after)

    def notes(self, model: Model) -> list[str]:
        if not (others := others_of(model)):
            return []
        told = f"`--function NAME` takes another than `{model.function}`"
        return [f"left as they are: {', '.join(others)}; {told}"]

    def warnings(self, model: Model, table: LayerTable, plan: Plan | None = None) -> list[Problem]:
        return check_values(model, table, plan)

    def write(self, conversion: Conversion, path: Path) -> None:
        write_bundle(conversion, path)

    def refuse_existing(self, path: Path) -> None:
        refuse_existing(path)


@dataclass(frozen=True)
class OnModule:
    """A pass of TVM's on a model; what it does to weights stays in the module, as operators that read them."""

    step: tvm.transform.Pass

    @property
    def name(self) -> str:
        return str(self.step.info.name)

    def __call__(self, model: Model) -> Model:
        return model.with_main(self.step(model.module)[MAIN], model.parameters)

    def __str__(self) -> str:
        return str(self.step)
