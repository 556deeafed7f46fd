"""A failing recipe in, the decisions that break it out, and the recipe with exceptions for them. No IR in here."""

from corecast.bisect.bisection import Bisection, LeftOut, Measure, Probe, Ranked, bisect
from corecast.bisect.changes import Change, changes, without
from corecast.bisect.exceptions import ExceptionsError, exceptions, with_exceptions

__all__ = [
    "Bisection",
    "Change",
    "ExceptionsError",
    "LeftOut",
    "Measure",
    "Probe",
    "Ranked",
    "bisect",
    "changes",
    "exceptions",
    "with_exceptions",
    "without",
]
