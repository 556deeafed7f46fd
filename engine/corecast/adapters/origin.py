"""A layer table and the arguments of TVM PR #6748's utilities in, edits by layer out; it knows no IR and needs no TVM.

The two kinds of `skip_layers` number layers differently, as they did there: `LayoutConfig` takes ordinals (the place
among all nn.conv2d in the table's order), `recast` takes depths from the first layer (layers that stand side by side
share one). Negative entries count from the end in both. What the originals passed over without a word is an error here:
an entry beyond the last layer, an operator that the module does not have.

Operators come under the names of their IR; `known_operators` says which there are, and what the layer table calls each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType

from corecast.actions.cast import DTYPES
from corecast.lang.problems import CorecastError, Problem, nearest
from corecast.model import WEIGHTED, Layer, LayerTable, Operator, count
from corecast.recipe import ChangeDType, ChangeLayout

# The operator whose layers LayoutConfig counts and can skip; no other one asked the original (but for its deformable
# sibling, which has no layout to change here).
SKIPPABLE = "nn.conv2d"

# What `default` stands for as a kernel layout in Relay's ConvertLayout. A recipe's own choice (DEFAULT_KERNELS) is what
# today's kernels take, which for NHWC is another.
_ORIGINAL_KERNELS = {
    "nn.conv1d": {"NCW": "OIW", "NWC": "WIO"},
    "nn.conv2d": {"NCHW": "OIHW", "NHWC": "HWIO", "HWNC": "HWOI"},
    "nn.conv3d": {"NCDHW": "OIDHW", "NDHWC": "DHWIO"},
    "nn.conv2d_transpose": {"NCHW": "IOHW", "NHWC": "HWIO"},
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


_CONFIGS: ContextVar[tuple[LayoutConfig, ...]] = ContextVar("corecast.LayoutConfig", default=())


def longest_chain(table: LayerTable, ops: Sequence[str], known_operators: Mapping[str, str]) -> int:
    """The greatest number of calls of these operators on one path, all of them together. Raises `UtilityError`."""
    return count(table, _names(table, ops, known_operators)).chain


def layout_edits(
    table: LayerTable, desired_layouts: Mapping[str, Sequence[str]], known_operators: Mapping[str, str]
) -> dict[str, ChangeLayout]:
    """What the layers become that the current `LayoutConfig` does not skip, by id; a kernel `default` stays one.

    Args:
        table: of the module as it is.
        desired_layouts: for each operator the layouts of its data and of its kernel, which may be `default`.
        known_operators: the operators of the IR, each with its name in the layer table.

    Raises `UtilityError`.
    """
    names = _names(table, tuple(desired_layouts), known_operators)
    wanted = dict(zip(names, desired_layouts.values(), strict=True))
    listed = _matched(table, names)
    for op, layouts in wanted.items():
        _check_layouts(op, layouts)
    skipped = _at_ordinals(table, names)
    edits = {op: ChangeLayout(data=data, kernel=kernel) for op, (data, kernel) in wanted.items()}
    return {layer.id: edits[layer.op] for layer in listed if layer.id not in skipped}


def with_named_kernels(table: LayerTable, edits: Mapping[str, ChangeLayout]) -> dict[str, ChangeLayout]:
    """The edits with each kernel layout `default` replaced by the one that Relay's ConvertLayout chooses.

    Relay itself is handed the `default`: with names, depthwise layers and others would be converted in two runs.
    """
    return {layer: _named(table.by_id[layer], edit) for layer, edit in edits.items()}


def recast_edits(
    table: LayerTable,
    dtype: str,
    out_dtype: str,
    ops: Sequence[str],
    skip_layers: Sequence[int],
    known_operators: Mapping[str, str],
) -> dict[str, ChangeDType]:
    """The dtypes of the layers of the listed operators that are not at one of the depths to skip, by id.

    Args:
        table: of the module as it is.
        dtype: of the operands.
        out_dtype: of the result; "" follows the operands.
        ops: the operators to convert.
        skip_layers: depths from the first layer, all listed operators counted together.
        known_operators: the operators of the IR, each with its name in the layer table.

    Raises `UtilityError`.
    """
    names = _names(table, ops, known_operators)
    edit = ChangeDType(dtype=_dtype(dtype), accumulator=_dtype(out_dtype or dtype))
    listed = _matched(table, names)
    skipped = _at_depths(table, names, skip_layers)
    for layer in listed:
        _check_castable(layer)
    return {layer.id: edit for layer in listed if layer.index not in skipped}


# ── which layers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _names(table: LayerTable, ops: Sequence[str], known_operators: Mapping[str, str]) -> tuple[str, ...]:
    """The operators under the names of the layer table."""
    unknown = [op for op in ops if op not in known_operators]
    if unknown:
        message = f"{table.ir.capitalize()} has no operator {' and no '.join(unknown)}"
        raise UtilityError.of("unknown-operator", message, nearest(unknown[0], known_operators))
    return tuple(known_operators[op] for op in ops)


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
    elif data not in (known := _ORIGINAL_KERNELS.get(op, {})):
        help = f"name one, or take {' or '.join(known)}" if known else "name one"
        raise UtilityError.of("no-default-kernel", f"no default kernel layout belongs to {data} for {op}", help)


def _check_axes(operator: Operator, layout: str, axes: str) -> None:
    if not _AXES.fullmatch(layout) or sorted(layout) != sorted(axes):
        message = f"{layout} is no layout for {operator.name}"
        raise UtilityError.of("unknown-layout", message, f"its axes are those of {axes}, each once and unpacked")
    if operator.misorders(layout):
        message = f"TVM would compute something else for {operator.name} in {layout}"
        raise UtilityError.of("unknown-layout", message, "D, H and W must stand in this order")


def _named(layer: Layer, edit: ChangeLayout) -> ChangeLayout:
    kernel = _default_kernel(layer, edit.data) if edit.kernel == "default" else edit.kernel
    return ChangeLayout(data=edit.data, kernel=kernel)


def _default_kernel(layer: Layer, data: str) -> str:
    if data == "NHWC" and layer.op == "nn.conv2d" and _is_depthwise(layer):
        return "HWOI"
    return _ORIGINAL_KERNELS[layer.op][data]


def _is_depthwise(layer: Layer) -> bool:
    """As Relay has it: a convolution of one channel by one kernel is depthwise as well."""
    return layer.size("C") == layer.size("O") == layer.groups
