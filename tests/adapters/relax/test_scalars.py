"""Weights without axes: a bound, a scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from corecast.adapters.relax.model import Model
from corecast.adapters.weights_file import read_weights, write_weights
from corecast.api import (
    Source,
    apply,
    load,
    plan,
    prepare,
    read_bundle,
    read_recipe,
    survey,
    verify_bundle,
    write_bundle,
)

RELU6 = """
    <ir_version: 8, opset_import: ["" : 13]>
    relu6 (float[1, 2, 6, 6] x) => (float[1, 2, 4, 4] y)
    <float[2, 2, 3, 3] w = {
        1, 2, -3, 4, 5, -6, 7, 8, 9,  -1, 2, 3, 4, -5, 6, 7, 8, 9,
        1, 2, 3, 4, -5, 6, 7, -8, 9,  1, -2, 3, 4, 5, 6, -7, 8, 9
    }, float low = {0}, float high = {6}>
    {
        c = Conv(x, w)
        y = Clip(c, low, high)
    }
"""


def test_a_scalar_stays_one_in_a_file_of_weights(tmp_path: Path) -> None:
    """Not a vector of one element, which a module that takes a scalar refuses."""
    given = {"high": np.array(6, np.float32), "narrow": np.array(3).astype("int8")}
    write_weights(given, tmp_path / "weights.safetensors")
    found = read_weights(tmp_path / "weights.safetensors")
    assert {name: (array.shape, array.item()) for name, array in found.items()} == {"high": ((), 6), "narrow": ((), 3)}


def test_bounds_that_are_initializers_become_those_of_a_clip(onnx_file: Callable[[str], Path], tmp_path: Path) -> None:
    """The ReLU6 of every MobileNet since opset 11."""
    model = prepare(load(onnx_file(RELU6)))
    assert not {"low", "high"} & set(model.parameters)
    assert "clip#0" in survey(model).by_id
    _goes_through_a_bundle_and_runs(model, tmp_path / "bundle")


def test_a_weight_without_axes_goes_through_a_bundle_and_runs(onnx_file: Callable[[str], Path], tmp_path: Path) -> None:
    model = prepare(
        load(onnx_file(RELU6.replace("Clip(c, low, high)", "Mul(r, high)").replace("y =", "r = Relu(c)\n        y =")))
    )
    assert model.parameters["high"].shape == ()
    _goes_through_a_bundle_and_runs(model, tmp_path / "bundle")


def _goes_through_a_bundle_and_runs(model: Model, path: Path) -> None:
    table = survey(model)
    recipe = read_recipe(Source("case.rules", "match nn.conv2d, set layout HWNC"), table)
    write_bundle(apply(plan(recipe, table), model), path)
    assert verify_bundle(read_bundle(path)).verdict == "pass"
