"""What a word may be, out of the annotation of the function behind it: `Natural | None` is None and whole numbers."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from corecast.lint.values import ALL, LISTS, NONE, NUMBERS, TEXTS, TRUTHS, Values, between, exactly
from corecast.recipe import Within

_PLAIN = {bool: TRUTHS, float: NUMBERS, str: TEXTS, type(None): NONE, tuple: LISTS}
_WHOLE = Values(numbers=NUMBERS.numbers, whole=True)


@cache
def returned(function: Callable[..., Any]) -> Values:
    """The values that a function says it returns; all of them where it says nothing."""
    return _values(get_type_hints(function, include_extras=True).get("return", Any))


def _values(hint: Any) -> Values:
    origin = get_origin(hint)
    if origin is Annotated:
        kind, *others = get_args(hint)
        values = _values(kind)
        for other in others:
            if isinstance(other, Within):
                values &= between(other.low, other.high)
        return values
    if origin in (Union, types.UnionType):
        return _any(map(_values, get_args(hint)))
    if origin is Literal:
        return _any(map(exactly, get_args(hint)))
    if hint is int:
        return _WHOLE
    return _PLAIN.get(origin or hint, ALL)


def _any(parts: Any) -> Values:
    found = Values()
    for part in parts:
        found |= part
    return found
