"""Arguments that several commands share, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from corecast.adapters.toolchain import has_relay
from corecast.adapters.whole import whole_file
from corecast.lang import CorecastError, Problem
from corecast.lang.nodes import Scalar
from corecast.model import Target, find_target
from corecast.plan import Plan, read_plan

if TYPE_CHECKING:
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
Ir = Literal["relax", "relay", "onnx"]
IrName = Annotated[
    Ir | None,
    typer.Option("--ir", help="Take an ONNX file as it is, without TVM (onnx); else what the installed TVM converts."),
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


def written_in(output: Path) -> Ir | None:
    """The IR of a converted model by its name: an ONNX file's is ONNX, a bundle's that of the installed TVM (None)."""
    return "onnx" if output.suffix == ".onnx" else None


def adapter(ir: str | None = None) -> ModuleType:
    """The adapter for ONNX files as they are; else the one for the IR that the installed TVM converts: Relay's where it
    has Relay, else Relax's.

    TVM is imported with those of its IRs alone. All have `load`, `survey`, `apply`, `compile_plan` and `check_plan`.
    """
    return import_module(f"corecast.adapters.{ir if ir == 'onnx' else 'relay' if has_relay() else 'relax'}")


def load_prepared(
    path: str, weights: str | None, shapes: list[str] | None, function: str | None, ir: str | None, reporter: Reporter
) -> Any:
    """Load a model and make it fit for conversion; gives the `Model` of the adapter. Functions left alone are told."""
    room = adapter(ir)
    if ir == "onnx" and function is not None:
        raise UsageError(Problem("no-function", "an ONNX model is one function", help="leave `--function` away"))
    with reporter.step(f"read {path}"):
        if ir == "onnx":
            return room.load(path, weights=weights, shapes=parse_shapes(shapes))
        if has_relay():
            return room.load(path, weights=weights, shapes=parse_shapes(shapes), function=function)
        model = room.prepare(room.load(path, weights=weights, shapes=parse_shapes(shapes), function=function))
    if others := room.others_of(model):
        reporter.note(f"left as they are: {', '.join(others)}; `--function NAME` takes another than `{model.function}`")
    return model


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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What is done inside makes `path`. Raises `UsageError` where the system does not let it."""
    try:
        yield
    except OSError as error:
        message = f"cannot write it: {os.strerror(error.errno) if error.errno else error}"
        help = "nothing was left behind; take another place, or make room there"
        raise UsageError(Problem("cannot-write", message, help=help, place=str(path))) from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all. Raises `UsageError`."""
    with writing(path), whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
