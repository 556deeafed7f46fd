"""The Relay adapter: from a Relay module to a layer table, and from a plan to passes for whatever TVM has Relay.

`emit` writes those passes as a script and needs no TVM. Everything else is there only where `tvm` has Relay; elsewhere
the names raise `NoRelayError`.
"""

from typing import Any

from corecast.adapters.agreement import Realised, RealisedError
from corecast.adapters.relay.emit import EmitError, emit
from corecast.adapters.source import ModelError
from corecast.adapters.toolchain import NoRelayError, has_relay

if has_relay():
    from corecast.adapters.relay.apply import Conversion, apply, realised
    from corecast.adapters.relay.bundle import Bundle, read_bundle, write_bundle
    from corecast.adapters.relay.compile import Passes, PlanMismatchError, check_plan, compile_plan
    from corecast.adapters.relay.layout import LayoutError
    from corecast.adapters.relay.model import Model, load
    from corecast.adapters.relay.records import Records
    from corecast.adapters.relay.survey import enumerate_calls, survey
    from corecast.adapters.relay.tasks import TasksError, TemplateTask, extract, lacks, missing
    from corecast.adapters.relay.tuning import target_text, tune, unmeasurable
    from corecast.adapters.relay.utilities import LayoutConfig, UtilityError, convert_layout, count_layers, recast

__all__ = [
    "Bundle",
    "Conversion",
    "EmitError",
    "LayoutConfig",
    "LayoutError",
    "Model",
    "ModelError",
    "NoRelayError",
    "Passes",
    "PlanMismatchError",
    "Realised",
    "RealisedError",
    "Records",
    "TasksError",
    "TemplateTask",
    "UtilityError",
    "apply",
    "check_plan",
    "compile_plan",
    "convert_layout",
    "count_layers",
    "emit",
    "enumerate_calls",
    "extract",
    "has_relay",
    "lacks",
    "load",
    "missing",
    "read_bundle",
    "realised",
    "recast",
    "survey",
    "target_text",
    "tune",
    "unmeasurable",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        raise NoRelayError.here()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
