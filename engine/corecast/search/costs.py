"""A target and a dtype in, how fast it multiplies in it out: the model of cost that a search goes by.

A layer costs its operations over the rate of its dtype. The rate is what was measured, where the table of targets has
such a number for one of the target's units; else a dtype is taken to be as many times faster than float32 as its
elements are narrower, which is what matrix units are built for. Moving data, casts and scales cost nothing in it.
"""

from __future__ import annotations

from corecast.model import dtype_bits
from corecast.model.target import Target

# The rate of float32 where nothing was measured: costs are relative then.
NOMINAL = 1.0


def rate_of(target: Target, dtype: str) -> float:
    """In 10^12 operations a second where the table has a number for this target, else relative to float32."""
    if (own := _measured(target, dtype)) is not None:
        return own
    return _float32(target) * 32 / dtype_bits(dtype)


def _float32(target: Target) -> float:
    """What float32 would come to on the units whose rates are known."""
    known = [rate * dtype_bits(dtype) / 32 for dtype in target.dtypes if (rate := _comparable(target, dtype))]
    return sum(known) / len(known) if known else NOMINAL


def _measured(target: Target, dtype: str) -> float | None:
    support = target.dtypes.get(dtype)
    rates = [unit.rate.tops for unit in support.units if unit.rate] if support else []
    return max(rates, default=None)


def _comparable(target: Target, dtype: str) -> float | None:
    """A rate that says something of other dtypes: one of code that is native."""
    return _measured(target, dtype) if target.dtypes[dtype].level == "native" else None
