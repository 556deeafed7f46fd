"""A conversion in, a folder out that appears whole or not at all, and back; the same form for every IR.

plan.yaml             what was decided, and why
module.json           the converted module with its parameters lifted out, as `tvm.ir.load_json` reads it; functions
                      of the original that were not converted stand in it as they were
module.py, .txt       the same to be read: TVMScript, or Relay's text
weights.safetensors   the parameters, in the order of the module's trailing arguments
report.json           the IR, where the original lies, what was predicted and realised, and what was measured since
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from corecast.adapters.agreement import Realised
from corecast.adapters.source import Origin
from corecast.adapters.toolchain import Ir, refuse_other_ir
from corecast.adapters.weights_file import Array, read_weights, write_weights
from corecast.adapters.whole import whole_file, whole_folder
from corecast.lang.problems import CorecastError, Problem
from corecast.model.files import FormatVersion, first_objection
from corecast.plan import Plan, Prediction, format_plan, read_plan
from corecast.recipe import Tune
from corecast.verify import Verification

PLAN, MODULE, WEIGHTS, REPORT = "plan.yaml", "module.json", "weights.safetensors", "report.json"
RECORDS = "records"  # the folder of what was tuned
STORE = "records.sqlite"  # the file in it, and that of a pack

_Model = TypeVar("_Model")


class BundleError(CorecastError):
    """A folder that is no whole bundle, or that stands where one should be written."""


class Report(BaseModel):
    """What is known about a bundle beside its plan; `origin` says how to load the original again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corecast_bundle: FormatVersion = 1
    ir: Ir = "relax"  # the first bundles did not say
    corecast: str
    tvm: str
    model: str
    fingerprint: str
    function: str = "main"
    origin: Origin | None
    predicted: Prediction
    realised: Realised
    verification: Verification | None = None


@dataclass(frozen=True)
class Bundle(Generic[_Model]):
    """A bundle that was read: the converted model, its plan and its report."""

    path: Path
    plan: Plan
    model: _Model
    report: Report


def corecast_version() -> str:
    """The version of the installed distribution; a checkout that merely stands on the path has none."""
    try:
        return version("corecast")
    except PackageNotFoundError:
        return "a checkout"


def absolute(origin: Origin | None) -> Origin | None:
    """An origin that can be found from anywhere."""
    return origin and origin.model_copy(update={"path": str(Path(origin.path).resolve())})


def write_folder(
    path: Path, plan: Plan, texts: Mapping[str, str], parameters: Mapping[str, Array], report: Report
) -> None:
    """Write a bundle as a new folder.

    Args:
        path: where nothing stands yet.
        plan: what was decided.
        texts: the module, by the names of the files that hold it.
        parameters: in the order of the module's trailing arguments.
        report: what is known of the conversion.

    Raises:
        BundleError: where something stands at `path` already.
        OSError: where the disk is full or not ours to write; nothing is left behind then.
    """
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(path) as draft:
        for name, text in {PLAN: format_plan(plan), **texts, REPORT: _dump(report)}.items():
            (draft / name).write_text(text, encoding="utf-8")
        write_weights(parameters, draft / WEIGHTS)
        # safetensors makes its file readable for its owner alone.
        (draft / WEIGHTS).chmod((draft / PLAN).stat().st_mode)


def refuse_existing(path: Path) -> None:
    """Raise `BundleError` where something stands at `path`: worth asking before a long conversion."""
    if os.path.lexists(path):  # a link that leads nowhere is something too
        help = "name another folder, or remove this one first; corecast overwrites nothing"
        raise BundleError(Problem("output-exists", "it exists already", help=help, place=str(path)))


def _dump(report: Report) -> str:
    return report.model_dump_json(indent=2) + "\n"


def read_report(path: Path) -> Report:
    """The report of a bundle, which any TVM or none can read. Raises `BundleError`."""
    if not path.is_dir():
        help = "make one with `corecast apply`"
        raise BundleError(Problem("no-bundle", "there is no bundle here", help=help, place=str(path)))
    with _part(path / REPORT) as part:
        return Report.model_validate(json.loads(part.read_text(encoding="utf-8")))


def read_folder(
    path: Path, ir: Ir, read_module: Callable[[str, Report], _Model], arguments: Callable[[_Model], Mapping[str, str]]
) -> tuple[Report, Plan, _Model, dict[str, Array]]:
    """Read a bundle.

    Args:
        path: the folder.
        ir: the one that the bundle must be in.
        read_module: from the text of `module.json` and the report to the module; raises `ValueError` for anything else.
        arguments: the names of the arguments of a module's `main`, in their order, with their types as `type_text` has
            them.

    Raises:
        BundleError: with the part that is missing or damaged.
        NoRelayError, NoRelaxError: where the installed TVM cannot read it.
    """
    report = read_report(path)
    refuse_other_ir(report.ir, f"{path} holds a {report.ir.capitalize()} module")
    if report.ir != ir:
        raise BundleError(Problem("other-ir", f"it holds a {report.ir.capitalize()} module", place=str(path)))
    with _part(path / PLAN) as part:
        plan = read_plan(part)
    with _part(path / MODULE) as part:
        module = read_module(part.read_text(encoding="utf-8"), report)
        types = arguments(module)
    with _part(path / WEIGHTS) as part:
        parameters = read_weights(part)
        wanted = dict(list(types.items())[-len(parameters) :] if parameters else ())
        if wanted != {name: type_text(array.dtype, array.shape) for name, array in parameters.items()}:
            raise ValueError(f"it does not hold the parameters of {MODULE}")
    return report, plan, module, {name: parameters[name] for name in wanted}


def type_text(dtype: object, shape: Iterable[int] | None) -> str:
    """A tensor type as modules and arrays are compared by."""
    return f"{dtype} {'?' if shape is None else tuple(shape)}"


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    """Make whatever reading a file of a bundle raises the error that names the file."""
    try:
        yield path
    except FileNotFoundError as error:
        raise _damaged(path, "it is missing") from error
    except OSError as error:
        raise _damaged(path, f"it cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise _damaged(path, first_objection(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, what: str) -> BundleError:
    help = "make the bundle anew with `corecast apply`"
    return BundleError(Problem("damaged-bundle", what, help=help, place=str(path)))


def record_verification(bundle: Bundle[_Model], verification: Verification) -> Bundle[_Model]:
    """Write a verification into the bundle's report, in one step."""
    report = bundle.report.model_copy(update={"verification": verification})
    with whole_file(bundle.path / REPORT) as draft:
        draft.write_text(_dump(report), encoding="utf-8")
    return replace(bundle, report=report)


def layers_to_tune(bundle: Bundle[_Model], layers: Sequence[str] | None = None) -> dict[str, Tune]:
    """What a bundle's plan asks for the layers that it marks for tuning, or for some of them.

    Raises `BundleError` where it marks none, or not one of `layers`.
    """
    marked = {layer: edit for layer, edit in bundle.plan.decided("schedule").items() if isinstance(edit, Tune)}
    chosen = marked if layers is None else {layer: marked[layer] for layer in layers if layer in marked}
    missing = [layer for layer in layers or () if layer not in marked]
    if missing or not chosen:
        message = (
            f"the plan marks no tuning for {', '.join(missing)}" if missing else "the plan marks no layer for tuning"
        )
        help = "write `tune tensorcore` in a rule that matches it, and apply the recipe anew"
        raise BundleError(Problem("not-marked", message, help=help, place=str(bundle.path)))
    return chosen
