"""What to measure, how often, and how it is told: a name in, the lines of a Markdown table out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.starting import starting

Samples = dict[str, list[float]]

SIZES = (1_000, 10_000, 100_000)
RULES = (1, 10, 50)
RUNS = {1_000: 5, 10_000: 3, 100_000: 1}


def measured(runs: int, *arguments: object) -> Samples:
    """The numbers of so many processes, each of which makes the same measurement."""
    samples: Samples = {}
    for _ in range(runs):
        command = [sys.executable, "-m", "bench.measure", *map(str, arguments)]
        done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
        for name, number in json.loads(done.stdout.splitlines()[-1]).items():
            samples.setdefault(name, []).append(number)
    print(".", end="", file=sys.stderr, flush=True)
    return samples


def seconds(values: Sequence[float]) -> str:
    """The median, and the least and the most where there are several."""
    middle = f"{median(values):.2g}" if median(values) < 10 else f"{median(values):.0f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.2g}–{max(values):.2g})"


def number(values: Sequence[float]) -> str:
    return f"{median(values):,.0f}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def growth() -> Iterator[str]:
    """Every step, by operators and rules."""
    steps = ("prepare", "survey", "plan", "compile", "apply")

    def rows() -> Iterator[list[str]]:
        for size in SIZES:
            for rules in RULES:
                samples = measured(RUNS[size], "convert", size, rules)
                yield [f"{size:,}", str(rules), *(seconds(samples[step]) for step in steps), number(samples["peak"])]

    yield from table(["operators", "rules", *steps, "peak MiB"], rows())


def files() -> Iterator[str]:
    """Planning from a file, where there is no TVM."""
    steps = ("write table", "read table", "resolve", "plan", "write plan", "read plan")

    def rows() -> Iterator[list[str]]:
        for size in SIZES:
            samples = measured(RUNS[size], "plan", size, 50)
            yield [f"{size:,}", *(seconds(samples[step]) for step in steps)]

    yield from table(["operators", *steps], rows())


# Beyond these sizes a rival is left out: what it takes grows with the square of the operators.
LAYOUT = (("ConvertLayout", "rival", "convert_layout", 10_000),)
DTYPE = (
    ("pattern rewriter", "rival", "rewrite_by_pattern", 10_000),
    ("mutator by hand", "rival", "rewrite_by_mutator", 100_000),
)


def rivals() -> Iterator[str]:
    """One rule as one pass, beside TVM's own means."""

    def rows() -> Iterator[list[str]]:
        for job, others in (("set layout NHWC", LAYOUT), ("cast float16", DTYPE)):
            for size in SIZES:
                samples = measured(RUNS[size], "ours", size, job)
                yield [f"`{job}`", f"{size:,}", "corecast", seconds(samples["seconds"]), "", number(samples["peak"])]
                for name, what, rival, limit in others:
                    if size <= limit:
                        other = measured(RUNS[size], what, size, rival)
                        ratio = f"{median(samples['seconds']) / median(other['seconds']):.2f}"
                        yield ["", "", name, seconds(other["seconds"]), ratio, number(other["peak"])]

    yield from table(["one rule", "operators", "by", "seconds", "corecast takes, times", "peak MiB"], rows())


def llama() -> Iterator[str]:
    """Llama 70B without its weights."""
    samples = measured(3, "llama", 80)
    columns = ["operators", "layers planned", "survey", "plan", "compile", "apply", "peak MiB"]
    counted, timed = columns[:2], columns[2:-1]
    row = [*(number(samples[name]) for name in counted), *(seconds(samples[name]) for name in timed)]
    yield from table(columns, [[*row, number(samples["peak"])]])


def memory() -> Iterator[str]:
    """The most memory that converting takes, beside weights."""

    def rows() -> Iterator[list[str]]:
        for operators, channels in ((300, 512), (1_000, 384)):
            samples = measured(1, "memory", operators, channels)
            more = samples["peak"][0] - samples["before"][0]
            weights, ratio = samples["weights"], f"{more / samples['weights'][0]:.2f}"
            yield [f"{operators:,}", number(weights), number(samples["before"]), number(samples["peak"]), ratio]

    yield from table(["operators", "weights MiB", "before MiB", "peak MiB", "peak − before, in models"], rows())


