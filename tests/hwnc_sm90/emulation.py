"""A convolution of int8 and knobs in, what the kernel writes out: each block, step, instruction and store in turn.

Every place comes from the family's `Tiling` and tensor maps, as in the kernel; what the machine does there comes from
`machine`. What is computed is a plain sum, so that each wrong place shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corecast.backends.schedules.hwnc_sm90 import maps
from corecast.backends.schedules.hwnc_sm90.problem import Conv
from corecast.backends.schedules.hwnc_sm90.tiling import MMA_BYTES, MMA_ROWS, WARPGROUP, Knobs, Tiling
from hwnc_sm90 import machine

_RESULT = {"int32": np.int32, "int8": np.int8, "float16": np.float16}


def emulated(
    conv: Conv, knobs: Knobs, data: NDArray[np.int8], weights: NDArray[np.int8], multiprocessors: int
) -> tuple[NDArray[np.generic], NDArray[np.uint8]]:
    """The result, and how often each of its bytes was written."""
    t = Tiling(conv.flattened(), knobs, multiprocessors)
    shape = (conv.out_height, conv.out_width, conv.batch, conv.out_channels)
    result = np.full(shape, 99, _RESULT[conv.out_dtype])
    memory = result.reshape(-1).view(np.uint8)
    written = np.zeros_like(memory)
    operands = data.reshape(-1).view(np.uint8), weights.reshape(-1).view(np.uint8)
    for block in range(0, t.grid, knobs.split):
        for turn in range(t.tiles_of(block // knobs.split)):
            tile = block // knobs.split + turn * t.grid
            blocks = [_sums(t, tile, rank, *operands) for rank in range(knobs.split)]
            for rank in range(knobs.split):
                share = slice(rank * t.sums // knobs.split, (rank + 1) * t.sums // knobs.split)
                _write(t, tile, rank, sum(sums[:, share] for sums in blocks), memory, written)
    return result, written


def _sums(t: Tiling, tile: int, rank: int, data: machine.Bytes, weights: machine.Bytes) -> NDArray[np.int64]:
    """What each thread of a team holds when the steps of one block are done."""
    shared = np.full(t.operands_end, 0x55, np.uint8)
    found = np.zeros((t.team_threads, t.sums), np.int64)
    for index in range(t.own_steps):
        step, stage = rank * t.own_steps + index, index % t.knobs.stages
        slot = step if t.knobs.resident else stage
        place = t.channel(step), t.image(tile), t.data_column(tile, step), t.data_line(tile, step)
        machine.load(data, maps.data_map(t), place, shared, stage * t.data_bytes)
        place_of_weights = t.channel(step), t.out_channel(tile), t.tap(step)
        machine.load(weights, maps.weight_map(t), place_of_weights, shared, t.weights_at + slot * t.weight_bytes)
        for warpgroup in range(t.knobs.warpgroups):
            for part in range(t.row_bytes // MMA_BYTES):
                for group in range(t.row_groups):
                    for side in range(t.knobs.columns // t.instruction_columns):
                        first = warpgroup * t.warpgroup_bytes + 16 * t.data_units(stage, group, part)
                        second = t.weights_at + 16 * t.weight_units(slot, side, part)
                        rows = machine.operand(shared, first, MMA_ROWS, t.row_bytes).view(np.int8).astype(np.int64)
                        columns = machine.operand(shared, second, t.instruction_columns, t.row_bytes).view(np.int8)
                        row, column = machine.sum_places(t.instruction_columns)
                        held = group * (t.knobs.columns // 2) + side * (t.instruction_columns // 2)
                        threads = slice(warpgroup * WARPGROUP, (warpgroup + 1) * WARPGROUP)
                        registers = slice(held, held + t.instruction_columns // 2)
                        found[threads, registers] += (rows @ columns.astype(np.int64).T)[row, column]
    return found


def _write(
    t: Tiling, tile: int, rank: int, sums: NDArray[np.int64], memory: machine.Bytes, written: machine.Bytes
) -> None:
    """Stage what a block finishes, thread by thread as the kernel does, and store it."""
    shared = np.full(t.staged_bytes, 0x55, np.uint8)
    thread = np.arange(t.team_threads)
    for eight in range(t.written_columns // 8):
        for group in range(t.row_groups):
            for half in range(2):
                for odd in range(2):
                    values = sums[:, t.sum_index(group, eight, half, odd)].astype(_RESULT[t.conv.out_dtype])
                    row = t.row(thread, group, half)
                    first = t.staged(row, t.out_column(thread, eight)) + odd * t.result_size
                    places = first[:, None] + np.arange(t.result_size)
                    shared[places] = values[:, None].view(np.uint8).reshape(t.team_threads, t.result_size)
    for chunk in range(t.chunks):
        channel = t.out_channel(tile) + rank * t.written_columns + chunk * t.chunk_channels
        place = channel, t.image(tile), t.column(tile), t.line(tile)
        machine.store(shared, chunk * t.rows * t.chunk_bytes, maps.result_map(t), place, memory, written)


def expected(conv: Conv, data: NDArray[np.int8], weights: NDArray[np.int8]) -> NDArray[np.int64]:
    """The convolution, as its definition has it."""
    top, left, bottom, right = conv.padding
    padded = np.pad(data.astype(np.int64), ((top, bottom), (left, right), (0, 0), (0, 0)))
    found = np.zeros((conv.out_height, conv.out_width, conv.batch, conv.out_channels), np.int64)
    for line in range(conv.kernel[0]):
        for column in range(conv.kernel[1]):
            rows = slice(line * conv.dilation[0], None, conv.strides[0])
            columns = slice(column * conv.dilation[1], None, conv.strides[1])
            part = padded[rows, columns][: conv.out_height, : conv.out_width]
            found += part @ weights[line, column].astype(np.int64).T
    return found
