"""A layer table and decided paddings in, the sizes of every tensor out, and so each copy that fills up or cuts.

A padded layer reads its operands filled up with zeros and makes its result in full size. What follows runs in that size
too where the padding stays what it has to be (zeros along channels; anything along a batch, whose rows are apart) and
where somebody reads the result so. Weights are filled up ahead; all else is copied once for all who read it in a size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from corecast.model import Layer, LayerTable, Operand, TensorType, padded
from corecast.model.lines import Line, is_elementwise, lines_of
from corecast.model.padding import RESULT, places_of
from corecast.plan.plan import PlannedLayer
from corecast.recipe import Keep, Pad

Shape = tuple[int | str, ...]

# A result of a layer, by its index, or an argument, by its name.
Value = tuple[int | str, int]

# What makes zeros of zeros, element by element or in windows; of several operands, where all of them are zero.
_KEEP_ZEROS = frozenset(
    """
    abs add asin asinh astype atan atanh ceil erf floor maximum minimum multiply negative nn.gelu nn.gelu_tanh
    nn.leakyrelu nn.relu nn.selu nn.silu permute_dims round sign sin sinh sqrt square subtract tan tanh trunc
    nn.adaptive_avg_pool1d nn.adaptive_avg_pool2d nn.adaptive_avg_pool3d nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d
    nn.max_pool1d nn.max_pool2d nn.max_pool3d image.resize2d max mean min sum
    """.split()
)

# What computes the rows of a batch apart from each other, besides these and what goes element by element.
_ROW_BY_ROW = _KEEP_ZEROS | {"concat", "nn.softmax", "nn.log_softmax", "reshape"}


@dataclass(frozen=True, slots=True)
class Run:
    """The shapes of the operands that a layer reads and of the result that it makes."""

    operands: tuple[Shape, ...]
    result: Shape


@dataclass(frozen=True, slots=True)
class Fill:
    """A value that is filled up with zeros at run time, and the first layer that reads it in this shape."""

    value: Value
    shape: Shape
    reader: int


@dataclass(frozen=True)
class Padding:
    """What becomes of a function. Layers are known by index; the function's result comes after the last one.

    Attributes:
        runs: the layers that run in another size than the model's.
        cut: those of them whose result somebody reads in the model's size.
        fills: what is filled up at run time, in the order of its readers.
        apart: along which axes of a result in full size anything may stand, by layer.
    """

    table: LayerTable
    runs: Mapping[int, Run] = field(default_factory=dict)
    cut: frozenset[int] = frozenset()
    fills: tuple[Fill, ...] = ()
    apart: Mapping[int, frozenset[int]] = field(default_factory=dict)

    def shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """The shapes in which a layer reads its operands."""
        run = self.runs.get(layer.index)
        return run.operands if run else _own(layer).operands

    def is_made_so(self, operand: Operand, shape: Shape, reader: Layer) -> bool:
        """Whether an operand is there as its layer makes it, in the shape in which somebody reads it."""
        run = self.runs.get(-1 if operand.layer is None else operand.layer)
        if run is None:
            return shape == (operand.type.shape or ())
        return run.result == shape and _may_read(reader, operand, shape, self.apart)


def pad(table: LayerTable, decided: Mapping[str, PlannedLayer]) -> Padding:
    """Choose the sizes of every tensor of a function."""
    wanted: dict[int, Run] = {}
    kept: set[int] = set()
    for key, item in decided.items():
        layer = table.by_id[key]
        edits = [decision.edit for decision in (item.channels, item.batch) if decision]
        if any(isinstance(edit, Keep) for edit in edits):
            kept.add(layer.index)
        run = _run(layer, [edit for edit in edits if isinstance(edit, Pad)])
        if run and run != _own(layer):
            wanted[layer.index] = run
    if not wanted:
        return Padding(table)
    runs, apart = _Sizes(table, wanted, kept).chosen()
    found = Padding(table, runs, apart=apart)
    return replace(found, cut=frozenset(_cut(found)), fills=tuple(_fills(found)))


def _run(layer: Layer, edits: Sequence[Pad]) -> Run | None:
    for edit in edits:
        layer = padded(layer, edit.axis, edit.to)
    return _own(layer) if edits else None


def _own(layer: Layer) -> Run:
    result = layer.results[0].shape if layer.results else None
    return Run(tuple([item.type.shape or () for item in layer.operands]), result or ())


def _may_read(reader: Layer, operand: Operand, shape: Shape, apart: Mapping[int, frozenset[int]]) -> bool:
    """Whether a layer that asked for a shape may find anything, and not zeros, where its operand has no values."""
    if operand.layer is None or not places_of(reader, "channels"):
        return True
    rows = {axis for places in places_of(reader, "batch") for tensor, axis in places if tensor == 0}
    own = operand.type.shape or ()
    unclean = {axis for axis in apart.get(operand.layer, ()) if own[axis] != shape[axis]}
    return unclean <= (rows if operand is reader.operands[0] else set())


class _Sizes:
    """Which layers run in full size: first what could, from front to back, then what is read so, from back to front."""

    def __init__(self, table: LayerTable, wanted: Mapping[int, Run], kept: set[int]) -> None:
        self._layers = table.layers
        self._wanted = wanted
        self._kept = kept
        self._could: dict[int, Run] = {}
        self._apart: dict[int, frozenset[int]] = {}

    def chosen(self) -> tuple[dict[int, Run], dict[int, frozenset[int]]]:
        """The layers that run in full size, and along which axes of their results anything may stand."""
        for layer in self._layers:
            if layer.index in self._wanted:
                self._could[layer.index] = self._wanted[layer.index]
                rows = [place for places in places_of(layer, "batch") for place in places]
                self._apart[layer.index] = frozenset(axis for tensor, axis in rows if tensor == RESULT)
            elif layer.index not in self._kept and any(item.layer in self._could for item in layer.operands):
                self._carry(layer)
        runs: dict[int, Run] = {}
        read: defaultdict[int, set[Shape]] = defaultdict(set)
        for index in sorted(self._could, reverse=True):
            run, layer = self._could[index], self._layers[index]
            if index in self._wanted or run.result in read[index]:
                runs[index] = run
                for operand, shape in zip(layer.operands, run.operands, strict=True):
                    if operand.layer is not None and _may_read(layer, operand, shape, self._apart):
                        read[operand.layer].add(shape)
        return runs, self._apart

    def _carry(self, layer: Layer) -> None:
        """Note how a layer that nobody asked to be padded can run where its operands are made in full size."""
        lines = lines_of(layer)
        sizes, apart = self._filled_up(layer, lines) if lines else (None, set[int]())
        if not sizes:
            return
        full = [line for line in lines if line.number in sizes]
        if not all(_bears(layer, line, line.number in apart) for line in full):
            return
        stretched = {line.number for line in full if line.number in apart} if is_elementwise(layer.op) else set[int]()
        operands = []
        for place, operand in enumerate(layer.operands):
            made = self._could.get(-1 if operand.layer is None else operand.layer)
            operands.append(_in_full(operand.type, place, full, sizes, stretched, made.result if made else None))
        result = _in_full(layer.results[0], RESULT, full, sizes, set(), None)
        self._could[layer.index] = Run(tuple(operands), result)
        at_result = {line.number: line.axes[RESULT] for line in full}
        self._apart[layer.index] = frozenset(axis for number in apart if (axis := at_result[number]) is not None)

    def _filled_up(self, layer: Layer, lines: Sequence[Line]) -> tuple[dict[int, int | str] | None, set[int]]:
        """The full sizes of the lines along which operands are made in full size, and those whose rows are apart.

        None where the operands do not agree.
        """
        sizes: dict[int, int | str] = {}
        apart: set[int] = set()
        zeros: set[int] = set()
        for place, operand in enumerate(layer.operands):
            run = self._could.get(-1 if operand.layer is None else operand.layer)
            for axis, (own, size) in enumerate(zip(operand.type.shape or (), run.result if run else (), strict=False)):
                if own == size:
                    continue
                line = next((line for line in lines if line.axes[place] == axis), None)
                if line is None or line.size != own or sizes.setdefault(line.number, size) != size:
                    return None, set()
                is_apart = operand.layer is not None and axis in self._apart[operand.layer]
                (apart if is_apart else zeros).add(line.number)
        return (None, set()) if apart & zeros else (sizes, apart)


def _bears(layer: Layer, line: Line, is_apart: bool) -> bool:
    """Whether a layer can run with a line filled up: with zeros that stay zero, or with rows that stay apart."""
    if line.axes[RESULT] is None or line.is_named:
        return False
    if is_apart:
        return is_elementwise(layer.op) or layer.op in _ROW_BY_ROW
    whole = (line.axes[place] is not None and line.sizes[place] == line.size for place in range(len(layer.operands)))
    return layer.op in _KEEP_ZEROS and all(whole)


def _in_full(
    tensor: TensorType,
    place: int,
    lines: Sequence[Line],
    sizes: Mapping[int, int | str],
    stretched: set[int],
    made: Shape | None,
) -> Shape:
    """A tensor's shape with these lines filled up; what is repeated along a line goes on being repeated."""
    shape = list(tensor.shape or ())
    for line in lines:
        axis = line.axes[place]
        if axis is None:
            continue
        is_repeated = line.number in stretched and shape[axis] == 1 and (made is None or made[axis] == 1)
        if not is_repeated:
            shape[axis] = sizes[line.number]
    return tuple(shape)


