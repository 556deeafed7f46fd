"""A converted module in, one without waste out: no transpose or cast twice, and no pair of them that undoes itself."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, IRModule

from corecast.adapters.relax.layout import VIEWS, added_views
from corecast.adapters.relax.passes import module_pass, rewrite
from corecast.adapters.relax.rebuild import Rebuild
from corecast.adapters.relax.tensors import dtype_of
from corecast.model import is_lossless

# The layers that may go away here, the model's own ones too.
MERGED = frozenset({"permute_dims", "astype"})


@module_pass("Cleanup")
class Cleanup:
    """Fold chains of transposes and of lossless casts, share equal ones, and drop what nobody reads."""

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        cleaned = rewrite(module, _cleanup)
        if added_views(cleaned["main"]):
            cleaned["main"] = cleaned["main"].without_attr(VIEWS)
        return cleaned

    def __str__(self) -> str:
        return "corecast.Cleanup: fold and share permute_dims and astype, drop what nobody reads"


def _cleanup(rebuild: Rebuild) -> None:
    chains: dict[Any, tuple[Any, Any]] = {}  # a transposed or cast tensor -> what it was made from, and how
    made: dict[tuple[Any, Any], Any] = {}  # and the other way round
    for line in rebuild.lines:
        call = line.value
        how = _conversion(call)
        if how is None:
            rebuild.keep(line)
            continue
        source = own = rebuild.new(call.args[0])
        while source in chains and (shorter := _compose(chains[source][1], how, dtype_of(chains[source][0].ty))):
            source, how = chains[source][0], shorter
        if _is_identity(how, source):
            rebuild.replace(line.var, source)
            continue
        known = made.get((source, how))
        if known is not None:
            rebuild.replace(line.var, known)
            continue
        if source is own and not rebuild.is_replaced(line):
            rebuild.keep(line)
            made[source, how] = line.var
        else:
            made[source, how] = rebuild.emit(_call(source, how), line.var.name)
            rebuild.replace(line.var, made[source, how])
        chains[made[source, how]] = (source, how)


# How a tensor is converted: a permutation of its axes, or the dtype it is cast to.
Conversion = tuple[int, ...] | str


def _conversion(value: Any) -> Conversion | None:
    op = value.op if type(value) is Call else None
    is_permute, is_cast = _PERMUTE.same_as(op), _CAST.same_as(op)
    if not (is_permute or is_cast) or not isinstance(value.args[0], relax.Var):
        return None
    if is_permute:
        rank = value.args[0].ty.ndim
        axes = value.attrs.axes
        return tuple([int(axis) % rank for axis in (range(rank)[::-1] if axes is None else axes[:])])
    return str(value.attrs.dtype)


_PERMUTE = tvm.ir.Op.get("relax.permute_dims")
_CAST = tvm.ir.Op.get("relax.astype")


def _compose(first: Conversion, second: Conversion, dtype: str | None) -> Conversion | None:
    """One conversion that does what two do, on a tensor of `dtype`; None where there is none."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return tuple(first[axis] for axis in second)
    if isinstance(first, str) and isinstance(second, str) and dtype and is_lossless(dtype, first):
        return second
    return None


def _is_identity(how: Conversion, source: Any) -> bool:
    return how == dtype_of(source.ty) if isinstance(how, str) else how == tuple(range(len(how)))


def _call(source: Any, how: Conversion) -> Call:
    return relax.op.astype(source, how) if isinstance(how, str) else relax.op.permute_dims(source, list(how))
