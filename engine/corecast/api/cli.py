"""The command line: `corecast COMMAND ...`. Exit status 0 done, 1 a check failed, 2 wrong input, 3 our fault."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import typer
from typer.exceptions import TyperException

from corecast.api import converting, doctor, reading
from corecast.lang import CorecastError
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
app.command()(reading.check)
app.command()(reading.fmt)
app.command()(reading.plan)
app.command()(reading.explain)
app.command("compile")(reading.compile_)
app.command("apply")(converting.apply_)
app.command("verify")(converting.verify)
app.command("tune")(converting.tune)
app.command("run")(converting.run)
app.command("doctor")(doctor.doctor)

# Whoever only plans, checks and explains may have left these out.
NEEDED_TO_CONVERT = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi", "onnx": "onnx"}

INTERNAL_FAULT = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `arguments` default to those of the process."""
    with _interrupts() as interrupted:
        try:
            result = app(arguments, standalone_mode=False)
        except (Exception, KeyboardInterrupt) as error:
            # Inside TVM a keyboard interrupt becomes an error of its own.
            result = _report(KeyboardInterrupt() if interrupted else error, Reporter())
        else:
            if interrupted:
                result = _report(KeyboardInterrupt(), Reporter())
    return result if isinstance(result, int) else 0


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note every Ctrl-C in a list; whoever catches the exception that it becomes may have lost its name."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _report(error: BaseException, reporter: Reporter) -> int:
    """Say what went wrong, and whose fault it is."""
    match error:
        case CorecastError():
            reporter.error(str(error))
            return error.exit_status
        case TyperException():
            reporter.error(
                f"error[usage]: {error.format_message()}\n  help: `corecast COMMAND --help` says what it takes"
            )
            return error.exit_code
        case KeyboardInterrupt() | typer.Abort():
            reporter.error("interrupted; nothing was left half-written")
            return INTERRUPTED
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            reporter.error(f"error[system]: {place}{error.strerror or error}")
            return CorecastError.exit_status
        case ModuleNotFoundError(name=name) if name in NEEDED_TO_CONVERT:
            help = "checking and formatting rules work without it"
            reporter.error(f"error[not-installed]: this command needs {NEEDED_TO_CONVERT[name]}\n  help: {help}")
            return CorecastError.exit_status
        case _:
            traceback.print_exception(error)
            reporter.error("error[internal]: this is a fault of corecast; please report it with the lines above")
            return INTERNAL_FAULT


def run() -> None:
    """The console script."""
    sys.exit(main())
