"""What knobs a convolution may have, what the model of the chip says of them, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from corecast.backends.schedules.hwnc_sm90.cost import ranked, seconds
from corecast.backends.schedules.hwnc_sm90.problem import Conv, Epilogue
from corecast.backends.schedules.hwnc_sm90.space import HOPPER, Chip, boxes, objection, points
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs, Tiling

LAYER = Conv(32, 14, 14, 256, 256, (3, 3), (1, 1), (1, 1, 1, 1))
GOOD = Knobs((32, 1, 4), 128, warpgroups=2, stages=6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"box": (32, 1, 3)}, "a box of 96 rows is not what 2 warpgroups multiply"),
        ({"columns": 48}, "tiles have 32 to 256 columns"),
        ({"stages": 8}, "blocks of 262296 bytes of shared memory do not fit"),
        ({"stages": 1}, "1 stages are not between 2 and 8"),
        ({"blocks": 2}, "do not fit a multiprocessor"),
        ({"columns": 256, "warpgroups": 1, "stages": 2}, "256 sums each do not fit the registers"),
        ({"resident": True, "persistent": True}, "weights stay only where a tile has all output channels"),
        ({"teams": 2}, "teams take turns only where a block goes on to the next tile"),
        (
            {"split": 2, "persistent": True},
            "a tile is split among the blocks of a cluster only where each has one tile",
        ),
    ],
)
def test_knobs_that_there_is_no_kernel_for_are_refused(change: dict[str, object], reason: str) -> None:
    assert objection(LAYER, GOOD) is None
    assert reason in str(objection(LAYER, replace(GOOD, **change)))


def test_a_share_that_no_store_can_write_is_refused() -> None:
    knobs = Knobs((16, 2, 2), 32, stages=2, split=4)
    assert objection(LAYER, knobs) is None
    narrow = replace(LAYER, dtype="int8", out_dtype="int8", channels=512)
    assert objection(narrow, knobs) == "4 blocks cannot share 32 columns of the result"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"channels": 3}, "its 3 input channels are 6 bytes, not a multiple of 16: pad them"),
        ({"out_channels": 1000, "out_dtype": "int8", "dtype": "int8"}, "its 1000 output channels are 1000 bytes"),
        ({"kernel": (11, 11)}, "its kernel is 11x11; the family goes to 7x7"),
        ({"strides": (3, 3)}, "its strides are (3, 3); the family has 1 and 2"),
        ({"height": 1, "padding": (0, 0, 0, 0)}, "one of its sizes is less than 1"),
        ({"out_dtype": "int32"}, "an int32 result is the plain sum of int8 products"),
        ({"dtype": "int4"}, "its operands are int4"),
        ({"epilogue": Epilogue(shift=True)}, "integers are added to sums of float16"),
    ],
)
def test_convolutions_outside_the_family_are_refused(change: dict[str, object], reason: str) -> None:
    assert LAYER.objection() is None
    assert reason in str(replace(LAYER, **change).objection())


def test_every_point_of_the_space_is_allowed_and_has_as_many_stages_as_fit() -> None:
    found = list(points(LAYER))
    assert len(found) == len(set(found)) > 100
    for knobs in found:
        assert objection(LAYER, knobs) is None
        assert knobs.stages == 8 or objection(LAYER, replace(knobs, stages=knobs.stages + 1))


def test_a_chip_with_less_shared_memory_has_fewer_points() -> None:
    small = Chip(shared_bytes=100 * 1024, shared_of_a_block=99 * 1024)
    fewer = list(points(LAYER, small))
    assert 0 < len(fewer) < len(list(points(LAYER)))
    assert all(Tiling(LAYER, knobs, 132).shared_bytes <= 99 * 1024 for knobs in fewer)


def test_a_1x1_convolution_is_one_product_of_all_pixels_of_all_images() -> None:
    layer = replace(LAYER, kernel=(1, 1), padding=(0, 0, 0, 0))
    assert layer.flattened().batch == 32 * 14 * 14
    assert boxes(layer, 128) == [(128, 1, 1)]
    assert replace(layer, strides=(2, 2)).flattened() == replace(layer, strides=(2, 2))


def test_boxes_of_a_small_batch_hold_pixels_of_several_lines() -> None:
    assert boxes(replace(LAYER, batch=1), 64)[0][0] == 1
    assert Tiling(replace(LAYER, batch=1), Knobs(boxes(replace(LAYER, batch=1), 64)[0], 64), 132).tiles <= 16


def test_the_model_sees_what_costs() -> None:
    """More tiles than fit at once, more steps, and a box that stands half outside."""
    assert seconds(replace(LAYER, batch=256), GOOD) > 3 * seconds(LAYER, GOOD)
    assert seconds(replace(LAYER, channels=512), GOOD) > 1.5 * seconds(LAYER, GOOD)
    assert seconds(LAYER, replace(GOOD, box=(128, 1, 1))) > 1.5 * seconds(LAYER, GOOD)
    assert seconds(LAYER, GOOD) > LAYER.traffic / 4.8e12


def test_a_tile_is_split_where_there_are_too_few() -> None:
    deep = Conv(1, 7, 7, 512, 512, (3, 3), (1, 1), (1, 1, 1, 1))
    assert ranked(deep)[0].split > 1
    assert ranked(replace(deep, batch=128))[0].split == 1


def test_first_guesses_fill_the_chip() -> None:
    for batch in (8, 32, 128):
        layer = replace(LAYER, batch=batch)
        knobs = ranked(layer)[0]
        assert Tiling(layer, knobs, HOPPER.multiprocessors).grid * knobs.teams >= 0.5 * HOPPER.multiprocessors
