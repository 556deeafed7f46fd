"""A convolution and knobs in, the seconds that its kernel should take out; a convolution in, the knobs to begin with.

A model of one multiprocessor. A step takes what its busiest part takes: the tensor cores, shared memory, which they
read from, or the loads from L2. A tile takes its steps, and then its result has to be written; other blocks and the
other team hide the one behind the other. Beside it stands what memory needs for each byte once; neither is ever hidden
wholly behind the other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import hypot, prod

from corecast.backends.schedules.hwnc_sm90.problem import Conv
from corecast.backends.schedules.hwnc_sm90.space import HOPPER, Chip, points
from corecast.backends.schedules.hwnc_sm90.tiling import MMA_BYTES, MMA_ROWS, Knobs, Tiling


@dataclass(frozen=True)
class Rates:
    """What a Hopper chip does in a clock of one multiprocessor, measured or from its data sheet.

    Attributes:
        clock: clocks a second under load.
        products: products of one byte of a row with one of a column; two bytes are two.
        shared: bytes that the tensor cores read from shared memory.
        loads: bytes that arrive from L2.
        memory: bytes a second from and to the chip's memory.
        row: clocks that the copy engine takes for a row of a box, however narrow.
        latency: clocks from a load's start to its data.
        start: clocks from a launch to a block's first load, and from its last store to the end.
        written: clocks in which a warpgroup alone finishes 64 rows of 8 output channels.
        narrowed: the same where the result has one byte.
        issued: clocks for as much where many warpgroups do it at once.
        added: clocks for each of a cluster's blocks to exchange 64 rows of 8 sums.
    """

    clock: float = 1.7e9
    products: int = 4096
    shared: int = 128
    loads: float = 58
    memory: float = 4.6e12
    row: float = 1.75
    latency: float = 1030
    start: float = 2060
    written: float = 71
    narrowed: float = 113
    issued: float = 37.8
    added: float = 149


MEASURED = Rates()
ALIKE = 2


def seconds(conv: Conv, knobs: Knobs, chip: Chip = HOPPER, rates: Rates = MEASURED) -> float:
    """How long the kernel should take with its operands in memory."""
    t = Tiling(conv.flattened(), knobs, chip.multiprocessors)
    read_by_cores = (MMA_ROWS + t.instruction_columns) * MMA_BYTES
    instructions = (
        t.row_groups * knobs.warpgroups * (knobs.columns // t.instruction_columns) * (t.row_bytes // MMA_BYTES)
    )
    step = max(
        t.rows * knobs.columns * t.row_bytes / rates.products,
        instructions * read_by_cores / rates.shared,
        t.stage_bytes / rates.loads,
    )
    alone = max(step, rates.latency / (knobs.stages - 1)) * t.own_steps
    eights = t.rows * t.written_columns / 512
    finish = eights * (rates.narrowed if t.result_size == 1 else rates.written) / knobs.warpgroups
    if knobs.split > 1:
        finish += t.rows * knobs.columns / 512 / knobs.warpgroups * rates.added + rates.latency * 2
    resident_weights = t.steps * t.weight_bytes / rates.loads if knobs.resident else 0
    tiles = -(-t.tiles // chip.clusters(knobs.split))
    rows = (t.rows + (0 if knobs.resident else knobs.columns)) * t.own_steps + t.rows * t.chunks
    at_once = min(knobs.blocks * knobs.teams, tiles)
    busy = max(
        tiles * step * t.own_steps,
        tiles * (alone + finish) / at_once,
        tiles * eights * rates.issued,
        tiles * rows * rates.row,
    )
    if at_once > 1:
        busy += min(alone, step * t.own_steps) + finish  # the first has nothing before it, the last nothing after
    clocks = rates.latency + resident_weights + busy
    moved = conv.traffic / rates.memory * rates.clock
    return (rates.start + hypot(clocks, moved)) / rates.clock


def ranked(conv: Conv, chip: Chip = HOPPER) -> list[Knobs]:
    """All knobs of a convolution, those that should be fastest first."""
    return sorted(points(conv, chip), key=lambda knobs: (seconds(conv, knobs, chip), repr(knobs)))


def proposals(conv: Conv, count: int, chip: Chip = HOPPER) -> list[Knobs]:
    """Knobs that are worth measuring, the first guess first; of one size of tile and one split only a few."""
    alike: Counter[tuple[int, int, int]] = Counter()
    found = []
    for knobs in ranked(conv, chip):
        kind = (prod(knobs.box), knobs.columns, knobs.split)
        alike[kind] += 1
        if alike[kind] <= ALIKE:
            found.append(knobs)
    return found[:count]
