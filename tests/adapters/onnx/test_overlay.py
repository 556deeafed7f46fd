"""A plan on the nodes of an ONNX file: everything that was decided, and why the rest was not."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from corecast.adapters.door import find_adapter
from corecast.adapters.onnx.overlay import write_overlay
from corecast.api import Source, plan, read_recipe
from corecast.api.cli import main

NETWORK = """
<ir_version: 10, opset_import: ["" : 13]>
network (float[1,3,8,8] image, float[4,3,3,3] first, float[4,4,3,3] second) => (float[1,4,4,4] result)
{
    [stem] a = Conv(image, first)
    b = Relu(a)
    [body] result = Conv(b, second)
}
"""
RULES = "skip nn.conv2d #0\nmatch nn.conv2d or nn.relu, set layout NHWC, cast float16\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    proto = onnx.parser.parse_model(NETWORK)
    for name in ("first", "second"):
        shape = [4, 3 if name == "first" else 4, 3, 3]
        weight = onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, shape, [0.5] * (4 * shape[1] * 9))
        proto.graph.initializer.append(weight)
    onnx.save(proto, str(tmp_path / "model.onnx"))
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("ir", ["onnx", "relax"])
def test_each_node_has_what_was_decided_and_what_was_not(model: Path, tmp_path: Path, ir: str) -> None:
    """Nodes without a name are known by what they make; the graph itself stays as it was."""
    adapter = find_adapter(ir)
    table = adapter.survey(adapter.load(model))
    decided = plan(read_recipe(Source("case.rules", RULES), table), table)
    written = write_overlay(model, table, decided, tmp_path / "overlay.onnx")
    overlaid = onnx.load(tmp_path / "overlay.onnx")
    notes = [{item.key: item.value for item in node.metadata_props} for node in overlaid.graph.node]
    assert written == len(table.layers) == 3
    assert [note["corecast.layer"] for note in notes] == ["nn.conv2d#0", "nn.relu#0", "nn.conv2d#1"]
    assert notes[0]["corecast.layout"] == "keep layout (skip nn.conv2d #0, line 1)"
    assert notes[0]["corecast.not_done"].startswith("set layout NHWC (line-2): skipped by `skip nn.conv2d #0`, line 1")
    assert "float16" in notes[1]["corecast.dtype"]
    assert "set layout NHWC (line-2): not applicable, " in notes[1]["corecast.not_done"]
    for node in overlaid.graph.node:
        del node.metadata_props[:]
    assert overlaid == onnx.load(model)


def test_the_command_writes_a_copy_and_never_the_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = model.read_bytes()
    Path("case.rules").write_text(RULES, encoding="utf-8")
    assert main(["plan", "case.rules", "model.onnx", "--overlay", "overlay.onnx"]) == 0
    assert "the plan stands on 3 nodes" in capsys.readouterr().err
    assert main(["plan", "case.rules", "model.onnx", "--overlay", "model.onnx"]) == 2
    assert "no-overlay" in capsys.readouterr().err
    assert model.read_bytes() == before
