"""A small part of the table in docs/onnx.md: our casts beside those of onnxconverter-common with its block lists."""

from __future__ import annotations

import float16_converters as converters
import onnx_networks as networks
import pytest

from corecast.adapters.onnx import Model


@pytest.fixture(scope="module")
def shufflenet() -> Model:
    return converters.model_of(networks.light("shufflenet"), "random:0")


@pytest.mark.filterwarnings("ignore:the float32 number")  # the converter tells every value that it clips
@pytest.mark.parametrize(("left", "fewer"), [("all", 0), ("all but norms", 1), ("products", 17)])
def test_there_are_fewer_casts_and_no_larger_error(shufflenet: Model, left: str, fewer: int) -> None:
    """Both are valid and run; what the converter casts between two layers in float32 is rounded there once more."""
    blocked = converters.block_lists(shufflenet.proto)[left]
    ours, theirs = converters.ours(shufflenet, blocked), converters.theirs(shufflenet, blocked)
    assert (ours.invalid, ours.stopped, theirs.invalid, theirs.stopped) == (None,) * 4
    assert theirs.casts - ours.casts == fewer
    assert ours.rms <= theirs.rms
