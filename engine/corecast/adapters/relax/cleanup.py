"""A converted module in, one without waste out: no transpose or cast twice, and no pair of them that undoes itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, IRModule

from corecast.adapters.relax.layout import VIEWS, added_views
from corecast.adapters.relax.passes import module_pass, rewrite
from corecast.adapters.relax.rebuild import Rebuild, reads
from corecast.adapters.relax.tensors import dtype_of, plain_type
from corecast.model import is_lossless
from corecast.model.orders import moves

# The layers that may go away here, the model's own ones too.
MERGED = frozenset({"permute_dims", "astype"})


@module_pass("Cleanup")
class Cleanup:
    """Fold chains of transposes and of lossless casts, share equal ones, transpose before a cast that is undone behind,
    and drop what nobody reads.
    """

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        cleaned = rewrite(module, _cleanup)
        if added_views(cleaned["main"]):
            cleaned["main"] = cleaned["main"].without_attr(VIEWS)
        return cleaned

    def __str__(self) -> str:
        return "corecast.Cleanup: fold and share permute_dims and astype, drop what nobody reads"


def _cleanup(rebuild: Rebuild) -> None:
    narrow = _transposed_for(rebuild)
    chains: dict[Any, tuple[Any, Any]] = {}  # a transposed or cast tensor -> what it was made from, and how
    made: dict[tuple[Any, Any], Any] = {}  # and the other way round
    wide: dict[Any, tuple[Any, tuple[int, ...]]] = {}  # an old transpose that is there before its cast -> as it was
    for line in rebuild.lines:
        call = line.value
        how = _conversion(call)
        if how is None:
            rebuild.keep(line)
            continue
        source = own = rebuild.new(call.args[0])
        if isinstance(how, tuple) and call.args[0] in wide:
            source, first = wide[call.args[0]]
            how = tuple(first[axis] for axis in how)
        while source in chains and (shorter := _compose(chains[source][1], how, dtype_of(chains[source][0].ty))):
            source, how = chains[source][0], shorter
        if isinstance(how, tuple):
            before = _before_cast(source, how, narrow.get(line.var), chains)
            if before is not source:
                wide[line.var] = source, how
                source = before
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


def _transposed_for(rebuild: Rebuild) -> dict[Any, str]:
    """The transposes that everybody reads in one other dtype, with that dtype; several that do the same are one."""
    group: dict[Any, tuple[Any, tuple[int, ...]]] = {}
    wanted: defaultdict[tuple[Any, tuple[int, ...]], set[str | None]] = defaultdict(set)
    for line in rebuild.lines:
        how = _conversion(line.value)
        if isinstance(how, tuple):
            source, order = group.get(line.value.args[0], (line.value.args[0], tuple(range(len(how)))))
            group[line.var] = source, tuple(order[axis] for axis in how)
            continue
        for leaf in line.leaves:
            if leaf in group:
                wanted[group[leaf]].add(how)
    for leaf in reads(rebuild.model.main.body.body):
        if leaf in group:
            wanted[group[leaf]].add(None)
    alike = {key: dtypes.pop() for key, dtypes in wanted.items() if len(dtypes) == 1}
    return {var: dtype for var, key in group.items() if (dtype := alike.get(key))}


def _before_cast(source: Any, how: tuple[int, ...], dtype: str | None, chains: Mapping[Any, tuple[Any, Any]]) -> Any:
    """What a tensor was made from by a lossless cast, if everybody reads a transpose of that; else itself."""
    cast = chains.get(source)
    if dtype is None or cast is None or not isinstance(cast[1], str) or dtype_of(cast[0].ty) != dtype:
        return source
    return cast[0] if is_lossless(dtype, cast[1]) and moves(how, plain_type(source.ty).shape) else source


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
