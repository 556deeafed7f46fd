"""The utilities of TVM PR #6748 on a Relax module: `count_layers`, `recast`, `LayoutConfig` around `convert_layout`.

Which layers their numbers mean, and what is an error, `corecast.adapters.origin` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tvm
from tvm.ir import IRModule

from corecast.actions.layout import uncompiled
from corecast.adapters.origin import (
    LayoutConfig,
    UtilityError,
    layout_edits,
    longest_chain,
    recast_edits,
    with_named_kernels,
)
from corecast.adapters.relax.cleanup import Cleanup
from corecast.adapters.relax.layout import ConvertLayout
from corecast.adapters.relax.recast import Recast
from corecast.adapters.relax.survey import survey
from corecast.model import WEIGHTED

__all__ = ["LayoutConfig", "UtilityError", "convert_layout", "count_layers", "recast"]


def count_layers(module: IRModule, ops: Sequence[str]) -> int:
    """The greatest number of calls of these operators on one path, all of them together.

    It is the same whatever the order of arguments and whatever stands in between. Raises `UtilityError`.
    """
    return longest_chain(survey(module), ops, _operators())


def recast(
    module: IRModule,
    dtype: str,
    out_dtype: str,
    ops: Sequence[str] = ("nn.conv2d",),
    skip_layers: Sequence[int] = (),
) -> IRModule:
    """Compute the listed operators in another dtype; what comes in is cast, and what goes out is cast back.

    Args:
        module: its `main` is converted, its other functions are kept.
        dtype: of the operands. Values are cast hard, towards zero and without a scale.
        out_dtype: of the result before it is cast back, for operators that can choose; "" follows the operands.
        ops: the operators to convert.
        skip_layers: layers to leave alone, by their depth from the first layer, all listed operators counted together.

    Raises `UtilityError`.
    """
    return _applied(module, Recast(recast_edits(survey(module), dtype, out_dtype, ops, skip_layers, _operators())))


def convert_layout(module: IRModule, desired_layouts: Mapping[str, Sequence[str]]) -> IRModule:
    """Give operators other layouts, such as `{"nn.conv2d": ["HWNC", "default"]}`, under the current `LayoutConfig`.

    Args:
        module: its `main` is converted, its other functions are kept.
        desired_layouts: for each operator the layouts of its data and of its kernel. A kernel layout `default` is the
            one that Relay chose: OIHW for NCHW, HWIO for NHWC (HWOI where depthwise), HWOI for HWNC.

    Raises `UtilityError`.
    """
    table = survey(module)
    edits = with_named_kernels(table, layout_edits(table, desired_layouts, _operators()))
    for key, edit in edits.items():
        if obstacle := uncompiled(table.by_id[key], edit.data, edit.kernel):
            message = f"{key} cannot have the layouts {edit.data}, {edit.kernel}: {obstacle}"
            raise UtilityError.of("not-compiled", message, "leave it out of the desired layouts")
    return _applied(module, ConvertLayout(edits))


def _applied(module: IRModule, change: tvm.transform.Pass) -> IRModule:
    return tvm.transform.Sequential([change, Cleanup()], name="corecast")(module)


def _operators() -> dict[str, str]:
    """Relax's operators; the layer table has their names, and some for calls that Relax has no single operator for."""
    names = {name.removeprefix("relax.") for name in tvm.ir.Op.list_op_names() if name.startswith("relax.")}
    return {name: name for name in names | WEIGHTED.keys()}
