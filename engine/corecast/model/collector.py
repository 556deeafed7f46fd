"""Work on a large model in, the same work with Python's cyclic collector seldom at it out.

The layers of a large model are millions of objects that are there to stay. By its own measure the collector looks
through all of them again and again, which takes up to a third of the time of planning and of converting.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# How many objects more than are gone bring about a look at the young ones, and how many such looks one at older ones.
SELDOM = (100_000, 20, 20)

_lock = Lock()
_inside = 0
_before = (0, 0, 0)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Have the collector look less often until the last one who asked for it is done; also a decorator.

    Whoever has switched it off, or has it look less often still, keeps that.
    """
    global _inside, _before
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = gc.get_threshold()
            if 0 < _before[0] < SELDOM[0]:
                gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and gc.get_threshold() == SELDOM:
                gc.set_threshold(*_before)
