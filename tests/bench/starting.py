"""Pieces of code in, the processor time that a fresh Python takes for each out, less what one takes for nothing."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Sequence

# Where this is installed, as the tests need it, lark compares all terminals of a grammar with each other.
_AS_USERS_HAVE_IT = "import sys\nsys.modules['interegular'] = None\n"


def starting(codes: Sequence[str], runs: int) -> list[list[float]]:
    """Seconds of each code in so many processes, in turn; the first process of each is thrown away, as it compiles."""
    seconds: list[list[float]] = [[] for _ in codes]
    for number in range(runs + 1):
        nothing = _seconds("")
        for code, found in zip(codes, seconds, strict=True):
            took = _seconds(code) - nothing
            if number:
                found.append(took)
    return seconds


def _seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", _AS_USERS_HAVE_IT + code], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
