"""ONNX files as they are, through the door that all adapters come through."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from corecast.adapters.agreement import refuse_quantized
from corecast.adapters.door import Adapter
from corecast.adapters.onnx.apply import Conversion, apply
from corecast.adapters.onnx.compile import Passes, compile_plan
from corecast.adapters.onnx.load import load
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.survey import survey
from corecast.adapters.onnx.write import refuse_existing, write_model
from corecast.adapters.values import check_values
from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.quantization import Calibration


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

    def apply(self, plan: Plan, model: Model, calibration: Calibration | None = None) -> Conversion:  # noqa: ARG002
        refuse_quantized(plan, self.ir)
        return apply(plan, model)

    def warnings(self, model: Model, table: LayerTable, plan: Plan) -> list[Problem]:
        return check_values(model, table, plan)

    def write(self, conversion: Conversion, path: Path) -> None:
        write_model(conversion, path)

    def refuse_existing(self, path: Path) -> None:
        refuse_existing(path)
