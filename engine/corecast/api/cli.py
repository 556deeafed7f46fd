"""The command line: `corecast COMMAND ...`. Exit status 0 done, 1 a check failed, 2 the input is wrong, 3 our fault."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

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
    try:
        result = app(arguments, standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        return _report(error, Reporter())
    return result if isinstance(result, int) else 0


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
