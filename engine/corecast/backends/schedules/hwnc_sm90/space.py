"""A convolution and a chip in, the knobs that its kernel may have out; knobs in, why they do not go together.

The space is small on purpose: boxes that waste little, tiles that the registers hold, and as many stages as fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from corecast.backends.schedules.hwnc_sm90 import maps
from corecast.backends.schedules.hwnc_sm90.problem import UNIT, Conv
from corecast.backends.schedules.hwnc_sm90.tiling import MMA_ROWS, WARPGROUP, Knobs, Tiling


@dataclass(frozen=True)
class Chip:
    """What a chip of compute capability 9.0 gives, per multiprocessor where nothing else is said."""

    multiprocessors: int = 132
    shared_bytes: int = 228 * 1024
    shared_of_a_block: int = 227 * 1024
    reserved_of_a_block: int = 1024
    registers: int = 65536

    def clusters(self, size: int) -> int:
        """How many clusters run at once, if each block has a multiprocessor to itself.

        A cluster lies within one of the groups that the chip is made of: those of H100 and H200 have 16 to 18
        multiprocessors, not all of them whole. What is left over in a group runs nothing of a large cluster.
        """
        return {1: self.multiprocessors, 2: self.multiprocessors // 2}.get(size, self.multiprocessors * 7 // (8 * size))


HOPPER = Chip()

# Registers of a thread besides its sums: addresses, counters, descriptors.
_OTHER_REGISTERS = 36
# More stages than this were never faster.
MOST_STAGES = 8
ROWS, COLUMNS, SPLITS = (64, 128, 256), (32, 64, 128, 256), (1, 2, 4, 8)
BLOCKS, WARPGROUPS = (1, 2, 3), (1, 2)
# How a block goes over tiles, and what that is as teams, persistent, resident.
WALKS = {
    "one tile": (1, False, False),
    "tile by tile": (1, True, False),
    "in turns": (2, True, False),
    "resident": (1, True, True),
    "resident, in turns": (2, True, True),
}
# How many boxes of each number of rows are looked at: those that cover the result with the fewest tiles.
BOXES = 3


def objection(conv: Conv, knobs: Knobs, chip: Chip = HOPPER) -> str | None:
    """Why there is no kernel with these knobs, as a clause, or None."""
    if reason := conv.objection():
        return reason
    t = Tiling(conv.flattened(), knobs, chip.multiprocessors)
    if min(*knobs.box, knobs.columns, knobs.warpgroups, knobs.teams, knobs.stages, knobs.blocks, knobs.split) < 1:
        return "a knob is less than 1"
    if t.rows % (MMA_ROWS * knobs.warpgroups) or t.rows not in ROWS:
        return f"a box of {t.rows} rows is not what {knobs.warpgroups} warpgroups multiply"
    if knobs.columns not in COLUMNS or knobs.split not in SPLITS or max(knobs.warpgroups, knobs.teams) > 2:
        return "tiles have 32 to 256 columns, clusters up to 8 blocks, blocks up to two teams of two warpgroups"
    if max(maps.data_map(t).box) > maps.WIDEST_BOX:
        return f"the box {knobs.box} reads more than {maps.WIDEST_BOX} places of the data along one axis"
    if knobs.resident and (t.tiles_out > 1 or not knobs.persistent):
        return "weights stay only where a tile has all output channels and a block goes on to the next tile"
    if knobs.teams > 1 and not knobs.persistent:
        return "teams take turns only where a block goes on to the next tile"
    if knobs.split > 1:
        if knobs.persistent or t.row_groups > 1 or t.steps % knobs.split:
            return "a tile is split among the blocks of a cluster only where each has one tile, and an equal part of it"
        if t.written_columns % 8 or t.chunk_bytes < UNIT:
            return f"{knobs.split} blocks cannot share {knobs.columns} columns of the result"
    if not 2 <= knobs.stages <= MOST_STAGES:
        return f"{knobs.stages} stages are not between 2 and {MOST_STAGES}"
    room = chip.shared_bytes // knobs.blocks - chip.reserved_of_a_block
    if t.shared_bytes > min(room, chip.shared_of_a_block):
        return f"{knobs.blocks} blocks of {t.shared_bytes} bytes of shared memory do not fit a multiprocessor"
    held = t.sums + (t.sums // knobs.split if knobs.split > 1 else 0) + _OTHER_REGISTERS
    if t.sums > 128 or held > chip.registers // (-(-t.threads // WARPGROUP) * WARPGROUP * knobs.blocks):
        return f"{knobs.blocks} blocks of {t.threads} threads with {t.sums} sums each do not fit the registers"
    return None


def boxes(conv: Conv, rows: int, count: int = BOXES) -> list[tuple[int, int, int]]:
    """Images, columns and lines of tiles of so many rows; those that waste least come first, then wide ones.

    A flattened convolution has one.
    """
    conv = conv.flattened()
    if conv.out_height == conv.out_width == 1:
        return [(rows, 1, 1)]
    sides = [1 << power for power in range(9) if 1 << power <= rows]
    found = [
        (images, columns, lines)
        for images, columns, lines in product(sides, sides, sides)
        if images * columns * lines == rows
        and (columns - 1) * conv.strides[1] + 1 <= maps.WIDEST_BOX
        and (lines - 1) * conv.strides[0] + 1 <= maps.WIDEST_BOX
    ]
    return sorted(found, key=lambda box: (_tiles(conv, box), -box[0], -box[1]))[:count]


def knobs_of(box: tuple[int, int, int], columns: int, warpgroups: int, blocks: int, split: int, walk: str) -> Knobs:
    """Knobs with the fewest stages."""
    teams, persistent, resident = WALKS[walk]
    return Knobs(box, columns, warpgroups, teams, 2, blocks, persistent, resident, split)


def points(conv: Conv, chip: Chip = HOPPER) -> Iterator[Knobs]:
    """All knobs of a convolution; stages are as many as fit."""
    reach = -(-conv.out_channels // COLUMNS[0]) * COLUMNS[0]
    shapes = [box for rows in ROWS for box in boxes(conv, rows)]
    widths = [columns for columns in COLUMNS if columns < 2 * reach]
    for box, columns, warpgroups, blocks, split, walk in product(shapes, widths, WARPGROUPS, BLOCKS, SPLITS, WALKS):
        knobs = knobs_of(box, columns, warpgroups, blocks, split, walk)
        if objection(conv, knobs, chip) is None:
            yield most_stages(conv, knobs, chip)


def most_stages(conv: Conv, knobs: Knobs, chip: Chip = HOPPER) -> Knobs:
    """The same knobs with as many stages as fit; those given have to."""
    for stages in range(knobs.stages + 1, MOST_STAGES + 1):
        more = replace(knobs, stages=stages)
        if objection(conv, more, chip) is not None:
            break
        knobs = more
    return knobs


def _tiles(conv: Conv, box: tuple[int, int, int]) -> int:
    images, columns, lines = box
    return -(-conv.batch // images) * -(-conv.out_width // columns) * -(-conv.out_height // lines)
