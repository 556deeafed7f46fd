"""What Hopper does with tensor maps, descriptors and sums, after NVIDIA's PTX manual, byte by byte in numpy.

It is written apart from the family's own arithmetic, so that the two can be held against each other.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from corecast.backends.schedules.hwnc_sm90.maps import TensorMap

Bytes = NDArray[np.uint8]
# Which bits of an address are flipped by those three above them, by the width of the swizzle.
_MASKS = {16: 0, 32: 1, 64: 3, 128: 7}


def swizzled(address: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Bits 4 to 6 of a byte's address, flipped by bits 7 to 9 as far as the width goes."""
    return address ^ (((address >> 7) & _MASKS[width]) << 4)


def load(memory: Bytes, tensor: TensorMap, at: tuple[int, ...], shared: Bytes, address: int) -> None:
    """A box of a tensor into shared memory; zeros for what lies outside."""
    for row, (inside, start) in enumerate(_rows(tensor, at)):
        count, size = tensor.box[0], tensor.element
        line = np.zeros(count * size, np.uint8)
        if inside:
            real = min(count, tensor.sizes[0] - at[0])
            line[: real * size] = memory[start : start + real * size]
        places = address + row * tensor.row_bytes + np.arange(count * size)
        shared[swizzled(places, tensor.row_bytes)] = line


def store(shared: Bytes, address: int, tensor: TensorMap, at: tuple[int, ...], memory: Bytes, written: Bytes) -> None:
    """A box of shared memory into a tensor; what lies outside is not written. `written` counts for each byte."""
    for row, (inside, start) in enumerate(_rows(tensor, at)):
        if not inside or at[0] >= tensor.sizes[0]:
            continue
        count = min(tensor.box[0], tensor.sizes[0] - at[0]) * tensor.element
        places = address + row * tensor.row_bytes + np.arange(count)
        memory[start : start + count] = shared[swizzled(places, tensor.row_bytes)]
        written[start : start + count] += 1


def _rows(tensor: TensorMap, at: tuple[int, ...]) -> list[tuple[bool, int]]:
    """The rows of a box in the order in which they lie in shared memory: whether in the tensor, and the first byte."""
    sides = [range(0, side, every) for side, every in zip(tensor.box[1:], tensor.every[1:], strict=True)]
    found = []
    for offsets in product(*reversed(sides)):
        places = [base + offset for base, offset in zip(at[1:], reversed(offsets), strict=True)]
        inside = all(0 <= place < size for place, size in zip(places, tensor.sizes[1:], strict=True))
        found.append((inside, at[0] * tensor.element + sum(p * s for p, s in zip(places, tensor.strides, strict=True))))
    return found


def operand(shared: Bytes, start: int, rows: int, width: int) -> Bytes:
    """What an instruction reads by a descriptor: `rows` rows of 32 bytes, groups of eight rows `8 * width` apart."""
    row = np.arange(rows)[:, None]
    places = start + row // 8 * (8 * width) + row % 8 * width + np.arange(32)[None, :]
    return shared[swizzled(places, width)]


def sum_places(columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of each sum of an instruction of 64 rows: by thread of the warpgroup and register."""
    thread, register = np.arange(128)[:, None], np.arange(columns // 2)[None, :]
    row = 16 * (thread // 32) + thread % 32 // 4 + 8 * (register // 2 % 2)
    column = 8 * (register // 4) + 2 * (thread % 4) + register % 2
    return row, column
