"""A bundle appears whole or not at all, whatever stops it; and outputs overwrite nothing that is not theirs."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import networks
import pytest

from corecast.adapters import bundle as bundles
from corecast.api import apply, plan, prepare, read_recipe, survey, write_bundle
from corecast.api.cli import main
from corecast.lang import Source

NETWORK = """
data: float32 1x3x8x8
nn.conv2d#0(data, %w: float32 4x3x3x3) -> float32 1x4x6x6 @conv
return nn.conv2d#0
"""


@pytest.fixture
def conversion():
    model = prepare(networks.model_of(NETWORK))
    table = survey(model)
    return apply(plan(read_recipe(Source("case.rules", "match nn.conv2d, set layout HWNC"), table), table), model)


@pytest.mark.parametrize(
    "stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), RuntimeError("inside TVM")]
)
def test_what_stops_a_bundle_leaves_nothing(
    conversion, stop: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, an interrupt and a fault in the middle of writing: the folder is as it was."""

    def stopped(*_: object) -> None:
        raise stop

    monkeypatch.setattr(bundles, "write_weights", stopped)
    with pytest.raises(type(stop)):
        write_bundle(conversion, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_stops_a_build_leaves_nothing(
    conversion, stop: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk and an interrupt, when the library is half written."""
    write_bundle(conversion, tmp_path / "bundle")

    def stopped(path: str, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise stop

    monkeypatch.setattr("tvm.relax.VMExecutable.export_library", lambda _, path, **options: stopped(path, **options))
    full = isinstance(stop, OSError)
    assert main(["build", str(tmp_path / "bundle"), "-o", str(tmp_path / "model.so")]) == (
        2 if full else 128 + signal.SIGINT
    )
    assert os.listdir(tmp_path) == ["bundle"]
    assert ("nothing was left behind" in capsys.readouterr().err) == full


def test_a_build_asks_for_room_first(
    conversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """LLVM ends the process where it cannot write."""
    write_bundle(conversion, tmp_path / "bundle")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    assert main(["build", str(tmp_path / "bundle"), "-o", str(tmp_path / "model.so")]) == 2
    assert "error[cannot-write]: cannot write it: No space left on device" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["bundle"]


def test_an_interrupt_is_told_even_where_tvm_makes_another_error_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TVM's interface turns it into a RuntimeError, which would read as a fault of ours."""

    def interrupted(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("<empty>") from None

    monkeypatch.setattr("corecast.api.cli.app", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        assert main(["count", "model.onnx"]) == 128 + signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted" in capsys.readouterr().err


def test_a_plan_overwrites_plans_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`-o` with the model's own name once would have cost the model."""
    table = tmp_path / "layers.json"
    table.write_text(survey(networks.model_of(NETWORK)).model_dump_json(), encoding="utf-8")
    rules = tmp_path / "case.rules"
    rules.write_text("match nn.conv2d, set layout HWNC\n", encoding="utf-8")
    assert main(["plan", str(rules), str(table), "-o", str(rules)]) == 2
    assert "is no plan" in capsys.readouterr().err
    assert rules.read_text(encoding="utf-8").startswith("match")
    for _ in range(2):
        assert main(["plan", str(rules), str(table), "-o", str(tmp_path / "plan.yaml")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case.rules", "layers.json", "plan.yaml"]


def test_a_plan_goes_through_a_pipe(tmp_path: Path) -> None:
    """What is no regular file is written to as it is."""
    table = tmp_path / "layers.json"
    table.write_text(survey(networks.model_of(NETWORK)).model_dump_json(), encoding="utf-8")
    rules = tmp_path / "case.rules"
    rules.write_text("match nn.conv2d, set layout HWNC\n", encoding="utf-8")
    assert main(["plan", str(rules), str(table), "-o", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()


def test_a_plan_that_names_too_many_layers_is_refused() -> None:
    """A few bytes can name more layers than there is memory for."""
    from corecast.plan import PlanFileError, parse_plan

    with pytest.raises(PlanFileError, match=r"more than"):
        parse_plan("corecast_plan: 1\ndecisions:\n- layers: nn.conv2d#0..99999999999\n")


def test_a_build_that_was_killed_leaves_a_draft_that_the_next_one_removes(
    conversion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is left to remove it; no lock is held on it any more."""
    write_bundle(conversion, tmp_path / "bundle")
    draft = tmp_path / ".model.so.abc.corecast-draft"
    draft.mkdir()
    (draft / "model.so").write_bytes(b"half")
    assert main(["build", str(tmp_path / "bundle"), "-o", str(tmp_path / "model.so")]) == 0
    assert "which an earlier run was killed in the middle of" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model.so"]


def test_a_build_that_native_code_ends_leaves_no_library(conversion, tmp_path: Path) -> None:
    """No file may become larger than some bytes: LLVM or the linker meets that in the middle of writing."""
    write_bundle(conversion, tmp_path / "bundle")
    command = f"ulimit -f 4; exec {sys.executable} -m corecast.api build bundle -o model.so"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "error[ended]: native code ended the command in: link model.so" in done.stderr
    assert "model.so" not in os.listdir(tmp_path)
