"""A kernel in, code for it out, from a family of schedules that somebody wrote: its knobs, a first guess, the code.

A family comes through the entry point group `corecast.schedules`, ours too. What one is, `family.py` says; which of
them takes a kernel, `find.py`; how its code gets into a module, `placed.py`.
"""

from corecast.backends.schedules.family import Emitted, Family, Knob, Knobs, ScheduleError, checked, emitted, points
from corecast.backends.schedules.find import families, family_for, find_family
from corecast.backends.schedules.placed import placed

__all__ = [
    "Emitted",
    "Family",
    "Knob",
    "Knobs",
    "ScheduleError",
    "checked",
    "emitted",
    "families",
    "family_for",
    "find_family",
    "placed",
    "points",
]
