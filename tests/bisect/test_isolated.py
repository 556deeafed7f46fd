"""Plans that take the process with them fail; what is no fault of a plan is told as where nothing is isolated."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from math import inf, log10
from pathlib import Path

import bisected
import numpy as np
import pytest
from numpy.typing import NDArray

from corecast.api.isolated import Isolated, can_isolate
from corecast.api.measuring import MeasureError, Measurer
from corecast.api.supervisor import KilledError
from corecast.plan import Plan
from corecast.verify import Measured

Array = NDArray[np.generic]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere to fork is not safe")


class Answers:
    """A model that does what the name of its plan says; the original's answer is the process that was asked for it."""

    is_cut = False

    def __init__(self, plan: Plan):
        self.does = plan.target

    def inputs(self, seed: int) -> Mapping[str, Array]:  # noqa: ARG002
        return {}

    def run_original(self, inputs: Mapping[str, Array]) -> Sequence[Array]:  # noqa: ARG002
        return [np.array([np.nan if self.does == "nan" else 1.0])]

    def run_converted(self, inputs: Mapping[str, Array]) -> Sequence[Array]:  # noqa: ARG002
        if self.does in ("SIGSEGV", "SIGABRT", "SIGKILL"):
            faulthandler.disable()  # pytest's
            os.kill(os.getpid(), signal.Signals[self.does])
        if self.does == "exit":
            os._exit(7)
        return [np.array([1.5])]

    def __str__(self) -> str:
        return "what it does"


def that(does: str) -> Plan:
    return Plan.model_construct(target=does)


def test_what_dies_fails_and_the_next_is_measured() -> None:
    with Isolated(Measurer(Answers, seed=0)) as measure:
        found = [measure(that(does)) for does in ("runs", "SIGSEGV", "SIGABRT", "runs")]
        assert found == [
            Measured(error=0.5, snr_db=10 * log10(4)),
            Measured(error=inf, reason="native code died of SIGSEGV"),
            Measured(error=inf, reason="native code died of SIGABRT"),
            Measured(error=0.5, snr_db=10 * log10(4)),
        ]
        assert measure.compared == "what it does"


def test_what_is_no_fault_of_a_plan_is_raised() -> None:
    """A killed process is not one that native code ended; nor is one that left."""
    for does, error in (("nan", MeasureError), ("SIGKILL", KilledError), ("exit", RuntimeError)):
        with pytest.raises(error), Isolated(Measurer(Answers, seed=0)) as measure:
            measure(that(does))


def test_nothing_is_left_running() -> None:
    with Isolated(Measurer(Answers, seed=0)) as measure:
        measure(that("runs"))
        process, _ = measure._worker or pytest.fail("it has begun")
        assert process.is_alive()
    with pytest.raises(ValueError, match="closed"):
        process.is_alive()


def test_a_command_isolates_and_a_caller_of_ours_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls from Python may have run models already, whose threads no fork has."""
    assert not can_isolate()
    monkeypatch.chdir(tmp_path)
    bisected.write()
    Path("case.rules").write_text("match nn.conv2d #3, cast float16\n", encoding="utf-8")
    command = [sys.executable, "-m", "corecast.api", "bisect", "case.rules", "spoilt.onnx"]
    done = subprocess.run([*command, "-o", "fixed.rules"], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "wrote fixed.rules" in done.stderr) == (1, True), done.stderr
    assert "nn.conv2d#3 (w3)" in done.stdout
    assert "outputs, float16 emulated by numpy" in done.stdout