def calibration() -> Iterator[str]:
    """Digits through the trained network, by every method."""

    def rows() -> Iterator[list[str]]:
        for images, method in ((64, "min-max"), *((512, name) for name in ("min-max", "percentile", "entropy", "mse"))):
            samples = measured(3, "calibrate", images, method)
            peaks = number(samples["before"]), number(samples["peak"])
            yield [str(images), method, seconds(samples["calibrate"]), *peaks]

    yield from table(["images", "method", "seconds", "before MiB", "peak MiB"], rows())


def quantization() -> Iterator[str]:
    """A hundred million parameters: calibrated on two samples, and put on integers."""

    def rows() -> Iterator[list[str]]:
        for what, step in (("calibrate_large", "calibrate"), ("quantize", "apply")):
            samples = measured(3, what, 433, 512)
            sizes = [number(samples[name]) for name in ("parameters", "weights")]
            after = number(samples["after"]) if "after" in samples else ""
            more = (median(samples["peak"]) - median(samples["before"])) / samples["weights"][0]
            yield [step, *sizes, after, seconds(samples[step]), number(samples["peak"]), f"{more:.2f}"]

    columns = ["step", "parameters, millions", "weights MiB", "after MiB", "seconds", "peak MiB"]
    yield from table([*columns, "peak − before, in models"], rows())


_MODEL = "from pydantic import BaseModel\nclass Model(BaseModel):\n    number: int"
_DOOR = "from corecast.api import read_recipe, plan, explain, describe"
_FIRST = """from corecast.api import Source, plan, read_recipe
from corecast.model import parse_table
table = parse_table(
    "x: float32 8x64x32x32\\nnn.conv2d#0(x, %w: float32 64x64x3x3) -> float32 8x64x30x30\\nreturn nn.conv2d#0"
)
plan(read_recipe(Source("one.rules", "match nn.conv2d, set layout NHWC"), table), table)
"""
STARTS = {
    "pydantic, and one model of one field": _MODEL,
    "lark": "import lark",
    "yaml": "import yaml",
    "those three": f"{_MODEL}\nimport lark, yaml",
    "`corecast.lang`": "import corecast.lang",
    f"`{_DOOR}`": _DOOR,
    "... and a first recipe, read and planned": _FIRST,
    "`corecast.api.cli`": "import corecast.api.cli",
    "`corecast.adapters.onnx`": "import corecast.adapters.onnx",
    "`corecast.adapters.relax`, with TVM": "import corecast.adapters.relax",
}


def imports() -> Iterator[str]:
    """What it takes to be there."""

    def milliseconds(values: Sequence[float]) -> str:
        middle, least, most = (round(1000 * value) for value in (median(values), min(values), max(values)))
        return f"{middle} ({least}–{most})"

    samples = starting(list(STARTS.values()), runs=21)
    yield from table(
        ["import", "ms"], ([name, milliseconds(found)] for name, found in zip(STARTS, samples, strict=True))
    )


def published() -> Iterator[str]:
    """The graphs that the onnx package ships: reading them, and their transposes in NHWC beside the fewest."""
    steps, counts = ("import", "prepare", "survey"), ("transposes", "fewest")
    names = ("alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19")

    def rows() -> Iterator[list[str]]:
        for name in names:
            samples = measured(1, "published", name)
            row = [name, number(samples["operators"]), *(seconds(samples[step]) for step in steps)]
            yield [*row, *(number(samples[count]) for count in counts)]

    yield from table(["model", "operators", *steps, *counts], rows())


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "growth": growth,
    "files": files,
    "rivals": rivals,
    "llama": llama,
    "memory": memory,
    "calibration": calibration,
    "quantization": quantization,
    "imports": imports,
    "published": published,
}
