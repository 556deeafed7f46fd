"""A convolution and knobs in, every index that the kernel computes out.

The functions of positions are plain arithmetic: they take Python's and numpy's integers as they take TIR's expressions,
so that the kernel and its emulation on the CPU share them. Offsets in shared memory and strides are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from corecast.backends.schedules.hwnc_sm90.problem import OPERANDS, RESULTS, Conv, Format

# Rows of a warpgroup's instruction, the bytes of channels that it takes, threads of a warpgroup and of a warp.
MMA_ROWS, MMA_BYTES, WARPGROUP, WARP = 64, 32, 128, 32
# Where a tile of shared memory begins: the pattern of the widest swizzle repeats after so much.
ALIGNED = 1024
BARRIER = 8


@dataclass(frozen=True)
class Knobs:
    """What can be chosen about the kernel of a convolution.

    Attributes:
        box: images, columns and lines of the result that a tile holds; their product is the rows of the tile.
        columns: output channels of a tile.
        warpgroups: how many share the rows of a tile.
        teams: of so many warpgroups each; two teams take tiles in turns, so that one multiplies while one writes.
        stages: blocks of operands on their way at the same time.
        blocks: how many run on one multiprocessor.
        persistent: one block for each place on the chip, which goes from tile to tile.
        resident: all weights stay in shared memory.
        split: blocks of a cluster that share the steps of one tile and add up what they found.
    """

    box: tuple[int, int, int]
    columns: int
    warpgroups: int = 1
    teams: int = 1
    stages: int = 4
    blocks: int = 1
    persistent: bool = False
    resident: bool = False
    split: int = 1


def swizzled(row: Any, place: Any, width: int) -> Any:
    """Where TMA and wgmma have byte `place` of a row of `width` bytes, in a tile of such rows that is `ALIGNED`.

    The 16-byte units of a row trade places, by the 128-byte line that the row lies in: rows that stand under each
    other are then in different banks.
    """
    line = (row * width) >> 7
    return row * width + (((place >> 4) ^ (line & (width // 16 - 1))) << 4) + (place & 15)


def swizzle_code(width: int) -> int:
    """The name of that pattern in tensor maps and in descriptors of tensor maps' tiles."""
    return {16: 0, 32: 1, 64: 2, 128: 3}[width]


