"""Blocked convolutions for CPUs: a tile of the result stays in vector registers while all of its sum is made.

For data whose channels lie innermost (NHWC, HWNC and their like) in float32 or int8, with whatever follows element by
element. A tile is `columns` pixels of one row by `vectors` vectors of output channels; for each input channel the
kernel's vectors are loaded once for all pixels. Tiles that share their part of the kernel come one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule

from corecast.backends.host import vector_bits
from corecast.backends.schedules.family import Family, Knob, Knobs
from corecast.backends.workloads import Workload
from corecast.model import Target

ELEMENTWISE = frozenset(
    ["add", "subtract", "multiply", "maximum", "minimum", "nn.relu", "clip", "astype", "nn.relu6", "negative", "abs"]
)
# x86 has 32 vector registers with 512 bits; some must hold the kernel's vectors and a pixel.
MOST_SUMS = 28
# Which operand of the sum the kernel is, and what TVM calls an axis that is not summed over.
KERNEL, DATA_PARALLEL = 1, 0


class BlockedCpu(Family):
    """Convolutions of one group over channels that lie innermost."""

    name: ClassVar[str] = "blocked_cpu"

    def refuses(self, workload: Workload, target: Target) -> str | None:
        if target.kind != "llvm":
            return "it is for CPUs"
        if not workload.steps or workload.steps[0].op != "nn.conv2d":
            return "it is for nn.conv2d and what follows it"
        first = workload.steps[0]
        data, kernel = (workload.value(operand) for operand in first.operands if isinstance(operand, int))
        attributes = first.attributes
        if (data.dtype, kernel.dtype) not in (("float32", "float32"), ("int8", "int8")):
            return f"it is for float32 and int8, not {data.dtype} with {kernel.dtype}"
        if attributes["groups"] != 1:
            return f"it has {attributes['groups']} groups"
        if attributes["data_layout"] != attributes["out_layout"] or attributes["data_layout"][-1] != "C":
            return f"its channels do not lie innermost in {attributes['data_layout']}"
        if _channels(workload) % self._lanes(target):
            return f"{_channels(workload)} output channels are no multiple of {self._lanes(target)}"
        for step in workload.steps[1:]:
            if step.op not in ELEMENTWISE or step.result.shape != first.result.shape:
                return f"{step.op} follows it, which is not done element by element"
        return None

    def space(self, workload: Workload, target: Target) -> Mapping[str, Sequence[Knob]]:
        width, vectors = _width(workload), _channels(workload) // self._lanes(target)
        return {
            "columns": [size for size in range(1, MOST_SUMS + 1) if width % size == 0],
            "vectors": [size for size in (1, 2, 3, 4) if vectors % size == 0],
            "pack": [False, True],
        }

    def objection(self, workload: Workload, target: Target, knobs: Knobs) -> str | None:  # noqa: ARG002
        sums = int(knobs["columns"]) * int(knobs["vectors"])
        if sums > MOST_SUMS:
            return f"{sums} sums do not fit into {MOST_SUMS} vector registers"
        if not knobs["pack"] and _kernel_layout(workload)[-1] != "O":
            return "without packing, output channels have to lie innermost in the kernel"
        return None

    def first_guess(self, workload: Workload, target: Target) -> Knobs:
        """As many sums as there are registers, wide rather than long, and the kernel packed where it must be."""
        space = self.space(workload, target)
        tiles = [
            (int(columns), int(vectors))
            for columns in space["columns"]
            for vectors in space["vectors"]
            if int(columns) * int(vectors) <= MOST_SUMS
        ]
        columns, vectors = max(tiles, key=lambda tile: (tile[0] * tile[1], tile[1]))
        return {"columns": columns, "vectors": vectors, "pack": _kernel_layout(workload)[-1] != "O"}

    def emit(self, workload: Workload, target: Target, knobs: Knobs) -> tirx.PrimFunc:
        schedule = Schedule(IRModule({"main": workload.function.with_attr("global_symbol", "main")}))
        lanes = self._lanes(target)
        block = _sum_of(schedule)
        padding, loops = schedule.get_producers(block), _loops(schedule, block, workload)
        if knobs["pack"]:
            _pack(schedule, block, workload, int(knobs["vectors"]) * lanes)
        last = _last(schedule, block)
        tiles = _tiled(schedule, loops, int(knobs["columns"]), int(knobs["vectors"]), lanes)
        schedule.reverse_compute_at(last, tiles)
        _vectorized(schedule, schedule.get_loops(last)[-1], lanes)
        schedule.decompose_reduction(block, loops["h"])
        for each in padding:
            *outer, inner = schedule.get_loops(each)
            schedule.parallel(schedule.fuse(*outer[:2]))
            _vectorized(schedule, inner, lanes)
        return schedule.mod["main"]

    def _lanes(self, target: Target) -> int:
        """How many sums a vector holds; they have 32 bits for both dtypes."""
        return vector_bits(target) // 32


def _channels(workload: Workload) -> int:
    return workload.steps[0].result.shape[-1]


def _width(workload: Workload) -> int:
    first = workload.steps[0]
    return first.result.shape[str(first.attributes["out_layout"]).index("W")]


def _kernel_layout(workload: Workload) -> str:
    return str(workload.steps[0].attributes["kernel_layout"])


def _sum_of(schedule: Schedule) -> Any:
    """The one block of a kernel that sums."""
    blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    return next(block for block in blocks if any(axis.iter_type != DATA_PARALLEL for axis in _axes(schedule, block)))


def _axes(schedule: Schedule, block: Any) -> Any:
    return schedule.get(block).iter_vars


def _pack(schedule: Schedule, block: Any, workload: Workload, size: int) -> None:
    """Copy the kernel first into parts of `size` output channels, each in the order in which a tile reads it."""
    layout = _kernel_layout(workload)

    def packed(a: Any, b: Any, c: Any, d: Any) -> list[Any]:  # TVM counts the parameters
        at = dict(zip(layout, (a, b, c, d), strict=True))
        return [at["O"] // size, at["H"], at["W"], at["I"], at["O"] % size]

    copy = schedule.cache_read(block, KERNEL, "global")
    schedule.transform_layout(block, ("read", KERNEL), packed)
    schedule.transform_block_layout(copy, packed)
    part, row, *_, inner = schedule.get_loops(copy)
    schedule.parallel(schedule.fuse(part, row))
    schedule.vectorize(inner)


def _last(schedule: Schedule, block: Any) -> Any:
    """The block that writes the result, with all between it and the sum inlined; a copy where the sum is the result."""
    chain = [block]
    while consumers := schedule.get_consumers(chain[-1]):
        chain.append(consumers[0])
    if len(chain) == 1:
        return schedule.cache_write(block, 0, "global")
    for between in chain[1:-1]:
        schedule.compute_inline(between)
    return chain[-1]


def _loops(schedule: Schedule, block: Any, workload: Workload) -> dict[str, Any]:
    """The loops of the sum by their axis: those of the result in capitals, those of the kernel's window in small."""
    region = schedule.get(block)
    axes = dict(zip(workload.steps[0].attributes["out_layout"], _places(region.writes[0]), strict=True))
    axes |= dict(zip(_kernel_layout(workload).lower(), _places(region.reads[KERNEL]), strict=True))
    loops = dict(zip([axis.var for axis in region.iter_vars], schedule.get_loops(block), strict=True))
    return {letter: loops[var] for letter, var in axes.items()}


def _tiled(schedule: Schedule, at: Mapping[str, Any], columns: int, vectors: int, lanes: int) -> Any:
    """Put the loops over tiles outside and those of a tile inside; returned is the innermost one over tiles."""
    tiles, column = schedule.split(at["W"], [None, columns])
    parts, vector, lane = schedule.split(at["C"], [None, vectors, lanes])
    schedule.reorder(parts, at["N"], at["H"], tiles, at["h"], at["w"], at["i"], column, vector, lane)
    schedule.parallel(schedule.fuse(parts, at["N"], at["H"]))
    for loop in (column, vector):
        schedule.unroll(loop)
    schedule.vectorize(lane)
    return tiles


def _vectorized(schedule: Schedule, loop: Any, lanes: int) -> None:
    """Vectorize a loop, where it is a whole number of vectors."""
    if int(schedule.get(loop).extent) % lanes == 0:
        _, lane = schedule.split(loop, [None, lanes])
        schedule.vectorize(lane)


def _places(region: Any) -> list[Any]:
    return [each.min for each in region.region]
