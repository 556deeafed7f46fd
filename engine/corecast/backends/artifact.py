"""A model, a target and records in, one file out that TVM's runtime alone can run: code, weights and all.

The weights lie inside, so that there is one file to copy and nothing to load by name; it takes its inputs alone. What
runs it needs `libtvm_runtime`, and neither a compiler nor Corecast.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from tvm.ir import IRModule
from tvm.support import cc

from corecast.backends.build import Executable, compiled
from corecast.backends.host import machine
from corecast.backends.pipeline import BuildError, uncompilable
from corecast.backends.records import Records
from corecast.lang.problems import Problem
from corecast.model import Target

# A library; the object files that one is linked from, for where no linker for the target is.
LIBRARY, OBJECTS = ".so", ".tar"

# Linking takes five times as much memory, and beyond 2 GiB code does not reach its data any more.
MOST_WEIGHTS = 2**30


def check_output(path: Path, target: Target) -> None:
    """Raise `BuildError` for what cannot come of a build, before it takes its time."""
    if path.suffix not in (LIBRARY, OBJECTS):
        help = f"`-o {path.stem}{LIBRARY}`, or `-o {path.stem}{OBJECTS}` to link elsewhere"
        message = f"a build makes a {LIBRARY} or a {OBJECTS}"
        raise BuildError(Problem("wrong-output", message, help=help, place=str(path)))
    if path.suffix == LIBRARY:
        _linker(target)


def room_for(parameters: Mapping[str, NDArray[np.generic]]) -> int:
    """How many bytes are needed where a library is linked: objects, the library, and code of some MiB."""
    return 2 * sum(array.nbytes for array in parameters.values()) + 2**24


def assemble(
    module: IRModule, parameters: Mapping[str, NDArray[np.generic]], target: Target, records: Records | None
) -> Executable:
    """Compile a module with its parameters inside.

    Raises:
        BuildError: where TVM cannot compile it, a dtype would be wrong there, or the parameters are too large.
    """
    if problem := uncompilable(module, target):
        raise BuildError(problem)
    size = sum(array.nbytes for array in parameters.values())
    if size > MOST_WEIGHTS:
        message = f"its weights take {size / 2**30:.1f} GiB, and a library holds {MOST_WEIGHTS / 2**30:.0f} GiB"
        raise BuildError(Problem("too-large", message, help="run it from its bundle: `corecast run`"))
    return compiled(module, target, records, parameters)


def write_artifact(executable: Executable, path: Path) -> None:
    """Link an assembled module. Raises `BuildError`, and `OSError` where the disk is full."""
    options = {"fcompile": _linker(executable.target)} if path.suffix == LIBRARY else {}
    try:
        with TemporaryDirectory(dir=path.parent) as objects:  # where there is room for them if there is for the library
            executable.code.export_library(str(path), workspace_dir=objects, **options)
    except RuntimeError as error:  # of the linker that TVM calls
        help = f"`-o {path.stem}{OBJECTS}` keeps the object files, to be linked elsewhere"
        raise BuildError(Problem("linking-failed", _said(str(error)), help=help, place=str(path))) from error


def _linker(target: Target) -> Callable[..., None]:
    """What links for a target here. Raises `BuildError`."""
    if target.machine in (None, machine()):
        if cc.get_cc() is None:
            help = f"install a C compiler, or write `{OBJECTS}` and link it elsewhere"
            raise BuildError(Problem("no-linker", "no C compiler is here to link a library with", help=help))
        link: Callable[..., None] = cc.create_shared
        return link
    name = next((name for kind in ("g++", "gcc") if shutil.which(name := f"{target.machine}-linux-gnu-{kind}")), None)
    if name is None:
        message = f"no linker for {target.machine} is here: {target.machine}-linux-gnu-gcc"
        help = f"install it, or write `{OBJECTS}` and link it there: `tar xf model.tar && cc -shared -o model.so *.o`"
        raise BuildError(Problem("no-linker", message, help=help))
    cross: Callable[..., None] = cc.cross_compiler(name)
    return cross


def _said(output: str) -> str:
    """The line of a linker's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("Command line")]
    telling = ("No space", "cannot", "error")
    return "the linker fails: " + next(
        (line for word in telling for line in lines if word in line), lines[-1] if lines else "without a word"
    )
