"""One thread at a time where TVM builds functions: its `BlockBuilder` keeps those at work in a list of the class.

Two threads in it fail each other's assertions. Whoever opens a function of a builder, or calls a frontend of TVM, which
does, holds this lock; everything else in the adapter may run in as many threads as one likes.
"""

from __future__ import annotations

from threading import RLock

ONE_BUILDER = RLock()
