"""Every command of docs/asked-for.md runs, on a small network and a shared recipe."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import onnx
import pytest

from corecast.api.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "asked-for.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (G\d+): .*\| `(.*)` \|$", PAGE, flags=re.MULTILINE)
# One recipe and one model for all: what a command says, its own tests ask.
STAND_FOR = {"RULES": "convolutions", "MODEL": "model.onnx", "LAYER": "nn.conv2d#1", "BUNDLE": "bundle"}

NETWORK = """
<ir_version: 10, opset_import: ["" : 13]>
network (float[2,3,16,16] image) => (float[2,16,16,16] result)
{
    first = Constant<value = int64[4] {16,3,3,3}>()
    second = Constant<value = int64[4] {16,16,3,3}>()
    stem_weight = ConstantOfShape(first)
    body_weight = ConstantOfShape(second)
    [stem] a = Conv<pads = [1,1,1,1]>(image, stem_weight)
    [relu] b = Relu(a)
    [body] result = Conv<pads = [1,1,1,1]>(b, body_weight)
}
"""


def test_each_wish_has_its_row() -> None:
    assert [wish for wish, _ in ROWS] == [f"G{number}" for number in (*range(1, 10), *range(11, 14), 15)]


def test_each_command_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the page, as a plan is made before another one is compared with it."""
    monkeypatch.chdir(tmp_path)
    onnx.save(onnx.parser.parse_model(NETWORK), "model.onnx")
    for wish, command in ROWS:
        words = [STAND_FOR.get(word, word) for word in shlex.split(command)]
        filled = ["--weights", "random:0"] if "model.onnx" in words else []
        status = main([*words[1:], *filled])
        printed = capsys.readouterr()
        assert status == 0, f"{wish}: {command}\n{printed.err}"
        assert printed.out.strip(), wish
