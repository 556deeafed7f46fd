"""The utilities of TVM PR #6748 on a Relay module: `count_layers`, `recast`, `LayoutConfig` around `convert_layout`.

The two kinds of `skip_layers` number layers differently, as they did there: `LayoutConfig` takes ordinals (the place
among all nn.conv2d in forward order), `recast` takes depths from the first layer (layers that stand side by side share
one). Negative entries count from the end in both. What the originals passed over without a word is an error here: an
entry beyond the last layer, an operator that the module does not have.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType

import tvm
from tvm.ir import IRModule

from corecast.actions.cast import DTYPES
from corecast.adapters.relay.layout import SKIPPABLE, ConvertLayout
from corecast.adapters.relay.names import table_name
from corecast.adapters.relay.recast import Recast
from corecast.adapters.relay.survey import survey
from corecast.lang.problems import CorecastError, Problem, nearest
from corecast.model import WEIGHTED, Layer, LayerTable, Operator, count
from corecast.recipe import ChangeDType, ChangeLayout

# The data layouts to which Relay's ConvertLayout knows a kernel layout; `default` is handed on to it.
_WITH_DEFAULT_KERNEL = {
    "nn.conv1d": ("NCW", "NWC"),
    "nn.conv2d": ("NCHW", "NHWC", "HWNC"),
    "nn.conv3d": ("NCDHW", "NDHWC"),
    "nn.conv2d_transpose": ("NCHW", "NHWC"),
}

_AXES = re.compile(r"[A-Z]+")


class UtilityError(CorecastError):
    """Arguments that do not fit the module: operators, layouts, dtypes, layers to skip."""

    @classmethod
    def of(cls, slug: str, message: str, help: str | None = None) -> UtilityError:
        return cls(Problem(slug, message, help=help))


class LayoutConfig:
    """Convolutions that `convert_layout` leaves alone inside a `with` block; of nested blocks the innermost decides.

    It holds no counter, so one object serves any number of conversions, and it is seen by its own thread or task only.
    """

    def __init__(self, skip_layers: Sequence[int] = ()) -> None:
        self.skip_layers = tuple(skip_layers)

    def __enter__(self) -> LayoutConfig:
        _CONFIGS.set((*_CONFIGS.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CONFIGS.set(_CONFIGS.get()[:-1])

    def __repr__(self) -> str:
        return f"LayoutConfig(skip_layers={list(self.skip_layers)})"


_CONFIGS: ContextVar[tuple[LayoutConfig, ...]] = ContextVar("corecast.relay.LayoutConfig", default=())


def count_layers(module: IRModule, ops: Sequence[str]) -> int:
    """The greatest number of calls of these operators on one path, all of them together.

    It is the same whatever the order of arguments, and whatever other operators stand in between.

    Raises `UtilityError`.
    """
    return count(survey(module), _known(ops)).chain


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
        ops: the operators to convert, under Relay's names.
        skip_layers: layers to leave alone, by their depth from the first layer, all listed operators counted together.

    Raises `UtilityError`.
    """
    ops = _known(ops)
    edit = ChangeDType(dtype=_dtype(dtype), accumulator=_dtype(out_dtype or dtype))
    table = survey(module)
    listed = _matched(table, ops)
    skipped = _at_depths(table, ops, skip_layers)
    for layer in listed:
        _check_castable(layer)
    edits = {layer.id: edit for layer in listed if layer.index not in skipped}
    return tvm.transform.Sequential([Recast(edits)], name="corecast")(module)


def convert_layout(module: IRModule, desired_layouts: Mapping[str, Sequence[str]]) -> IRModule:
    """Give operators other layouts, such as `{"nn.conv2d": ["HWNC", "default"]}`, under the current `LayoutConfig`.

    Args:
        module: its `main` is converted, its other functions are kept.
        desired_layouts: for each operator the layouts of its data and of its kernel. A kernel layout `default` is the
            one that Relay chooses: OIHW for NCHW, HWIO for NHWC (HWOI where depthwise), HWOI for HWNC.

    Raises `UtilityError`.
    """
    table = survey(module)
    listed = _matched(table, _known(tuple(desired_layouts)))
    for op, layouts in desired_layouts.items():
        _check_layouts(op, layouts)
    skipped = _at_ordinals(table, desired_layouts)
    wanted = {op: ChangeLayout(data=data, kernel=kernel) for op, (data, kernel) in desired_layouts.items()}
    edits = {layer.id: wanted[layer.op] for layer in listed if layer.id not in skipped}
    return tvm.transform.Sequential([ConvertLayout(edits)], name="corecast")(module)