@dataclass(frozen=True)
class Tiling:
    """All sizes and places of one kernel. `conv` is flattened where it can be."""

    conv: Conv
    knobs: Knobs
    multiprocessors: int

    @property
    def format(self) -> Format:
        return OPERANDS[self.conv.dtype]

    # --- a tile and its steps: one step is one block of channels at one place of the kernel

    @property
    def rows(self) -> int:
        return prod(self.knobs.box)

    @property
    def row_groups(self) -> int:
        """Instructions that stand under each other in a warpgroup's part of the tile."""
        return self.rows // (MMA_ROWS * self.knobs.warpgroups)

    @cached_property
    def row_bytes(self) -> int:
        """The channels of a step, in bytes: the width with the least that is read for nothing."""
        channels = self.conv.channels * self.format.size
        return min((128, 64, 32), key=lambda width: -(-channels // width) * (width + 32))

    @property
    def step_channels(self) -> int:
        return self.row_bytes // self.format.size

    @property
    def channel_steps(self) -> int:
        return -(-self.conv.channels // self.step_channels)

    @property
    def steps(self) -> int:
        return prod(self.conv.kernel) * self.channel_steps

    def channel(self, step: Any) -> Any:
        """The first channel of a step."""
        return step % self.channel_steps * self.step_channels

    def tap(self, step: Any) -> Any:
        """The place in the kernel, counted line by line."""
        return step // self.channel_steps

    def tap_line(self, step: Any) -> Any:
        return self.tap(step) // self.conv.kernel[1]

    def tap_column(self, step: Any) -> Any:
        return self.tap(step) % self.conv.kernel[1]

    @property
    def own_steps(self) -> int:
        """The steps of a tile that one block does."""
        return self.steps // self.knobs.split

    # --- tiles of the result: output channels change first, so that neighbours read the same data

    @property
    def across(self) -> tuple[int, int, int]:
        """Tiles along images, columns and lines."""
        images, columns, lines = self.knobs.box
        conv = self.conv
        return -(-conv.batch // images), -(-conv.out_width // columns), -(-conv.out_height // lines)

    @property
    def tiles_out(self) -> int:
        return -(-self.conv.out_channels // self.knobs.columns)

    @property
    def tiles(self) -> int:
        return prod(self.across) * self.tiles_out

    @property
    def grid(self) -> int:
        """Blocks that are started."""
        if self.knobs.persistent:
            return min(self.tiles, self.multiprocessors * self.knobs.blocks)
        return self.tiles * self.knobs.split

    def tiles_of(self, block: Any) -> Any:
        """How many tiles one block computes: those of its number, its number plus `grid`, and so on."""
        return (self.tiles - 1 - block) // self.grid + 1 if self.knobs.persistent else 1

    def out_channel(self, tile: Any) -> Any:
        """The first output channel of a tile."""
        return tile % self.tiles_out * self.knobs.columns

    def image(self, tile: Any) -> Any:
        return tile // self.tiles_out % self.across[0] * self.knobs.box[0]

    def column(self, tile: Any) -> Any:
        return tile // self.tiles_out // self.across[0] % self.across[1] * self.knobs.box[1]

    def line(self, tile: Any) -> Any:
        return tile // self.tiles_out // self.across[0] // self.across[1] * self.knobs.box[2]

    def data_column(self, tile: Any, step: Any) -> Any:
        """The column of the data, possibly in the padding, that a step of a tile begins at."""
        conv = self.conv
        return self.column(tile) * conv.strides[1] + self.tap_column(step) * conv.dilation[1] - conv.padding[1]

    def data_line(self, tile: Any, step: Any) -> Any:
        conv = self.conv
        return self.line(tile) * conv.strides[0] + self.tap_line(step) * conv.dilation[0] - conv.padding[0]

    # --- registers: a warpgroup holds its rows in sums of four bytes, spread over its threads

    @property
    def sums(self) -> int:
        """Sums that a thread holds."""
        return self.row_groups * self.knobs.columns // 2

    @property
    def instruction_columns(self) -> int:
        return min(self.knobs.columns, self.format.widest)

    def row(self, thread: Any, group: int, half: int) -> Any:
        """The row of the tile of a thread's sums `sum_index(group, eight, half, 0)` and `(..., 1)`, for each eight.

        `thread` counts within the team; each warpgroup has its rows together.
        """
        first = (thread >> 7) * (self.row_groups * MMA_ROWS) + ((thread & 127) >> 5) * 16 + ((thread & 31) >> 2)
        return first + group * MMA_ROWS + half * 8

    def sum_index(self, group: int, eight: int, half: int, odd: int) -> int:
        """Which of a thread's sums belongs to a group of 64 rows and to eight output channels."""
        return group * (self.knobs.columns // 2) + eight * 4 + half * 2 + odd

    def out_column(self, thread: Any, eight: int) -> Any:
        """The output channel, within eight times `eight`, of a thread's sum with `odd` 0; its neighbour is one more."""
        return eight * 8 + (thread & 3) * 2

    # --- descriptors: where an instruction reads, in units of 16 bytes from the first stage

    @property
    def warpgroup_bytes(self) -> int:
        """The part of a stage of data that one warpgroup multiplies."""
        return self.row_groups * MMA_ROWS * self.row_bytes

    def data_units(self, stage: Any, group: Any, part: Any) -> Any:
        """From the warpgroup's own part of stage 0."""
        return stage * (self.data_bytes // 16) + group * (MMA_ROWS * self.row_bytes // 16) + part * (MMA_BYTES // 16)

    def weight_units(self, slot: Any, side: Any, part: Any) -> Any:
        side_units = self.instruction_columns * self.row_bytes // 16
        return slot * (self.weight_bytes // 16) + side * side_units + part * (MMA_BYTES // 16)

    # --- shared memory: stages of data, weights, what is to be written

    @property
    def data_bytes(self) -> int:
        """One stage of data."""
        return self.rows * self.row_bytes

    @property
    def weight_bytes(self) -> int:
        """The weights of one step."""
        return self.knobs.columns * self.row_bytes

    @property
    def weight_slots(self) -> int:
        return self.steps if self.knobs.resident else self.knobs.stages

    @property
    def stage_bytes(self) -> int:
        """What arrives at the barrier of one stage."""
        return self.data_bytes + (0 if self.knobs.resident else self.weight_bytes)

    @property
    def weights_at(self) -> int:
        return self.knobs.stages * self.data_bytes

    @property
    def operands_end(self) -> int:
        return self.weights_at + self.weight_slots * self.weight_bytes

    @property
    def result_size(self) -> int:
        return RESULTS[self.conv.out_dtype]

    @property
    def written_columns(self) -> int:
        """Output channels that one block writes: with a split, each block of the cluster finishes its share."""
        return self.knobs.columns // self.knobs.split

    @property
    def chunk_bytes(self) -> int:
        """A row of one store: what is written goes out in chunks of at most 128 bytes of output channels."""
        return min(128, self.written_columns * self.result_size)

    @property
    def chunk_channels(self) -> int:
        return self.chunk_bytes // self.result_size

    @property
    def chunks(self) -> int:
        return self.written_columns // self.chunk_channels

    @property
    def staged_bytes(self) -> int:
        """What one team writes of a tile."""
        return self.rows * self.written_columns * self.result_size

    @property
    def staged_apart(self) -> bool:
        """Whether the result has room of its own, or the operands' once they are used up."""
        return self.knobs.persistent or self.conv.epilogue.residual

    @property
    def staged_at(self) -> int:
        return -(-max(self.operands_end, self.partial_bytes) // ALIGNED) * ALIGNED if self.staged_apart else 0

    @property
    def partial_bytes(self) -> int:
        """The sums of a block, which lie where the operands were while a cluster adds them up."""
        return self.rows * self.knobs.columns * 4 if self.knobs.split > 1 else 0

    @property
    def arena_bytes(self) -> int:
        return max(self.operands_end, self.partial_bytes, self.staged_at + self.knobs.teams * self.staged_bytes)

    @property
    def shared_bytes(self) -> int:
        """All of it, with the barriers."""
        return self.arena_bytes + BARRIER * (2 * self.knobs.stages + 1 + 2 * self.knobs.teams)

    def staged(self, row: Any, channel: Any) -> Any:
        """The byte of a team's staging that holds a row of the tile and a channel of those that the block writes."""
        chunk, place = channel // self.chunk_channels, channel % self.chunk_channels
        return chunk * (self.rows * self.chunk_bytes) + swizzled(row, place * self.result_size, self.chunk_bytes)

    # --- threads

    @property
    def team_threads(self) -> int:
        return self.knobs.warpgroups * WARPGROUP

    @property
    def math_threads(self) -> int:
        return self.knobs.teams * self.team_threads

    @property
    def threads(self) -> int:
        """Those that multiply, and a warp that loads."""
        return self.math_threads + WARP
