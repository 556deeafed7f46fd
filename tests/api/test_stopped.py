"""What stops `apply` while it writes, from within or from outside, leaves no half bundle, and nothing that stays."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from corecast.api.cli import main

NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (float[1,3,8,8] image) => (float[1,512,6,6] y)
{
    shape = Constant<value = int64[4] {512,3,3,3}>()
    w = ConstantOfShape(shape)
    y = Conv(image, w)
}
"""
COMMAND = ["apply", "case.rules", "network.onnx", "--weights", "random:0", "-o", "bundle"]

# Sends itself a signal in the middle of the weights.
STOPPED = """
import os, sys
from corecast.adapters import bundle
from corecast.api.cli import run

number = int(sys.argv.pop())

def write_weights(parameters, path):
    path.write_bytes(b"half of it")
    os.kill(os.getpid(), number)

bundle.write_weights = write_weights
sys.exit(run())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    onnx.save(onnx.parser.parse_model(NETWORK), str(tmp_path / "network.onnx"))
    (tmp_path / "case.rules").write_text("match nn.conv2d, set layout HWNC\n", encoding="utf-8")
    (tmp_path / "script.py").write_text(STOPPED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(arguments: list[str], limit: int = resource.RLIM_INFINITY) -> subprocess.CompletedProcess[str]:
    """Run Python, with files of at most so many bytes."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, preexec_fn=prepare, check=False, timeout=300
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_to_end_is_followed_by_tidying_up(number: signal.Signals, status: int, folder: Path) -> None:
    """Ctrl-C, and what a scheduler sends."""
    done = run(["script.py", *COMMAND, str(int(number))])
    assert done.returncode == status
    assert done.stderr.endswith("interrupted; nothing was left half-written\n")
    assert list(folder.glob("*bundle*")) == []


def test_what_a_killed_run_leaves_is_removed_and_told_by_the_next(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can tidy up after SIGKILL but somebody else."""
    assert run(["script.py", *COMMAND, str(int(signal.SIGKILL))]).returncode == 137
    (draft,) = folder.glob(".bundle.*")
    assert not (folder / "bundle").exists()
    assert main(COMMAND) == 0
    assert f"removed {draft.name}, which an earlier run was killed in the middle of" in capsys.readouterr().err
    assert list(folder.glob("*bundle*")) == [folder / "bundle"]


@pytest.mark.parametrize("limit", [1024, 24 * 1024])
def test_a_full_disk_is_told_and_leaves_nothing(limit: int, folder: Path) -> None:
    """In the module's text, which Python writes, and in the weights, which safetensors writes."""
    done = run(["-m", "corecast.api", *COMMAND], limit)
    assert done.returncode == 2
    assert "bundle: error[cannot-write]: cannot write it: File too large\n" in done.stderr
    assert list(folder.glob("*bundle*")) == []
