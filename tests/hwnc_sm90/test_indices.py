"""Every index of the kernel, emulated on the machine of the PTX manual, against the definition of a convolution."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from corecast.backends.schedules.hwnc_sm90 import tiling
from corecast.backends.schedules.hwnc_sm90.problem import Conv, Epilogue
from corecast.backends.schedules.hwnc_sm90.space import Chip, objection, points
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs
from hwnc_sm90 import machine
from hwnc_sm90.emulation import emulated, expected

FEW = Chip(multiprocessors=3)
BORDER = Conv(5, 5, 6, 48, 20, (3, 3), (1, 1), (1, 1, 1, 1), dtype="int8", out_dtype="int32")
CASES = {
    "one tile": (BORDER, Knobs((8, 8, 1), 32)),
    "two warpgroups": (BORDER, Knobs((8, 4, 4), 32, warpgroups=2)),
    "two groups of rows": (BORDER, Knobs((2, 8, 8), 32)),
    "tile by tile": (BORDER, Knobs((4, 4, 4), 32, persistent=True, blocks=2)),
    "resident weights": (BORDER, Knobs((4, 4, 4), 32, persistent=True, resident=True, stages=2)),
    "strides and dilation": (
        replace(BORDER, height=11, width=9, kernel=(2, 3), strides=(2, 1), dilation=(3, 2), padding=(2, 0, 1, 3)),
        Knobs((4, 4, 4), 32),
    ),
    "integers of 256 columns": (replace(BORDER, out_channels=272, out_dtype="int8"), Knobs((8, 8, 1), 256)),
    "a split among four": (
        Conv(3, 4, 4, 128, 64, (2, 2), dtype="int8", out_dtype="int32"),
        Knobs((4, 4, 4), 64, split=4),
    ),
    "a narrow share": (Conv(70, 1, 1, 256, 64, dtype="int8", out_dtype="float16"), Knobs((64, 1, 1), 64, split=2)),
    "a product of matrices": (Conv(9, 3, 5, 144, 40, dtype="int8", out_dtype="float16"), Knobs((128, 1, 1), 64)),
    "rows of 64 bytes": (Conv(2, 6, 6, 192, 32, (1, 2), dtype="int8", out_dtype="int8"), Knobs((2, 8, 4), 32)),
}


def operands(conv: Conv) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Small integers, so that sums fit every dtype of results."""
    random = np.random.default_rng(conv.channels)
    high = 4 if conv.out_dtype == "int32" else 2
    data = random.integers(-high, high, (conv.height, conv.width, conv.batch, conv.channels), np.int8)
    shape = (*conv.kernel, conv.out_channels, conv.channels)
    weights = random.integers(-high, high, shape, np.int8)
    if conv.out_dtype != "int32":
        weights[random.random(shape) > 0.05] = 0
    return data, weights


@pytest.mark.parametrize("name", CASES)
def test_every_value_is_written_once_and_right(name: str) -> None:
    conv, knobs = CASES[name]
    assert objection(conv, knobs, FEW) is None
    data, weights = operands(conv)
    result, written = emulated(conv, knobs, data, weights, FEW.multiprocessors)
    right = expected(conv, data, weights)
    assert abs(right).max() < 128 or conv.out_dtype == "int32"
    assert (written == 1).all()
    np.testing.assert_array_equal(result, right)


def test_a_sample_of_the_space_is_right() -> None:
    """Every thirtieth point; `make gpu` runs them all."""
    for knobs in islice(points(BORDER, FEW), 7, None, 30):
        data, weights = operands(BORDER)
        result, written = emulated(BORDER, knobs, data, weights, FEW.multiprocessors)
        assert (written == 1).all(), knobs
        np.testing.assert_array_equal(result, expected(BORDER, data, weights), err_msg=str(knobs))


@pytest.mark.parametrize("width", [16, 32, 64, 128])
def test_places_are_swizzled_as_the_machine_does(width: int) -> None:
    row, place = np.arange(64)[:, None], np.arange(width)[None, :]
    np.testing.assert_array_equal(tiling.swizzled(row, place, width), machine.swizzled(row * width + place, width))


def test_a_wrong_swizzle_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "swizzled", lambda row, place, width: row * width + place)
    conv, knobs = CASES["one tile"]
    data, weights = operands(conv)
    result, _ = emulated(conv, knobs, data, weights, FEW.multiprocessors)
    assert (result != expected(conv, data, weights)).any()


def test_a_residual_is_staged_where_the_result_goes() -> None:
    """It needs room of its own, which the sums of a cluster do not reach."""
    conv = replace(BORDER, channels=128, out_channels=64, out_dtype="float16", epilogue=Epilogue(residual=True))
    t = tiling.Tiling(conv, Knobs((8, 8, 1), 64, stages=2, split=1), 3)
    split = tiling.Tiling(conv, Knobs((8, 8, 1), 64, stages=2, split=3), 3)
    assert t.staged_at >= t.operands_end
    assert split.staged_at >= split.partial_bytes
