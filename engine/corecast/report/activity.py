"""What a command is doing, written where it outlives the process: in memory that it shares with its supervisor.

Native code that dies takes Python with it, and nothing that it left in the process can be asked any more. What says
here that it is many layers in one (`divisible`) can then be done again layer by layer, by a process that knows what to
look out for. Where nobody supervises, nothing is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from mmap import PAGESIZE, mmap

_LENGTH = 4


@dataclass(frozen=True)
class Activity:
    """One thing that is being done, inside another one; `divisible` where it stands for many layers."""

    what: str
    divisible: bool = False


Activities = tuple[Activity, ...]


class Page:
    """Memory of this process and its children: the activities that the last writer was in, outermost first."""

    def __init__(self) -> None:
        self._memory = mmap(-1, PAGESIZE)

    def write(self, activities: Activities) -> None:
        text = _as_bytes(activities)
        # The length goes last: of a text that a crash cut off, nothing is read.
        self._memory[:_LENGTH] = bytes(_LENGTH)
        self._memory[_LENGTH : _LENGTH + len(text)] = text
        self._memory[:_LENGTH] = len(text).to_bytes(_LENGTH, "little")

    def read(self) -> Activities:
        length = int.from_bytes(self._memory[:_LENGTH], "little")
        text = self._memory[_LENGTH : _LENGTH + length]
        return tuple(Activity(*item) for item in json.loads(text)) if text else ()


def _as_bytes(activities: Activities) -> bytes:
    """Fitting into a page: without the outer activities, and without the end of a name, where they are too long."""
    items = [(item.what[:200], item.divisible) for item in activities]
    while len(text := json.dumps(items).encode()) > PAGESIZE - _LENGTH:
        items = items[1:]
    return text


@dataclass
class _Here:
    """This process: where it writes, and what it shall look into; both only where it is supervised."""

    page: Page | None = None
    suspect: Activities | None = None


_here = _Here()
# What each thread is in.
_current: ContextVar[Activities] = ContextVar("corecast.activities", default=())


def supervised(page: Page, suspect: Sequence[Activity] | None = None) -> None:
    """From now on, write down what this process does.

    Args:
        page: where.
        suspect: what killed another process: this one takes it layer by layer, and ends where it has gone well.
    """
    _here.page = page
    _current.set(())
    _here.suspect = None if suspect is None else tuple(suspect)
    page.write(())


def is_supervised() -> bool:
    """Whether this process was forked for one command."""
    return _here.page is not None


@contextmanager
def doing(what: str, *, divisible: bool = False) -> Iterator[None]:
    """Be in an activity, inside those that this process is in already."""
    before = _current.get()
    _now((*before, Activity(what, divisible)))
    try:
        yield
    finally:
        if one_by_one():
            os._exit(0)  # what was to be looked into has not killed this process: nothing of the rest is wanted
        _now(before)


def note(what: str) -> None:
    """Be in something until the next note, or until the activity around it ends: for those who are only called back."""
    _write((*_current.get(), Activity(what)))


def one_by_one() -> bool:
    """Whether this process is in what it shall take layer by layer."""
    return _current.get() == _here.suspect


def _now(activities: Activities) -> None:
    _current.set(activities)
    _write(activities)


def _write(activities: Activities) -> None:
    if _here.page is not None:
        _here.page.write(activities)
