"""The command `build`: a bundle in, one file out that TVM's runtime alone can run."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corecast.adapters.bundle import Report
from corecast.adapters.whole import clear_abandoned, whole_files
from corecast.api.converting import refuse_relay
from corecast.api.options import BundlePath, UsageError, writing
from corecast.lang import Problem
from corecast.model import LayerTable, Target, find_target
from corecast.plan import size_in_memory
from corecast.report import Reporter

if TYPE_CHECKING:
    from corecast.backends import Executable

TargetText = Annotated[str, typer.Option("--target", help="What to build for: llvm (this machine), cuda:sm_90a.")]
ArtifactPath = Annotated[
    Path, typer.Option("-o", "--output", help="A library, .so; or its object files, .tar.", metavar="model.so")
]


def build(bundle: BundlePath, output: ArtifactPath, target: TargetText = "llvm") -> None:
    """Compile a bundle, with its weights and what was tuned, into one file that TVM's runtime alone runs."""
    refuse_relay(bundle, "build")
    from corecast.adapters.relax import read_bundle, survey
    from corecast.api.conversion import records_of
    from corecast.backends.artifact import assemble, check_output, room_for, write_artifact

    reporter, chip = Reporter(), find_target(target)
    _refuse_existing(output)
    check_output(output, chip)
    for draft in clear_abandoned(output):
        reporter.error(f"removed {draft}, which an earlier run was killed in the middle of")
    found = read_bundle(bundle)
    for note in another_tvm(found.report):
        reporter.note(note)
    with writing(output):
        _check_room(output, room_for(found.model.parameters))
    with reporter.step(f"compile {bundle} for {chip.name}"):
        executable = assemble(found.model.module, found.model.parameters, chip, records_of(found, chip))
    with reporter.step(f"link {output}"), writing(output), whole_files(output) as draft:
        write_artifact(executable, draft / output.name)
    reporter.text(_describe(output, chip, executable, survey(found.model)))


def another_tvm(report: Report) -> list[str]:
    """What to say of a bundle that another TVM wrote and this one reads."""
    from importlib.metadata import version

    here = version("apache-tvm")
    if report.tvm == here:
        return []
    return [f"the bundle was written with TVM {report.tvm}, this is {here}: `corecast verify` says whether it holds"]


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        help = "name another file, or remove this one first; corecast overwrites nothing"
        raise UsageError(Problem("output-exists", "it exists already", help=help, place=str(path)))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))


def _check_room(path: Path, size: int) -> None:
    """Raise `OSError` where there is no room: LLVM ends the process when it cannot write."""
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _describe(path: Path, target: Target, executable: Executable, table: LayerTable) -> str:
    inputs = ", ".join(f"{var.name}: {table.arguments[var.name]}" for var in executable.arguments)
    kernels, tuned = len(executable.kernels), len(executable.tuned)
    lines = [
        f"{path}: {size_in_memory(path.stat().st_size)} for {target.name}, weights inside; "
        f"{tuned} of {kernels} kernels are tuned",
        f"takes {inputs}",
    ]
    if path.suffix == ".so":
        device = "cuda" if target.kind == "cuda" else "cpu"
        lines += [
            "to run it, with TVM's runtime alone (TVM_USE_RUNTIME_LIB=1):",
            f"  machine = tvm.runtime.vm.VirtualMachine(tvm.runtime.load_module({str(path)!r}), tvm.{device}())",
            f"  machine['main']({', '.join(f'tvm.runtime.tensor(x{n})' for n in range(len(executable.arguments)))})",
        ]
    return "\n".join(lines)
