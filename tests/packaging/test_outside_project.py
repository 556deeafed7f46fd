"""A project of somebody else, built and installed beside the wheel alone, adds whatever can be added, and uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from environments import Installed, install

PROJECT = Path(__file__).with_name("outside")

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (float[1,16,8,8] image) => (float[1,32,8,8] y)
{
    shape = Constant<value = int64[4] {16,16,3,3}>()
    shape1 = Constant<value = int64[4] {32,16,3,3}>()
    w = ConstantOfShape(shape)
    w1 = ConstantOfShape(shape1)
    a = Conv<pads = [1, 1, 1, 1]>(image, w)
    x = Conv<pads = [1, 1, 1, 1]>(a, w1)
    y = Relu(x)
}
"""


@pytest.fixture(scope="module")
def outside(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, and beside it the project, built by the installed backend and without a network."""
    made = install(wheel, tmp_path_factory.mktemp("outside"), without=())
    pip = [sys.executable, "-I", "-m", "pip", "--python", str(made.environment / "bin" / "python"), "install"]
    quiet = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, *quiet, str(PROJECT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    onnx.save(onnx.parser.parse_model(NETWORK), made.folder / "network.onnx")
    return made


def corecast(outside: Installed, *arguments: str) -> str:
    done = outside.run("corecast", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_words_and_its_recipe_are_there_under_its_name(outside: Installed) -> None:
    """A product that ships recipes: users name the pack, and see where it comes from."""
    assert "acme-corecast 1.0" in corecast(outside, "recipes")
    told = corecast(outside, "plan", "acme-nets", "network.onnx", "--weights", "random:0", "--param", "trials=2")
    assert "layouts (line 5): 2 layers matched, 2 realised" in told
    assert "square_ones (line 10): 1 layer matched, 1 realised" in told
    assert "compute in float16 -> float32 (square_ones, line 12)" in told
    assert "tune tensorcore, 2 trials (layouts, line 8)" in told


def test_its_words_decide_in_a_program_of_its_own(outside: Installed) -> None:
    """Decisions alone, on its own table: what becomes of each layer, and why not of another."""
    told = outside.python(
        """
from corecast.api import plan, read_recipe
from corecast.model import parse_table

table = parse_table('''
    x: float64 1x8x8x8
    nn.conv2d#0(x, %a: float64 8x8x3x3) -> float64 1x8x6x6
    nn.conv2d#1(nn.conv2d#0, %b: float64 4x8x3x3) -> float64 1x4x4x4
    return nn.conv2d#1
''')
for layer in plan(read_recipe("acme-nets", table), table).layers:
    print(layer.id, layer.dtype and layer.dtype.edit)
"""
    )
    assert told.splitlines() == ["nn.conv2d#0 dtype float32 -> float64", "nn.conv2d#1 None"]


@pytest.mark.slow
def test_its_tuner_is_one_of_those_that_can_be_asked_for(outside: Installed) -> None:
    """It is found by its name, measures by the bench that it is given, and what it finds is kept or not as ever."""
    (outside.folder / "tune.rules").write_text(
        "match nn.conv2d, set layout NHWC, tune tensorcore trials 1\n", encoding="utf-8"
    )
    corecast(outside, "apply", "tune.rules", "network.onnx", "--weights", "random:0", "-o", "bundle")
    told = corecast(outside, "tune", "bundle", "--tuner", "first", "--layer", "nn.conv2d#1")
    assert "1 of 1" in told
    unknown = outside.run("corecast", "tune", "bundle", "--tuner", "fist")
    assert unknown.returncode == 2
    assert "did you mean `first`?" in unknown.stderr
