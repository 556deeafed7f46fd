"""Plans: which layers a recipe selects, what it decides about them, why, and what that will cost. No IR in here."""

from corecast.plan.decide import PlanError, plan, trial
from corecast.plan.describe import at_run_time, describe, predicted, size_in_memory
from corecast.plan.diff import PlanDiff, diff
from corecast.plan.explain import Explanation, explain
from corecast.plan.file import PlanFileError, format_plan, parse_plan, read_plan
from corecast.plan.ids import compress
from corecast.plan.names import Named, Names, format_names, names
from corecast.plan.plan import Decision, Plan, PlannedLayer, Prediction, RequestOutcome, RuleOutcome
from corecast.plan.progress import OnProgress, Progress, Steps
from corecast.plan.select import Selection

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
