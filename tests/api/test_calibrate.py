"""Calibration from Python and from the command line: what it writes, and that what stops it leaves nothing."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_networks
import pytest

from corecast.adapters.agreement import PlanMismatchError
from corecast.adapters.relax import Model, load, observed, prepare
from corecast.api import Source, calibrate, plan, read_recipe, survey
from corecast.api.cli import main
from corecast.plan import Plan
from corecast.quantization import CalibrationError, ObservationError, read_calibration

# A residual network whose first convolution feeds a sum, and a head that a rule keeps.
NETWORK = """
<ir_version: 9, opset_import: ["": 17]>
network (float[2,3,6,6] image, float[4,3,3,3] w_stem, float[4,4,3,3] w_body, float[4,4,1,1] w_head)
  => (float[2,4,6,6] out)
{
  a = Conv <kernel_shape = [3,3], pads = [1,1,1,1]> (image, w_stem)
  b = Relu (a)
  c = Conv <kernel_shape = [3,3], pads = [1,1,1,1]> (b, w_body)
  d = Add (c, b)
  out = Conv <kernel_shape = [1,1]> (d, w_head)
}
"""
RULES = """
rule conv
  match nn.conv2d
  quantize int8 asymmetric
rule head
  match nn.conv2d #-1
  keep
"""
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 6, 6)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.onnx"
    onnx.save(onnx_networks.proto_of(NETWORK), path)
    return path


@pytest.fixture
def model(file: Path) -> Model:
    return prepare(load(file))


def planned(model: Model, rules: str = RULES) -> Plan:
    table = survey(model)
    return plan(read_recipe(Source("case.rules", rules), table), table)


def test_the_ranges_are_those_of_the_values_that_become_integers(model: Model) -> None:
    """What the head reads stays in floats, and so has no range."""
    found = calibrate(planned(model), model, [*IMAGES[:5], {"image": IMAGES[5:]}], method="min-max")
    seen = observed(model, ["nn.relu#0", "nn.conv2d#1"])
    runs = [networks.run(seen.model, {"image": IMAGES[at : at + 2]}) for at in range(0, 12, 2)]
    values = {name: np.stack([seen.named(run)[name] for run in runs]) for name in seen.values} | {"image": IMAGES}
    assert (found.method, found.samples) == ("min-max", 12)
    for name, range_ in found.ranges.items():
        extent = values[name].min(), values[name].max()
        assert (range_.low, range_.high) == pytest.approx(extent, abs=1e-5), name
    assert {"image", "nn.relu#0"} <= found.ranges.keys()
    assert "add#0" not in found.ranges


def test_progress_tells_the_samples_of_a_folder_and_of_an_iterator(model: Model, tmp_path: Path) -> None:
    """Of an iterator nobody knows how many will come."""
    np.save(tmp_path / "images.npy", IMAGES)
    told: list[tuple[int, int | None]] = []
    calibrate(planned(model), model, tmp_path, progress=lambda *report: told.append(report))
    assert told == [(done, 12) for done in range(2, 13, 2)]
    told.clear()
    calibrate(planned(model), model, iter([IMAGES[:4]]), progress=lambda *report: told.append(report))
    assert told == [(2, None), (4, None)]


def test_what_progress_raises_ends_it(model: Model) -> None:
    """So a service can cancel; it is begun anew, for nothing is left of it."""

    def cancel(done: int, samples: int | None) -> None:  # noqa: ARG001
        raise TimeoutError

    with pytest.raises(TimeoutError):
        calibrate(planned(model), model, [IMAGES], progress=cancel)
    assert calibrate(planned(model), model, [IMAGES]).samples == 12


def test_a_plan_that_quantizes_nothing_needs_no_calibration(model: Model) -> None:
    with pytest.raises(CalibrationError, match="nothing-to-calibrate"):
        calibrate(planned(model, "match nn.conv2d, cast float16"), model, [IMAGES])


def test_a_plan_for_another_model_is_refused(model: Model) -> None:
    other = prepare(networks.model_of("x: float32 1x4\nnn.relu#0(x) -> float32 1x4\nreturn nn.relu#0"))
    with pytest.raises(PlanMismatchError):
        calibrate(planned(model), other, [IMAGES])


def test_finite_data_of_which_a_layer_makes_infinity_is_refused(model: Model) -> None:
    """With the value and the item."""
    with pytest.raises(ObservationError, match=r"item 1 of the data.*not-finite-value"):
        calibrate(planned(model), model, [IMAGES[:2], np.full((2, 3, 6, 6), 3e38, np.float32)])


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def command(file: Path, tmp_path: Path) -> list[str]:
    """`corecast calibrate` on a folder of three files."""
    (tmp_path / "data").mkdir()
    for number, part in enumerate(np.split(IMAGES, 3)):
        np.save(tmp_path / "data" / f"{number}.npy", part)
    (tmp_path / "case.rules").write_text(RULES, encoding="utf-8")
    model = [str(tmp_path / "case.rules"), str(file)]
    return ["calibrate", *model, "--data", str(tmp_path / "data"), "-o", str(tmp_path / "calibration.json")]


def test_the_command_writes_what_the_api_gives(
    command: list[str], model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says how much it was, and how far it has come."""
    assert main([*command, "--method", "percentile 99"]) == 0
    found = read_calibration(tmp_path / "calibration.json")
    assert found == calibrate(planned(model), model, [IMAGES], method="percentile 99")
    said = capsys.readouterr()
    assert f"ranges of {len(found.ranges)} values, percentile 99 of 12 samples" in said.out
    assert "12/12, samples" in said.err


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_what_stops_the_command_leaves_the_older_calibration(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    """In the middle of the data; then it starts over, and writes over the older one."""
    assert main([*command, "--method", "min-max"]) == 0
    before = (tmp_path / "calibration.json").read_text(encoding="utf-8")
    names = sorted(path.name for path in tmp_path.iterdir())

    def stopped(*_: object) -> None:
        raise stop

    with monkeypatch.context() as patch:
        patch.setattr("corecast.api.calibrating.format_calibration", stopped)
        assert main(command) != 0
    assert (tmp_path / "calibration.json").read_text(encoding="utf-8") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert main(command) == 0
    assert read_calibration(tmp_path / "calibration.json").method == "percentile 99.99"


def test_bad_data_is_told_before_anything_is_written(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its headers before the model is run; by its values when it is reached."""
    np.save(tmp_path / "data" / "3.npy", IMAGES.astype(np.float64))
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "3.npy: error[wrong-input]: input image is float64" in said
    assert "samples" not in said.splitlines()[0]
    np.save(tmp_path / "data" / "3.npy", np.full((1, 3, 6, 6), np.nan, np.float32))
    assert main(command) == 2
    assert "not-finite-data" in capsys.readouterr().err
    assert not (tmp_path / "calibration.json").exists()


def test_only_calibrations_are_written_over(command: list[str], tmp_path: Path) -> None:
    """`-o` with the model's own name would cost the model."""
    before = (tmp_path / "network.onnx").read_bytes()
    assert main([*command[:-1], str(tmp_path / "network.onnx")]) == 2
    assert (tmp_path / "network.onnx").read_bytes() == before


def test_a_method_that_there_is_not_is_told_at_once(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--method", "minmax"]) == 2
    assert "did you mean `min-max`" in capsys.readouterr().err


def test_a_value_that_never_changes_is_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero images are calibrated on as others are; somebody should know."""
    for path in (tmp_path / "data").iterdir():
        np.save(path, np.zeros((2, 3, 6, 6), np.float32))
    assert main(command) == 0
    assert "the same for every sample: image, nn.relu#0" in capsys.readouterr().err


def test_what_cannot_be_written_is_told_before_the_model_is_read(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not when an hour of data is through: no folder to write into, or a folder in its place."""
    for name, slug in (("nowhere/calibration.json", "cannot-write"), ("data", "output-exists")):
        assert main([*command[:-1], str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert f"error[{slug}]" in said
        assert "read " not in said
