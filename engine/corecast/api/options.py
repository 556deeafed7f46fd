"""Arguments that several commands share, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corecast.adapters.door import Adapter, find_adapter, ir_of_file
from corecast.adapters.toolchain import IRS_OF_TVM, has_relay
from corecast.adapters.whole import whole_file
from corecast.lang import CorecastError, Problem
from corecast.lang.nodes import Scalar
from corecast.model import Target, find_target
from corecast.plan import Plan, read_plan

if TYPE_CHECKING:
    from corecast.quantization import Calibration
    from corecast.report import Reporter

ModelPath = Annotated[
    str,
    typer.Argument(
        help="An ONNX file, a torch.export program (.pt2), or a Relax or Relay module saved as JSON.", metavar="MODEL"
    ),
]
RulesPath = Annotated[
    str, typer.Argument(help="A .rules file, the folder of a pack, or the name of a pack.", metavar="RULES")
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", help="Give a parameter of the recipe another value: NAME=VALUE. Repeatable."),
]
Packs = Annotated[
    list[Path] | None,
    typer.Option("--packs", help="A folder in which packs are looked for first. Repeatable.", metavar="DIR"),
]
BundlePath = Annotated[
    Path, typer.Argument(help="A folder or an ONNX file that `corecast apply` wrote.", metavar="BUNDLE")
]
DataPath = Annotated[
    Path | None, typer.Option("--data", help="Run on these .npy or .npz files, not on seeded inputs.", metavar="DIR")
]
LabelsPath = Annotated[
    Path | None, typer.Option("--labels", help="The class of each sample: take top-1 accuracy.", metavar="LABELS.npy")
]
MetricName = Annotated[
    str | None,
    typer.Option("--metric", help="Score outputs and labels with a function of yours, more is better: my_metrics:f1."),
]
CalibrationPath = Annotated[
    Path | None,
    typer.Option(
        "--calibration", help="The ranges for what is quantized, as `corecast calibrate` wrote them.", metavar="FILE"
    ),
]
Weights = Annotated[
    str | None, typer.Option(help="Fill the weights with seeded random values of a sane scale: random:SEED.")
]
Shapes = Annotated[
    list[str] | None, typer.Option("--shape", help="Give an input another shape: NAME=8,3,224,224. Repeatable.")
]
FunctionName = Annotated[
    str | None,
    typer.Option("--function", help="Of a module with several functions the one to take, if it is not `main`."),
]
IrName = Annotated[
    str | None,
    typer.Option(
        "--ir",
        help="Take an ONNX file as it is, without TVM (onnx), or whatever an installed adapter is for; "
        "else what the installed TVM converts.",
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option("--target", help="Check dtypes against a target: llvm, cuda:sm_90a. None: what the IR has."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; docs/schemas/ has its schema.")]


class UsageError(CorecastError):
    """A command line that does not say what it should."""


def parse_shapes(options: list[str] | None) -> dict[str, tuple[int, ...]] | None:
    """`["data=8,3,224,224"]` -> `{"data": (8, 3, 224, 224)}`. Raises `UsageError`."""
    shapes = {}
    for option in options or ():
        name, mark, sizes = option.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in sizes.split(","))
            valid = bool(mark and name) and min(shapes[name]) > 0
        except ValueError:
            valid = False
        if not valid:
            help = "write the input's name and its sizes: `--shape data=8,3,224,224`"
            raise UsageError(Problem("bad-shape", f"`--shape {option}` is no shape", help=help))
    return shapes or None


def parse_params(options: list[str] | None) -> dict[str, Scalar]:
    """`["trials=8"]` -> `{"trials": "8"}`; what type it is, its parameter knows. Raises `UsageError`."""
    params: dict[str, Scalar] = {}
    for option in options or ():
        name, mark, value = option.partition("=")
        if not mark or not name:
            help = "write the parameter's name and its value: `--param trials=64`"
            raise UsageError(Problem("bad-param", f"`--param {option}` gives no value", help=help))
        if name in params:
            raise UsageError(Problem("bad-param", f"`--param {name}` is given twice", help="keep one of the two"))
        params[name] = value
    return params


def written_in(output: Path) -> str | None:
    """The IR of a converted model by its name, `OUT.onnx`; of a bundle that of the installed TVM (None)."""
    ir = ir_of_file(output)
    return None if ir in IRS_OF_TVM else ir


def taken_as(path: str | Path, ir: str | None) -> str:
    """The IR that a model is read in: the one asked for; what a file's suffix says; else what the installed TVM has.

    An ONNX file is imported into TVM where nobody asks for `--ir onnx`.
    """
    if ir is None and (named := ir_of_file(path)) != "onnx":
        ir = named
    return ir if ir and ir not in IRS_OF_TVM else "relay" if has_relay() else "relax"


def load_options(weights: str | None, shapes: list[str] | None, function: str | None) -> dict[str, Any]:
    """Those that were given, as an adapter's `load` takes them. Raises `UsageError`."""
    given = {"weights": weights, "shapes": parse_shapes(shapes), "function": function}
    return {name: value for name, value in given.items() if value is not None}


