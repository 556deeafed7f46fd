"""Relay's operators and the names that recipes have for them; a plan made for one IR reads like that for another."""

from __future__ import annotations

import re

# Where Relay and Relax call one operator differently, recipes use the name of Relax.
_TABLE_NAMES = {
    "cast": "astype",
    "concatenate": "concat",
    "nn.leaky_relu": "nn.leakyrelu",
    "nn.matmul": "matmul",
    "transpose": "permute_dims",
}
_RELAY_NAMES = {table: relay for relay, table in _TABLE_NAMES.items()}

# Calls on a weight that only change its form: they run once, and are no layers.
WEIGHT_PREPARATION = frozenset(
    ("transpose", "cast", "reshape", "expand_dims", "squeeze", "broadcast_to", "layout_transform")
)


def table_name(relay_op: str) -> str:
    """`concatenate` -> `concat`."""
    return _TABLE_NAMES.get(relay_op, relay_op)


def relay_name(op: str) -> str:
    """`concat` -> `concatenate`."""
    return _RELAY_NAMES.get(op, op)


def constant_name(number: int) -> str:
    """What the layer table calls a weight that is a constant of the module: Relay has no name for it."""
    return f"constant{number}"


def is_constant_name(parameter: str) -> bool:
    return re.fullmatch(r"constant\d+", parameter) is not None
