"""One kernel of each walk over tiles under compute-sanitizer, which watches every access: `python -m gpu.sanitizing`.

The kernels are compiled before; what the sanitizer runs (`... FOLDER`) loads them, calls them and compares.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from corecast.backends.schedules.hwnc_sm90.space import Chip, points
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs
from gpu.checks import FEW, SMALL
from gpu.compiling import Wanted, export_all, loaded

TOOLS = ("memcheck", "synccheck", "initcheck")
CONVS = ("3x3, half", "3x3, int8", "3x3, one image, int8")


def wanted() -> Iterator[Wanted]:
    """For some convolutions, the last point of the space of each way to go over tiles, and of each split."""
    for name in CONVS:
        conv = SMALL[name]
        last: dict[object, Knobs] = {}
        for knobs in points(conv, Chip(multiprocessors=FEW)):
            last[knobs.teams, knobs.persistent, knobs.resident, knobs.split > 1] = knobs
        yield from (Wanted(conv, knobs, name, FEW) for knobs in last.values())


def sanitized(tools: tuple[str, ...] = TOOLS) -> Iterator[str]:
    """A line for each tool: what it said at the end."""
    found = shutil.which("compute-sanitizer")
    if found is None:
        yield "compute-sanitizer is not installed."
        return
    with tempfile.TemporaryDirectory() as folder:
        kernels = list(wanted())
        export_all(kernels, Path(folder))
        yield f"{len(kernels)} kernels, the smallest of each walk, under compute-sanitizer:\n"
        for tool in tools:
            command = [found, "--tool", tool, sys.executable, "-m", "gpu.sanitizing", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            right = sum(line == "right" for line in said)
            errors = [line.strip("= ") for line in said if "ERROR SUMMARY" in line]
            yield f"- {tool}: {right} of {len(kernels)} right; {'; '.join(errors) or said[-1:]}"
            if not any(error.endswith("0 errors") for error in errors):
                yield from (f"  - {line.strip('= ')}" for line in said[:12])


def run(folder: Path) -> None:
    from gpu.reference import Example

    for number, each in enumerate(wanted()):
        print(Example.fresh(each.conv, number).called(loaded(folder / f"{number}.so")) or "right", flush=True)
    os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
    for line in sanitized():
        print(line, flush=True)
