"""The Relay adapter: from a Relay module to a layer table, and from a plan to passes for whatever TVM has Relay.

`emit` writes those passes as a script and needs no TVM. Everything else is there only where `tvm` has Relay; elsewhere
the names raise `NoRelayError`.
"""

from typing import Any

from corecast.adapters.relay.emit import EmitError, emit
from corecast.adapters.relay.toolchain import NoRelayError, has_relay

if has_relay():
    from corecast.adapters.relay.apply import Conversion, Realised, RealisedError, apply, realised
    from corecast.adapters.relay.compile import Passes, PlanMismatchError, check_plan, compile_plan
    from corecast.adapters.relay.layout import LayoutError
    from corecast.adapters.relay.survey import enumerate_calls, survey
    from corecast.adapters.relay.tasks import TemplateTask, extract, missing
    from corecast.adapters.relay.utilities import LayoutConfig, UtilityError, convert_layout, count_layers, recast

__all__ = [
    "Conversion",
    "EmitError",
    "LayoutConfig",
    "LayoutError",
    "NoRelayError",
    "Passes",
    "PlanMismatchError",
    "Realised",
    "RealisedError",
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
    "missing",
    "realised",
    "recast",
    "survey",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        raise NoRelayError.here()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
