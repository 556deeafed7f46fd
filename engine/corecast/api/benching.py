"""The command `bench`: a bundle in, how fast it runs and where the time goes out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from corecast.api.building import another_tvm
from corecast.api.converting import refuse_relay
from corecast.api.options import BundlePath, Json, UsageError, write_whole
from corecast.lang import Problem
from corecast.model import find_target
from corecast.report import Reporter
from corecast.report.benchmark import contenders_table, kernels_table, summary
from corecast.report.drawing import svg

TargetText = Annotated[str, typer.Option("--target", help="Which has to be here: llvm (this machine), cuda:sm_90a.")]
Repeats = Annotated[int, typer.Option(min=3, help="How many times each one runs; a slow one less often.")]
Against = Annotated[
    Literal["onnxruntime"] | None, typer.Option("--against", help="Let the original run in ONNX Runtime too.")
]
PlotPath = Annotated[
    Path | None, typer.Option("--plot", help="Draw each kernel before and after tuning.", metavar="FILE.svg")
]
Seed = Annotated[int, typer.Option(help="Of the inputs.")]


def bench(
    bundle: BundlePath,
    target: TargetText = "llvm",
    repeats: Repeats = 10,
    against: Against = None,
    plot: PlotPath = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Measure a bundle here: beside itself untuned, kernel by kernel, against the machine's peak."""
    refuse_relay(bundle, "bench")
    chip = find_target(target)
    if plot and os.path.lexists(plot):
        help = "name another file, or remove this one first; corecast overwrites nothing"
        raise UsageError(Problem("output-exists", "it exists already", help=help, place=str(plot)))
    from corecast.adapters.relax import read_bundle
    from corecast.api.benchmark import bench_bundle

    reporter = Reporter()
    read = read_bundle(bundle)
    for note in another_tvm(read.report):
        reporter.note(note)
    found = bench_bundle(read, chip, repeats=repeats, against=against, seed=seed, reporter=reporter)
    if plot:
        write_whole(plot, svg(found))
    if json_:
        reporter.json(found.model_dump_json(indent=2))
        return
    reporter.text(summary(found))
    reporter.show(contenders_table(found))
    reporter.show(kernels_table(found))
