"""Bundles, modules and tables of another IR than the one that this TVM converts, and bundles of before."""

import json
from pathlib import Path

import networks
import pytest

from corecast.adapters.relax import Bundle
from corecast.adapters.toolchain import NoRelayError, ir_of
from corecast.api import apply, load, plan, prepare, read_bundle, read_recipe, survey, write_bundle
from corecast.api.cli import main
from corecast.lang import Source

NETWORK = """
data: float32 1x3x8x8
nn.conv2d#0(data, %w: float32 4x3x3x3) -> float32 1x4x6x6 @conv
return nn.conv2d#0
"""
RELAY_MODULE = '{"root": 1, "nodes": [{"type_key": "relay.Function"}]}'


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    model = prepare(networks.model_of(NETWORK))
    table = survey(model)
    recipe = read_recipe(Source("case.rules", "match nn.conv2d, set layout HWNC, tune tensorcore"), table)
    return write_bundle(apply(plan(recipe, table), model), tmp_path / "bundle")


def _edit_report(bundle: Bundle, ir: str | None) -> None:
    file = bundle.path / "report.json"
    report = json.loads(file.read_text())
    del report["ir"]
    file.write_text(json.dumps(report | ({"ir": ir} if ir else {})))


def test_a_bundle_whose_report_names_no_ir_is_one_of_relax(bundle: Bundle) -> None:
    """The first ones did not say."""
    _edit_report(bundle, None)
    again = read_bundle(bundle.path)
    assert (again.plan, again.report) == (bundle.plan, bundle.report)


def test_a_relay_bundle_is_refused_with_the_way_out(bundle: Bundle) -> None:
    """The twin of the one above."""
    _edit_report(bundle, "relay")
    with pytest.raises(NoRelayError, match=r"bundle holds a Relay module, and Relay is not here: this TVM, 0\.27"):
        read_bundle(bundle.path)


def test_a_bundle_of_an_unknown_ir_is_damaged(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    _edit_report(bundle, "onnx")
    assert main(["run", str(bundle.path)]) == 2
    assert "report.json: error[damaged-bundle]: `ir`: Input should be 'relax' or 'relay'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "tune", "run"])
def test_every_command_refuses_a_relay_bundle(bundle: Bundle, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    _edit_report(bundle, "relay")
    assert main([command, str(bundle.path)]) == 2
    assert "error[no-relay]" in capsys.readouterr().err


def test_a_saved_relay_module_is_named(tmp_path: Path) -> None:
    file = tmp_path / "module.json"
    file.write_text(RELAY_MODULE)
    with pytest.raises(NoRelayError, match=r"module\.json: .* this is a Relay module, and Relay is not here"):
        load(file)


def test_a_relay_table_has_no_passes_here(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan can be made from one, and a script be written; the passes are there where Relay is."""
    table = survey(bundle.model).model_copy(update={"ir": "relay"})
    (tmp_path / "layers.json").write_text(table.model_dump_json())
    (tmp_path / "case.rules").write_text("match nn.conv2d, cast int8 -> int32")
    command = ["compile", str(tmp_path / "case.rules"), str(tmp_path / "layers.json")]
    assert main(command) == 2
    assert "error[no-relay]" in capsys.readouterr().err
    assert main([*command, "--emit", str(tmp_path / "convert.py")]) == 0


def test_the_ir_of_a_saved_module_is_what_its_functions_are(bundle: Bundle) -> None:
    assert ir_of((bundle.path / "module.json").read_text()) == "relax"
    assert ir_of(RELAY_MODULE) == "relay"
    assert ir_of('{"root": 1}') is None
