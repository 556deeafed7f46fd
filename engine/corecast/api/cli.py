"""The command line: `corecast COMMAND ...`.

Exit status 0 done, 1 a check failed, 2 wrong input, 3 a fault of ours or of the compiler's, 128 and more a signal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import typer
from typer.exceptions import TyperException

from corecast.adapters.source import last_line
from corecast.api import (
    benching,
    bisecting,
    building,
    calibrating,
    checking,
    converting,
    doctor,
    explaining,
    reading,
    recording,
    scaffold,
    searching,
    sharing,
    targets,
    testing,
    tuning,
    verifying,
    working,
)
from corecast.api.blame import blame
from corecast.api.supervisor import REQUESTS, supervise
from corecast.lang import CorecastError, Problem
from corecast.report import Reporter

app = typer.Typer(
    name="corecast",
    help="A stylesheet for a model: rules that select layers and declare their layout, dtype and schedule.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("count")(reading.count_layers)
app.command()(reading.layers)
app.command()(checking.check)
app.command()(checking.fmt)
app.command()(reading.plan)
app.command()(explaining.explain)
app.command()(explaining.names)
app.command("compile")(reading.compile_)
app.command("calibrate")(calibrating.calibrate_)
app.command("apply")(converting.apply_)
app.command("verify")(verifying.verify)
app.command("bisect")(bisecting.bisect_)
app.command("search")(searching.search_)
app.command("tune")(tuning.tune)
app.command()(working.worker)
app.command("run")(converting.run)
app.command("build")(building.build)
app.command("bench")(benching.bench)
app.add_typer(recording.records_app, name="records")
app.add_typer(sharing.recipes_app, name="recipes")
app.command()(sharing.lock)
app.command()(scaffold.new)
app.command("test")(testing.run_tests)
app.command()(targets.targets)
app.command("doctor")(doctor.doctor)

# Whoever only plans, checks and explains may have left these out.
NEEDED_TO_CONVERT = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi", "onnx": "onnx"}

INTERNAL_FAULT = 3

# A second Ctrl-C within this time is an echo of the first, and must not break into the tidying up.
ECHO_S = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `arguments` default to those of the process."""
    with _interrupts() as interrupts:
        try:
            result = app(arguments, standalone_mode=False)
        except (Exception, KeyboardInterrupt) as error:
            # Inside TVM a keyboard interrupt becomes an error of its own.
            result = _report(error, Reporter()) if not interrupts else None
        if interrupts:
            result = _interrupted(interrupts[0], Reporter())
    return result if isinstance(result, int) else 0


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note every request to end in a list; whoever catches the exception that it becomes may have lost its name."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    last = -ECHO_S

    def note(number: int, _: FrameType | None) -> None:
        nonlocal last
        seen.append(number)
        now, before = monotonic(), last
        last = now
        if now - before > ECHO_S:
            raise KeyboardInterrupt

    # What is ignored, as under `nohup`, stays ignored.
    before = {number: handler for number in REQUESTS if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(number: int, reporter: Reporter) -> int:
    reporter.error("interrupted; nothing was left half-written")
    return 128 + number


def _report(error: BaseException, reporter: Reporter) -> int:
    """Say what went wrong, and whose fault it is."""
    match error:
        case CorecastError():
            reporter.error(str(error))
            return error.exit_status
        case KeyboardInterrupt() | typer.Abort():
            return _interrupted(signal.SIGINT, reporter)
        case TyperException():
            help = "`corecast COMMAND --help` says what it takes"
            reporter.error(str(Problem("usage", error.format_message(), help=help)))
            return error.exit_code
        case BrokenPipeError():
            # Whoever read the output has seen enough (`corecast layers | head`); Python would write to it once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        case OSError():
            place = str(error.filename) if error.filename else None
            reporter.error(str(Problem("system", error.strerror or str(error), place=place)))
            return CorecastError.exit_status
        case ModuleNotFoundError(name=name) if name in NEEDED_TO_CONVERT:
            help = "checking rules works without it"
            if "onnx" not in name:
                help += "; an ONNX model is taken as it is with `--ir onnx`, or with an output OUT.onnx"
            message = f"this command needs {NEEDED_TO_CONVERT[name]}"
            reporter.error(str(Problem("not-installed", message, help=help)))
            return CorecastError.exit_status
        case _:
            traceback.print_exception(error)
            reporter.error(str(_fault(error)))
            return INTERNAL_FAULT


def _fault(error: BaseException) -> Problem:
    """Whose fault it is that something was raised which is no `CorecastError`."""
    if found := blame(error):
        name, text = type(error).__name__, last_line(error)
        message = f"`{found.called}`, which {found.owner} adds, raised {name}: {text}"
        help = f"report it to its makers, with the lines above; corecast without it: uninstall {found.owner}"
        return Problem("broken-extension", message, help=help, place=found.place)
    return Problem("internal", "this is a fault of corecast; please report it with the lines above")


def run() -> int:
    """The console script: `main` in a process of its own, where one can be had."""
    if sys.platform != "linux":  # elsewhere to fork is not safe, and the shell alone tells a crash
        return main()
    try:
        return supervise(main)
    except CorecastError as error:
        return _report(error, Reporter())
