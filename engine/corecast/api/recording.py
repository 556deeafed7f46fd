"""The commands `records ...`: a store of tuning records in, what it holds, merged, pruned or exchanged, out."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corecast.adapters.bundle import RECORDS, STORE
from corecast.api.options import UsageError
from corecast.lang import Problem
from corecast.recipe.packs import PACK_FILE
from corecast.report import Reporter, rows_table

if TYPE_CHECKING:
    from corecast.backends import Record, Store

records_app = typer.Typer(help="Records of tuning: list, show, merge, prune, export and import them.")

StorePath = Annotated[Path, typer.Argument(metavar="STORE", help="A file of records, or a bundle or pack with one.")]
Folder = Annotated[Path, typer.Argument(help="With MetaSchedule's two JSON files.")]


@records_app.command("list")
def list_(store: StorePath) -> None:
    """Every record: what it is for, its schedule, and what it brought."""
    rows = (
        (
            record.id,
            record.target,
            record.dtype,
            record.tvm,
            _short(record.computes),
            _schedule(record),
            f"{record.seconds * 1e6:.0f}",
            f"{record.untuned / record.seconds:.1f}x",
        )
        for record in _open(store).records()
    )
    columns = ("record", "target", "dtype", "tvm", "computes", "schedule", ">us", ">gain")
    Reporter().show(rows_table(columns, rows))


@records_app.command()
def show(
    store: StorePath, record: Annotated[str, typer.Argument(help="As `list` has it, or the beginning of it.")]
) -> None:
    """One record, with all that is known of it, and how many candidates were tried for it."""
    opened = _open(store)
    found = [each for each in opened.records() if each.id.startswith(record)]
    if len(found) != 1:
        message = f"{len(found) or 'no'} records begin with `{record}`"
        raise UsageError(Problem("unknown-record", message, help="`corecast records list` has them all"))
    (one,) = found
    trials = opened.trials(one)
    named = {field.name: str(getattr(one, field.name)) for field in fields(one) if field.name != "kernel"}
    named["computes"] = named["computes"].replace("; ", "\n             ")
    failed = sum(trial.seconds is None for trial in trials)
    named["trials"] = f"{len(trials)}, {failed} failed"
    Reporter().text("\n".join(f"{name:<12} {value}" for name, value in named.items()))


@records_app.command()
def merge(store: StorePath, others: Annotated[list[Path], typer.Argument(help="Where the records come from.")]) -> None:
    """Take from other stores what is missing in this one or faster there, for every target; the store may be new."""
    from corecast.backends import Store

    sources = [_open(other) for other in others]
    opened = Store.create(_file(store))
    for source in sources:
        taken = opened.merge(source.records())
        Reporter().text(f"{source.path}: {taken} of {len(source.records())} records taken")


@records_app.command()
def prune(store: StorePath) -> None:
    """Drop what can no longer be used here: records of other versions of TVM and of families, and all trials."""
    from corecast.backends import useless

    opened = _open(store, writable=True)
    records, trials = opened.prune([record for record in opened.records() if useless(record)])
    Reporter().text(
        f"{opened.path}: {records} records and {trials} trials dropped, {len(opened.records())} records kept"
    )


@records_app.command("export")
def export_(store: StorePath, folder: Folder) -> None:
    """Write the records of searches as MetaSchedule's JSON; schedules of families have no such form."""
    from corecast.backends import exported

    written, left = exported(_open(store), folder)
    Reporter().text(f"{folder}: {written} records written")
    for record in left:
        Reporter().note(f"left out {record.id}: {_schedule(record)} is no trace of TVM's")


@records_app.command("import")
def import_(store: StorePath, folder: Folder) -> None:
    """Take MetaSchedule's JSON as candidates: the next `tune` checks them and records what is right and faster."""
    from corecast.backends import Store, imported

    taken, refused = imported(folder, Store.create(_file(store)))
    Reporter().text(f"{folder}: {taken} candidates taken")
    for reason in refused:
        Reporter().note(f"left out {reason}")


def _open(path: Path, *, writable: bool = False) -> Store:
    from corecast.backends import Store

    return Store.open(_file(path), writable=writable)


def _file(path: Path) -> Path:
    """The store itself, or the one in a pack or a bundle, where there may be none yet."""
    if not path.is_dir():
        return path
    return path / STORE if (path / PACK_FILE).exists() else path / RECORDS / STORE


def _short(computes: str) -> str:
    """The operators of a kernel and what it makes: `nn.conv2d add nn.relu -> float32 1x56x56x64`."""
    steps = [part.split(" = ", 1)[1] for part in computes.split("; ") if "(" in part]
    if not steps:
        return computes
    return f"{' '.join(step.split('(', 1)[0] for step in steps)} -> {steps[-1].rsplit(' -> ', 1)[-1]}"


def _schedule(record: Record) -> str:
    from corecast.backends.schedules.stored import from_text

    return str(from_text(record.schedule))
