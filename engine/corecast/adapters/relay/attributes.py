"""A call's attributes and changes in, new attributes out."""

from __future__ import annotations

from typing import Any

import tvm


def with_attributes(attributes: Any, **changes: Any) -> Any:
    """The same kind of attributes with some fields changed; Relay's own are immutable."""
    fields = {str(key): attributes[key] for key in attributes.keys()}  # noqa: SIM118  # not a dict
    return tvm.ir.make_node(f"relay.attrs.{type(attributes).__name__}", **{**fields, **changes})
