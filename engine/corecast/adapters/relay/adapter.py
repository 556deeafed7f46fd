"""Relay modules through the door that all adapters come through, where TVM has Relay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import tvm

from corecast.adapters.agreement import Realised, refuse_padded, refuse_quantized
from corecast.adapters.bundle import refuse_existing
from corecast.adapters.door import Adapter, Conversion
from corecast.adapters.relay.apply import Conversion as OfModules
from corecast.adapters.relay.apply import apply, realised
from corecast.adapters.relay.bundle import write_bundle
from corecast.adapters.relay.compile import compile_plan
from corecast.adapters.relay.model import Model, load
from corecast.adapters.relay.survey import survey
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.quantization import Calibration


class RelayAdapter(Adapter[Model]):
    """From a Relay module to a bundle."""

    ir: ClassVar[str] = "relay"
    options: ClassVar[frozenset[str]] = frozenset({"weights", "shapes", "function"})

    def load(self, path: str, **options: Any) -> Model:
        return load(path, **options)

    def survey(self, model: Model) -> LayerTable:
        return survey(model)

    def compile(self, plan: Plan) -> list[OnModule]:
        return [OnModule(step) for step in compile_plan(plan)]

    def apply(self, plan: Plan, model: Model, calibration: Calibration | None = None) -> Conversion[Model]:  # noqa: ARG002
        refuse_quantized(plan, self.ir)
        refuse_padded(plan, self.ir)
        done = apply(plan, model)
        converted = replace(model, module=done.converted)
        return Conversion(plan, model, converted, done.before, done.after, done.realised, done.warnings)

    def realised(self, plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
        return realised(plan, before, after)

    def write(self, conversion: Conversion[Model], path: Path) -> None:
        modules = conversion.original.module, conversion.converted.module
        tables = conversion.before, conversion.after
        origin = conversion.original.origin
        write_bundle(OfModules(conversion.plan, *modules, *tables, conversion.realised, origin), path)

    def refuse_existing(self, path: Path) -> None:
        refuse_existing(path)


@dataclass(frozen=True)
class OnModule:
    """A pass of TVM's on a model."""

    step: tvm.transform.Pass

    @property
    def name(self) -> str:
        return str(self.step.info.name)

    def __call__(self, model: Model) -> Model:
        return replace(model, module=self.step(model.module))

    def __str__(self) -> str:
        return str(self.step)