# ── which layers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _known(ops: Sequence[str]) -> tuple[str, ...]:
    """The operators under the names of the layer table."""
    known = {str(name) for name in tvm.ir.Op.list_op_names()}
    unknown = [op for op in ops if op not in known]
    if unknown:
        message = f"Relay has no operator {' and no '.join(unknown)}"
        raise UtilityError.of("unknown-operator", message, nearest(unknown[0], known))
    return tuple(table_name(op) for op in ops)


def _matched(table: LayerTable, ops: Sequence[str]) -> list[Layer]:
    """The layers of the listed operators; to list none is no mistake, to list what nobody calls is one."""
    listed = [layer for layer in table.layers if layer.op in ops]
    if ops and not listed:
        help = f"it has {', '.join(table.by_op)}" if table.by_op else "it calls no operator at all"
        raise UtilityError.of("nothing-matched", f"the module has no {' and no '.join(ops)}", help)
    return listed


def _at_ordinals(table: LayerTable, ops: Collection[str]) -> set[str]:
    """The convolutions that the current `LayoutConfig` skips."""
    configs = _CONFIGS.get()
    if not configs or not configs[-1].skip_layers:
        return set()
    if SKIPPABLE not in ops:
        message = f"{configs[-1]} skips nothing: it counts {SKIPPABLE} only, and no layout is desired for it"
        raise UtilityError.of("unused-skip", message)
    layers = table.by_op.get(SKIPPABLE, ())
    return {layers[place].id for place in _places(configs[-1].skip_layers, len(layers), "ordinal")}


def _at_depths(table: LayerTable, ops: Collection[str], skip_layers: Sequence[int]) -> set[int]:
    """The layers to skip by their depth: how many listed ones follow on the longest path, counted from the first."""
    after = _depths(table, ops)
    first = max(after.values(), default=-1)
    wanted = set(_places(skip_layers, first + 1, "depth"))
    return {layer for layer, depth in after.items() if first - depth in wanted}


def _depths(table: LayerTable, ops: Collection[str]) -> dict[int, int]:
    """How many listed layers follow each of them on the longest path to the output; `Layer.depth` has one operator."""
    longest: dict[int, int] = {}
    depths: dict[int, int] = {}
    for layer in reversed(table.layers):
        after = max((longest[consumer] for consumer in layer.consumers), default=0)
        if layer.op in ops:
            depths[layer.index] = after
            after += 1
        longest[layer.index] = after
    return depths


def _places(entries: Sequence[int], count: int, kind: str) -> Iterator[int]:
    """The entries as places from 0 to below `count`."""
    beyond = [entry for entry in entries if not -count <= entry < count]
    if beyond:
        numbers = ", ".join(map(str, beyond))
        help = f"they run from 0 to {count - 1}, or from -{count} to -1" if count else "there is no layer to skip"
        raise UtilityError.of("skip-out-of-range", f"no layer has the {kind} {numbers} in skip_layers", help)
    return (entry % count for entry in entries)


# ── what they become ─────────────────────────────────────────────────────────────────────────────────────────────────


def _dtype(name: str) -> str:
    if name not in DTYPES:
        raise UtilityError.of("unknown-dtype", f"unknown dtype `{name}`", nearest(name, DTYPES))
    return DTYPES[name]


def _check_castable(layer: Layer) -> None:
    if len(layer.results) != 1 or not layer.operands:
        message = f"{layer.id} has {len(layer.results)} results and {len(layer.operands)} operands"
        raise UtilityError.of("not-castable", message, "only a call with one result can be recast")


def _check_layouts(op: str, layouts: Sequence[str]) -> None:
    operator = WEIGHTED.get(op)
    if operator is None or not operator.has_layout:
        message = f"{op} has no layout of its own"
        raise UtilityError.of("no-layout", message, "it takes its input's; name the convolutions")
    if isinstance(layouts, str) or len(layouts) != 2:
        raise UtilityError.of("two-layouts", f"{op} needs two layouts, of its data and of its kernel, not {layouts!r}")
    data, kernel = layouts
    _check_axes(operator, data, operator.data)
    if kernel != "default":
        _check_axes(operator, kernel, operator.kernel)
    elif data not in (known := _WITH_DEFAULT_KERNEL.get(op, ())):
        help = f"name one, or take {' or '.join(known)}" if known else "name one"
        raise UtilityError.of("no-default-kernel", f"no default kernel layout belongs to {data} for {op}", help)


def _check_axes(operator: Operator, layout: str, axes: str) -> None:
    if not _AXES.fullmatch(layout) or sorted(layout) != sorted(axes):
        message = f"{layout} is no layout for {operator.name}"
        raise UtilityError.of("unknown-layout", message, f"its axes are those of {axes}, each once and unpacked")
