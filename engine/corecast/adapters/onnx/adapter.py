"""ONNX files as they are, through the door that all adapters come through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from corecast.adapters import proof
from corecast.adapters.agreement import Realised, refuse_padded
from corecast.adapters.door import Adapter
from corecast.adapters.onnx.apply import Conversion, apply, realised
from corecast.adapters.onnx.compile import Passes, compile_plan
from corecast.adapters.onnx.load import load, origin_of
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.observe import errors_of_layers, observed
from corecast.adapters.onnx.proof import Pair, with_weights
from corecast.adapters.onnx.runtime import runner
from corecast.adapters.onnx.survey import survey
from corecast.adapters.onnx.write import refuse_existing, told, write_model
from corecast.adapters.proof import Change, Observed, Run
from corecast.adapters.source import Origin
from corecast.adapters.values import check_values
from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.quantization import Calibration
from corecast.verify import Evidence, LayerError, Verification
from corecast.verify.evidence import Batch


class OnnxAdapter(Adapter[Model]):
    """From ONNX to ONNX, without TVM."""

    ir: ClassVar[str] = "onnx"
    options: ClassVar[frozenset[str]] = frozenset({"weights", "shapes"})

    def load(self, path: str, **options: Any) -> Model:
        return load(path, **options)

    def survey(self, model: Model) -> LayerTable:
        return survey(model)

    def compile(self, plan: Plan) -> Passes:
        return compile_plan(plan)

    def apply(self, plan: Plan, model: Model, calibration: Calibration | None = None) -> Conversion:
        refuse_padded(plan, self.ir)
        return apply(plan, model, calibration)

    def realised(self, plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
        return realised(plan, before, after)

    def warnings(self, model: Model, table: LayerTable, plan: Plan | None = None) -> list[Problem]:
        return check_values(model, table, plan)

    def write(self, conversion: Conversion, path: Path) -> None:
        write_model(conversion, path)

    def refuse_existing(self, path: Path) -> None:
        refuse_existing(path)

    def origin(self, path: str, **options: Any) -> Origin:
        return origin_of(path, **options)

    def told(self, model: Model) -> dict[str, str]:
        return told(model)

    def runner(self, model: Model) -> Run:
        return runner(model)

    def with_weights(self, model: Model, changes: Mapping[str, Change]) -> Model:
        return with_weights(model, changes)

    def compared(self, original: Model, converted: Model, *, whole: bool = False) -> Pair:
        return Pair.of(original, converted, whole=whole)

    def observed(self, model: Model, values: Iterable[str]) -> Observed:
        return observed(model, values)

    def errors_of_layers(
        self, plan: Plan, original: Model, converted: Model, batches: Iterable[Batch]
    ) -> tuple[LayerError, ...]:
        return errors_of_layers(plan, original, converted, batches)


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
    """What `corecast.adapters.proof.verify_models` says of two ONNX models.

    Short floats are carried in float32 and rounded after each node (`emulate`).
    """
    adapter = OnnxAdapter()
    return proof.verify_models(adapter, plan, original, converted, seed, evidence=evidence, whole=whole, layers=layers)
