"""The Relax adapter: from a model file to a layer table, and from a plan to a converted module on disk."""

from corecast.adapters.agreement import Realised, RealisedError
from corecast.adapters.relax.apply import Conversion, apply
from corecast.adapters.relax.bundle import (
    Bundle,
    BundleError,
    Report,
    read_bundle,
    record_verification,
    refuse_existing,
    write_bundle,
)
from corecast.adapters.relax.compile import Passes, PlanMismatchError, check_plan, compile_plan
from corecast.adapters.relax.emulate import emulate, emulated_dtypes
from corecast.adapters.relax.fold import fold
from corecast.adapters.relax.from_table import build_model
from corecast.adapters.relax.functions import joined, others_of
from corecast.adapters.relax.load import load
from corecast.adapters.relax.model import Model, ModelError, Origin
from corecast.adapters.relax.observe import Observed, ObserveError, observed
from corecast.adapters.relax.pipeline import recipe_pass
from corecast.adapters.relax.prepare import prepare
from corecast.adapters.relax.softmax import before_softmax
from corecast.adapters.relax.survey import enumerate_calls, survey
from corecast.adapters.relax.utilities import LayoutConfig, UtilityError, convert_layout, count_layers, recast
from corecast.adapters.values import check_values

__all__ = [
    "Bundle",
    "BundleError",
    "Conversion",
    "LayoutConfig",
    "Model",
    "ModelError",
    "ObserveError",
    "Observed",
    "Origin",
    "Passes",
    "PlanMismatchError",
    "Realised",
    "RealisedError",
    "Report",
    "UtilityError",
    "apply",
    "before_softmax",
    "build_model",
    "check_plan",
    "check_values",
    "compile_plan",
    "convert_layout",
    "count_layers",
    "emulate",
    "emulated_dtypes",
    "enumerate_calls",
    "fold",
    "joined",
    "load",
    "observed",
    "others_of",
    "prepare",
    "read_bundle",
    "recast",
    "recipe_pass",
    "record_verification",
    "refuse_existing",
    "survey",
    "write_bundle",
]