# ── copies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def value_of(operand: Operand) -> Value | None:
    """What an operand is that is known at run time only; None for a weight."""
    producer = operand.argument if operand.layer is None else operand.layer
    return None if producer is None else (producer, operand.result)


def _cut(padding: Padding) -> Iterator[int]:
    """The layers in full size of which somebody reads what the model has."""
    reads = [
        operand
        for layer in padding.table.layers
        for operand, shape in zip(layer.operands, padding.shapes(layer), strict=True)
        if not padding.is_made_so(operand, shape, layer)
    ]
    for operand in (*reads, *padding.table.returns):
        run = padding.runs.get(-1 if operand.layer is None else operand.layer)
        if run and operand.layer is not None and run.result != operand.type.shape:
            yield operand.layer


def _fills(padding: Padding) -> Iterator[Fill]:
    known: set[tuple[Value, Shape]] = set()
    for layer in padding.table.layers:
        for operand, shape in zip(layer.operands, padding.shapes(layer), strict=True):
            value = value_of(operand)
            if value is None or shape == (operand.type.shape or ()) or padding.is_made_so(operand, shape, layer):
                continue
            if (value, shape) not in known:
                known.add((value, shape))
                yield Fill(value, shape, layer.index)


def widths(own: Shape, shape: Shape) -> tuple[int, ...]:
    """How much is added before and behind each axis."""
    pairs = zip(own, shape, strict=True)
    grown = [full - size if isinstance(full, int) and isinstance(size, int) else 0 for size, full in pairs]
    return tuple(width for behind in grown for width in (0, behind))
