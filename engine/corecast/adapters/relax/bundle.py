"""A conversion in, a folder out that appears whole or not at all, and back.

plan.yaml             what was decided, and why
module.json           the converted module with its parameters lifted out, as `tvm.ir.load_json` reads it
module.py             the same as TVMScript, to be read
weights.safetensors   the parameters, in the order of the module's trailing arguments
report.json           where the original lies, what was predicted and realised, and what was measured since
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import tvm
from pydantic import BaseModel, ConfigDict, ValidationError
from tvm.ir import IRModule

from corecast.adapters.relax.apply import Conversion, Realised
from corecast.adapters.relax.model import Model, Origin
from corecast.adapters.relax.weights_file import read_weights, write_weights
from corecast.adapters.whole import whole_file, whole_folder
from corecast.lang.problems import CorecastError, Problem
from corecast.plan import Plan, Prediction, format_plan, read_plan
from corecast.verify import Verification

PLAN, MODULE, SCRIPT, WEIGHTS, REPORT = "plan.yaml", "module.json", "module.py", "weights.safetensors", "report.json"


class BundleError(CorecastError):
    """A folder that is no whole bundle, or that stands where one should be written."""


class Report(BaseModel):
    """What is known about a bundle beside its plan; `origin` says how to load the original again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corecast_bundle: Literal[1] = 1
    corecast: str
    tvm: str
    model: str
    fingerprint: str
    origin: Origin | None
    predicted: Prediction
    realised: Realised
    verification: Verification | None = None


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read: the converted model, its plan and its report."""

    path: Path
    plan: Plan
    model: Model
    report: Report


def write_bundle(conversion: Conversion, path: str | Path) -> Bundle:
    """Write a bundle as a new folder.

    Raises:
        BundleError: where something stands at `path` already.
        OSError: where the disk is full or not ours to write; nothing is left behind then.
    """
    path = Path(path)
    refuse_existing(path)
    origin = conversion.prepared.origin
    path.parent.mkdir(parents=True, exist_ok=True)
    report = Report(
        corecast=version("corecast"),
        tvm=version("apache-tvm"),
        model=conversion.prepared.name,
        fingerprint=conversion.before.fingerprint,
        origin=origin and origin.model_copy(update={"path": str(Path(origin.path).resolve())}),
        predicted=conversion.plan.predicted,
        realised=conversion.realised,
    )
    with whole_folder(path) as draft:
        module = conversion.converted.module
        (draft / PLAN).write_text(format_plan(conversion.plan), encoding="utf-8")
        (draft / MODULE).write_text(tvm.ir.save_json(module), encoding="utf-8")
        (draft / SCRIPT).write_text(module.script(show_meta=False), encoding="utf-8")
        write_weights(conversion.converted.parameters, draft / WEIGHTS)
        # safetensors makes its file readable for its owner alone.
        (draft / WEIGHTS).chmod((draft / PLAN).stat().st_mode)
        (draft / REPORT).write_text(_dump(report), encoding="utf-8")
    return Bundle(path, conversion.plan, conversion.converted, report)


def refuse_existing(path: Path) -> None:
    """Raise `BundleError` where something stands at `path`: worth asking before a long conversion."""
    if os.path.lexists(path):  # a link that leads nowhere is something too
        help = "name another folder, or remove this one first; corecast overwrites nothing"
        raise BundleError(Problem("output-exists", f"{path} exists already", help=help))


def _dump(report: Report) -> str:
    return report.model_dump_json(indent=2) + "\n"


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle. Raises `BundleError` with the part that is missing or damaged."""
    path = Path(path)
    if not path.is_dir():
        raise BundleError(Problem("no-bundle", f"there is no bundle at {path}", help="make one with `corecast apply`"))
    try:
        report = Report.model_validate(json.loads((path / REPORT).read_text(encoding="utf-8")))
        plan = read_plan(path / PLAN)
        module = _read_module(path / MODULE)
        parameters = read_weights(path / WEIGHTS)
    except FileNotFoundError as error:
        raise _damaged(path, f"{Path(error.filename).name} is missing") from error
    except OSError as error:
        raise _damaged(path, f"{Path(error.filename).name}: {error.strerror}") from error
    except ValidationError as error:
        raise _damaged(path, f"{REPORT}: {error.errors()[0]['msg']}") from error
    except (ValueError, KeyError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    names = [var.name for var in module["main"].params][-len(parameters) :] if parameters else []
    if set(names) != set(parameters):
        raise _damaged(path, f"{WEIGHTS} does not hold the parameters of {MODULE}")
    model = Model(module, {name: parameters[name] for name in names}, report.model, report.origin)
    return Bundle(path, plan, model, report)


def _read_module(path: Path) -> IRModule:
    text = path.read_text(encoding="utf-8")
    try:
        module: Any = tvm.ir.load_json(text)
    except Exception as error:  # TVM raises whatever its reader met
        raise ValueError(f"{path.name} is no module of this TVM") from error
    if not isinstance(module, IRModule):
        raise ValueError(f"{path.name} holds a {type(module).__name__}, not a module")
    if "main" not in [var.name_hint for var in module.get_global_vars()]:
        raise ValueError(f"{path.name} has no function `main`")
    return module


def _damaged(path: Path, what: str) -> BundleError:
    return BundleError(Problem("damaged-bundle", f"{path} is no whole bundle: {what}", help="make it anew"))


def record_verification(bundle: Bundle, verification: Verification) -> Bundle:
    """Write a verification into the bundle's report, in one step."""
    report = bundle.report.model_copy(update={"verification": verification})
    with whole_file(bundle.path / REPORT) as draft:
        draft.write_text(_dump(report), encoding="utf-8")
    return replace(bundle, report=report)
