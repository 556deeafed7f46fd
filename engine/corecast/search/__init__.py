"""A model, a target and a budget in, the cheapest dtype of each layer out, and rules that say so. No IR in here."""

from corecast.search.candidates import Candidate, Candidates, RequestError, candidates
from corecast.search.costs import rate_of
from corecast.search.search import BudgetError, Chosen, Found, Sensitivity, Tried, search
from corecast.search.text import rules_of

__all__ = [
    "BudgetError",
    "Candidate",
    "Candidates",
    "Chosen",
    "Found",
    "RequestError",
    "Sensitivity",
    "Tried",
    "candidates",
    "rate_of",
    "rules_of",
    "search",
]