def load_prepared(
    path: str, weights: str | None, shapes: list[str] | None, function: str | None, ir: str | None, reporter: Reporter
) -> tuple[Adapter[Any], Any]:
    """Load a model and make it fit for conversion; gives its adapter and the model. What it says of it is told."""
    adapter = find_adapter(taken_as(path, ir))
    options = load_options(weights, shapes, function)
    for name in options:
        if name not in adapter.options:
            flag = "--shape" if name == "shapes" else f"--{name}"
            message = f"models of the IR `{adapter.ir}` are not read with `{flag}`"
            raise UsageError(Problem("no-such-option", message, help="leave it away"))
    with reporter.step(f"read {path}"):
        try:
            model = adapter.load(path, **options)
        except CorecastError as error:
            is_placed = any(problem.place or problem.span for problem in error.problems)
            raise error if is_placed else error.within(path) from error.__cause__
    for note in adapter.notes(model):
        reporter.note(note)
    return adapter, model


def target_of(name: str | None) -> Target | None:
    """The target of `--target`. Raises `TargetError`."""
    return find_target(name) if name else None


def plan_in(path: Path) -> Plan:
    """The plan in a file. Raises `UsageError` and `PlanFileError`."""
    try:
        return read_plan(path)
    except OSError as error:
        message, help = f"it cannot be read: {error.strerror}", "make one with `corecast plan RULES MODEL -o plan.yaml`"
        raise UsageError(Problem("no-plan", message, help=help, place=str(path))) from error


def calibration_in(path: Path | None) -> Calibration | None:
    """The calibration in a file, where one is given. Raises `UsageError` and `CalibrationError`."""
    if path is None:
        return None
    from corecast.quantization import read_calibration

    try:
        return read_calibration(path)
    except OSError as error:
        help = "make one with `corecast calibrate RULES MODEL --data DIR -o calibration.json`"
        message = f"it cannot be read: {error.strerror}"
        raise UsageError(Problem("no-calibration", message, help=help, place=str(path))) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What is done inside makes `path`. Raises `UsageError` where the system does not let it."""
    try:
        yield
    except OSError as error:
        message = f"cannot write it: {os.strerror(error.errno) if error.errno else error}"
        help = "nothing was left behind; take another place, or make room there"
        raise UsageError(Problem("cannot-write", message, help=help, place=str(path))) from error


def refuse_existing(path: Path) -> None:
    """Raise `UsageError` where rules that are to be written could not be: something is there, or no folder is."""
    if path.exists():
        help = "name another file; corecast overwrites no rules"
        raise UsageError(Problem("output-exists", "it exists already", help=help, place=str(path)))
    check_place(path)


def check_place(path: Path) -> None:
    """Raise `UsageError` where there is no folder to write `path` into: said before the work, and not after it."""
    if not path.parent.is_dir():
        message = f"cannot write it: there is no folder {path.parent}"
        raise UsageError(
            Problem("cannot-write", message, help="make the folder, or take another place", place=str(path))
        )


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all. Raises `UsageError`."""
    with writing(path), whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
