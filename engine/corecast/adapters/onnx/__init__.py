"""The ONNX adapter: from an ONNX file to a layer table, and from a plan to a converted ONNX file; it needs no TVM."""

from corecast.adapters.agreement import PlanMismatchError, Realised, RealisedError, check_plan
from corecast.adapters.converted import ModelFileError, Report
from corecast.adapters.onnx.adapter import verify_models
from corecast.adapters.onnx.apply import Conversion, apply
from corecast.adapters.onnx.compile import Passes, compile_plan
from corecast.adapters.onnx.load import load
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.proof import Pair
from corecast.adapters.onnx.runtime import runner
from corecast.adapters.onnx.survey import enumerate_nodes, survey
from corecast.adapters.onnx.write import (
    Converted,
    original_of,
    read_model,
    refuse_existing,
    write_model,
)
from corecast.adapters.proof import CannotRunError
from corecast.adapters.source import ModelError, Origin
from corecast.adapters.values import check_values

__all__ = [
    "CannotRunError",
    "Conversion",
    "Converted",
    "Model",
    "ModelError",
    "ModelFileError",
    "Origin",
    "Pair",
    "Passes",
    "PlanMismatchError",
    "Realised",
    "RealisedError",
    "Report",
    "apply",
    "check_plan",
    "check_values",
    "compile_plan",
    "enumerate_nodes",
    "load",
    "original_of",
    "read_model",
    "refuse_existing",
    "runner",
    "survey",
    "verify_models",
    "write_model",
]
