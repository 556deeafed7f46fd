"""A call's attributes and changes in, new attributes out."""

from __future__ import annotations

from typing import Any

import tvm


def with_attributes(attributes: Any, **changes: Any) -> Any:
    """The same kind of attributes with some fields changed; TVM's own are immutable."""
    info = type(attributes).__tvm_ffi_type_info__
    fields = {field.name: getattr(attributes, field.name) for field in info.fields}
    return tvm.ir.make_node(info.type_key, **{**fields, **changes})
