"""Plans: which layers a recipe selects, what it decides about them, why, and what that will cost. No IR in here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from corecast.plan.decide import PlanError, plan, trial
from corecast.plan.describe import at_run_time, describe, predicted, size_in_memory
from corecast.plan.diff import PlanDiff, diff
from corecast.plan.explain import Explanation, explain
from corecast.plan.ids import compress
from corecast.plan.names import Named, Names, format_names, names
from corecast.plan.plan import Decision, Plan, PlannedLayer, Prediction, RequestOutcome, RuleOutcome
from corecast.plan.progress import OnProgress, Progress, Steps
from corecast.plan.select import Selection

if TYPE_CHECKING:
    from corecast.plan.file import PlanFileError, format_plan, parse_plan, read_plan

__all__ = [
    "Decision",
    "Explanation",
    "Named",
    "Names",
    "OnProgress",
    "Plan",
    "PlanDiff",
    "PlanError",
    "PlanFileError",
    "PlannedLayer",
    "Prediction",
    "Progress",
    "RequestOutcome",
    "RuleOutcome",
    "Selection",
    "Steps",
    "at_run_time",
    "compress",
    "describe",
    "diff",
    "explain",
    "format_names",
    "format_plan",
    "names",
    "parse_plan",
    "plan",
    "predicted",
    "read_plan",
    "size_in_memory",
    "trial",
]

_IN_FILES = ("PlanFileError", "format_plan", "parse_plan", "read_plan")


def __getattr__(name: str) -> Any:
    """Plans as files are imported when they are asked for, and YAML with them."""
    if name not in _IN_FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("corecast.plan.file"), name)
