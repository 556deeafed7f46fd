"""An error of ours raised below TVM in, the same error raised above it out, with its problems and its plan.

A pass is Python called by C++ called by Python. Between the two TVM keeps the name and the text of an exception, and
makes a new one of them (a `RuntimeError`, where nobody has registered the name), so that whoever embeds a pass could
not tell a recipe that does not fit from a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from tvm_ffi.error import register_error

from corecast.lang import CorecastError

_below: ContextVar[CorecastError | None] = ContextVar("corecast.error_below", default=None)


@register_error("corecast.Crossing")
class Crossing(Exception):  # noqa: N818
    """Stands for the error while TVM has it; TVM makes it anew from its text, and gets the error itself."""

    def __new__(cls, text: str) -> Any:
        error = _below.get()
        if error is None or str(error) != text:
            return RuntimeError(text)
        _below.set(None)
        return error

    @classmethod
    def of(cls, error: CorecastError) -> Crossing:
        """What to raise into TVM in place of an error."""
        _below.set(error)
        return super().__new__(cls, str(error))


def crossing(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that TVM calls, with its errors of ours coming out above TVM as they are."""

    @wraps(method)
    def called(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except CorecastError as error:
            raise Crossing.of(error) from error

    return called
