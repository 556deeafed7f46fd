"""`corecast targets`: what is known of each target, and which of them this machine is."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from corecast.api.options import Json, UsageError
from corecast.lang import Problem
from corecast.model import Target, find_target, known_targets
from corecast.model.record import Record
from corecast.report import Reporter, rows_table
from corecast.report.targets import DTYPES, OVERVIEW, dtype_rows, overview, sources_of

TargetRow = Annotated[
    str | None, typer.Argument(metavar="TARGET", help="All that is known of one, such as cuda:sm_90a.")
]
Here = Annotated[bool, typer.Option("--here", help="Which targets this machine has: its CPU, and GPUs if any.")]


class HereCpu(Record):
    """This machine's CPU: LLVM's name, the best target whose features it reports, what it lacks for others."""

    name: str | None
    machine: str
    cores: int
    target: str | None
    lacking: dict[str, tuple[str, ...]]


class HereGpu(Record):
    """A CUDA device, and its target where the table has one."""

    number: int
    name: str
    arch: str
    bytes: int
    target: str | None


class ThisMachine(Record):
    """What `targets --here --json` prints."""

    cpu: HereCpu
    gpus: tuple[HereGpu, ...]


def targets(target: TargetRow = None, here: Here = False, json_: Json = False) -> None:
    """What each target computes with: by TVM's code, in silicon, and as far as tuners reach; or what is here."""
    reporter = Reporter()
    if here:
        if target:
            message = "`--here` looks at this machine, whatever its target"
            raise UsageError(Problem("wrong-arguments", message, help="leave one of the two away"))
        found = this_machine()
        reporter.json(found.model_dump_json(indent=2)) if json_ else reporter.text(_describe(found))
        return
    rows = [find_target(target)] if target else known_targets()
    if json_:
        reporter.json(json.dumps([row.model_dump() for row in rows], indent=2))
    elif target:
        _show_one(rows[0], reporter)
    else:
        reporter.show(rows_table(OVERVIEW, overview(rows)))


def _show_one(target: Target, reporter: Reporter) -> None:
    reporter.text(f"{target.name}: {target.title}")
    if target.features:
        reporter.text(f"a CPU must report {', '.join(target.features)}")
    sources = sources_of(target.dtypes.values())
    reporter.show(rows_table(DTYPES, dtype_rows(target, sources)))
    reporter.text("\n".join(["sources", *(f"  {number}. {source}" for number, source in enumerate(sources, 1))]))


def this_machine() -> ThisMachine:
    """What TVM and its LLVM find here; no device is a finding like any other."""
    from corecast.backends.host import cores, cpu_name, gpus, host_arch, machine, missing_flags

    cpus = [target for target in known_targets() if target.arch and target.machine == machine()]
    lacking = {target.name: missing_flags(target.arch) for target in cpus if target.arch}
    arch = host_arch()
    return ThisMachine(
        cpu=HereCpu(
            name=cpu_name(),
            machine=machine(),
            cores=cores(),
            target=next((target.name for target in cpus if target.arch == arch), None),
            lacking={name: missing for name, missing in lacking.items() if missing},
        ),
        gpus=tuple(
            HereGpu(number=gpu.number, name=gpu.name, arch=gpu.arch, bytes=gpu.bytes, target=_target_of(gpu.arch))
            for gpu in gpus()
        ),
    )


def _target_of(arch: str) -> str | None:
    """The target of a device: the one with what only this very architecture has, where there is one."""
    known = {target.name for target in known_targets()}
    return next((name for name in (f"cuda:{arch}a", f"cuda:{arch}") if name in known), None)


def _describe(found: ThisMachine) -> str:
    cpu = found.cpu
    code = cpu.target or "no CPU of the table, TVM's baseline"
    lines = [f"CPU  {cpu.name or 'unknown to LLVM'}, {cpu.machine}, {cpu.cores} cores: `llvm` is {code} here"]
    lines += [f"     not {name}: it does not report {', '.join(missing)}" for name, missing in cpu.lacking.items()]
    for gpu in found.gpus:
        target = gpu.target or f"none of the table: {gpu.arch}"
        lines.append(f"GPU  {gpu.number}: {gpu.name}, {gpu.bytes / 2**30:.0f} GiB: {target}")
    if not found.gpus:
        lines.append("GPU  none: TVM finds no CUDA device; plans for one can be made here, and not be run")
    return "\n".join(lines)
