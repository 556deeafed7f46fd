"""Models from layer tables: what was surveyed, written down and built again has the same layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from corecast.adapters.relax import ModelError, build_model, load, prepare, survey
from corecast.model import format_table, parse_table

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "resnet50"])
def test_a_real_model_is_built_again_from_its_table(name: str) -> None:
    """Its text says enough: operators, attributes, types and edges come out as they were."""
    table = survey(prepare(load(LIGHT / f"light_{name}.onnx", weights="random:0")))
    written = parse_table(format_table(table))
    assert survey(prepare(build_model(written))).layers == table.layers


def test_weights_are_seeded_finite_and_scaled_by_what_they_sum_over() -> None:
    text = """
    image: float32 2x3x8x8
    nn.conv2d#0(image, %wide: float32 64x3x3x3) -> float32 2x64x6x6
    nn.batch_norm#0(nn.conv2d#0, %a: float32 64, %b: float32 64, %c: float32 64, %var: float32 64) axis=1 \
-> float32 2x64x6x6, float32 64, float32 64
    return nn.batch_norm#0
    """
    one, same, other = (build_model(parse_table(text), seed).parameters for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["wide"], other["wide"])
    assert 0.9 < one["wide"].std() * np.sqrt(27) < 1.1
    assert (one["var"] > 0).all()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("nn.conv2d#0(x, %w: float32 4x3x3x3) -> float32 1x4x8x8", "gives float32 1x4x6x6, and the table says"),
        ("nn.conv2d#0(x, %w: float32 4x5x3x3) -> float32 1x4x6x6", "nn.conv2d#0 cannot be built"),
        ("nn.conv2d#0(x, %w: float32 4x3x3x3) stride=[1, 1] -> float32 1x4x6x6", "it takes no stride"),
        ("nn.conv2d#0(x, %w: float32 nx3x3x3) -> float32 1xnx6x6", "w has no known size: float32 nx3x3x3"),
        ("add#0(x, float32 scalar) -> float32 1x3x8x8", "add#0 reads a constant float32 scalar"),
        ("nn.convolve#0(x) -> float32 1x3x8x8", "nn.convolve#0 cannot be built"),
        ("no.such#0(x) -> float32 1x3x8x8", "no.such#0 cannot be built"),
    ],
)
def test_what_a_table_does_not_say_is_told_with_its_layer(call: str, told: str) -> None:
    table = parse_table(f"x: float32 1x3x8x8\n{call}\nreturn {call.partition('(')[0]}\n")
    with pytest.raises(ModelError) as caught:
        build_model(table)
    assert told in str(caught.value)
    assert caught.value.problems[0].slug == "cannot-build"
