"""The command line: `corecast COMMAND ...`. Exit status 0 done, 1 a check failed, 2 the input is wrong, 3 our fault."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click
import typer

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

INTERNAL_FAULT = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `arguments` default to those of the process."""
    try:
        result = app(arguments, standalone_mode=False)
    except CorecastError as error:
        Reporter().error(str(error))
        return error.exit_status
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        Reporter().error("interrupted; nothing was left half-written")
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        Reporter().error("error[internal]: this is a fault of corecast; please report it with the lines above")
        return INTERNAL_FAULT
    return result if isinstance(result, int) else 0


def run() -> None:
    """The console script."""
    sys.exit(main())
