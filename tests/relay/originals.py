"""The utilities of TVM PR #6748 as that TVM ships them, called the way its own test calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tvm
from tvm import relay
from tvm.ir import IRModule

HWNC = {"nn.conv2d": ["HWNC", "default"]}


def convert_layout(module: IRModule, layouts: Mapping[str, Sequence[str]], skip_layers: Sequence[int] = ()) -> IRModule:
    with tvm.transform.PassContext(opt_level=3), relay.transform.LayoutConfig(skip_layers=list(skip_layers)):
        return tvm.transform.Sequential([relay.transform.ConvertLayout(layouts)])(module)


def recast(
    module: IRModule, dtype: str, out_dtype: str, ops: Sequence[str] = ("nn.conv2d",), skip_layers: Sequence[int] = ()
) -> IRModule:
    result = relay.transform.recast(module, dtype, out_dtype, ops=list(ops), skip_layers=list(skip_layers))
    return relay.transform.InferType()(result)


def count_layers(module: IRModule, ops: Sequence[str]) -> int:
    return int(relay.analysis.count_layers(module, list(ops)))


def recast_layers(module: IRModule, *arguments: object, **options: object) -> list[bool]:
    """Which convolutions, in forward order, the original recasts."""
    return computing_in(recast(module, *arguments, **options))


def computing_in(module: IRModule) -> list[bool]:
    """Which convolutions, in forward order, compute in int8."""
    found: list[bool] = []

    def note(node: object) -> None:
        if isinstance(node, relay.Call) and node.op == tvm.ir.Op.get("nn.conv2d"):
            found.append(node.args[0].checked_type.dtype == "int8")

    relay.analysis.post_order_visit(module["main"], note)
    return found
