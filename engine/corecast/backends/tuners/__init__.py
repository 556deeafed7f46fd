"""A kernel and a budget in, candidates for it out, measured one after another: the tuners, behind one door.

A tuner comes through the entry point group `corecast.tuners`, ours too. What one is, `tuner.py` says; which of them
takes a kernel, `find.py`. A tuner only searches: whether a schedule is right, faster and worth a record is decided in
`corecast.backends.tuning`, in the same way for all of them.
"""

from corecast.backends.tuners.find import find_tuner, tuner_for, tuners
from corecast.backends.tuners.tuner import Job, SearchOver, Tuner, TunerError

__all__ = ["Job", "SearchOver", "Tuner", "TunerError", "find_tuner", "tuner_for", "tuners"]
