"""A Relax conversion in, a bundle out, and back; what a bundle is, `corecast.adapters.bundle` says."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import tvm
from tvm.ir import IRModule

from corecast.adapters import bundle
from corecast.adapters.bundle import MODULE, BundleError, Report, record_verification, refuse_existing, type_text
from corecast.adapters.relax.apply import Conversion
from corecast.adapters.relax.functions import Separated, joined, separate
from corecast.adapters.relax.model import MAIN, Model, ModelError
from corecast.adapters.relax.tensors import static_shape

__all__ = ["Bundle", "BundleError", "Report", "read_bundle", "record_verification", "refuse_existing", "write_bundle"]

SCRIPT = "module.py"

Bundle: TypeAlias = bundle.Bundle[Model]


def write_bundle(conversion: Conversion, path: str | Path) -> Bundle:
    """Write a bundle as a new folder.

    Raises:
        BundleError: where something stands at `path` already.
        OSError: where the disk is full or not ours to write; nothing is left behind then.
    """
    path = Path(path)
    report = Report(
        ir="relax",
        corecast=bundle.corecast_version(),
        tvm=version("apache-tvm"),
        model=conversion.original.name,
        fingerprint=conversion.before.fingerprint,
        function=conversion.original.function,
        origin=bundle.absolute(conversion.original.origin),
        predicted=conversion.plan.predicted,
        realised=conversion.realised,
    )
    module = joined(conversion.converted)
    texts = {MODULE: tvm.ir.save_json(module), SCRIPT: module.script(show_meta=False)}
    bundle.write_folder(path, conversion.plan, texts, conversion.converted.parameters, report)
    return Bundle(path, conversion.plan, conversion.converted, report)


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle. Raises `BundleError` with the part that is missing or damaged, `NoRelayError` for a Relay one."""
    path = Path(path)
    report, plan, separated, parameters = bundle.read_folder(path, "relax", _read_module, _arguments)
    model = Model(separated.module, parameters, report.model, report.origin, separated.function, separated.others)
    return Bundle(path, plan, model, report)


def _arguments(separated: Separated) -> dict[str, str]:
    return {var.name: type_text(var.ty.dtype, static_shape(var.ty)) for var in separated.module[MAIN].params}


def _read_module(text: str, report: Report) -> Separated:
    try:
        module: Any = tvm.ir.load_json(text)
    except Exception as error:  # TVM raises whatever its reader met
        here = version("apache-tvm")
        written = "" if report.tvm == here else f": it was written with TVM {report.tvm}, and this is {here}"
        raise ValueError(f"it is no module of this TVM{written}") from error
    if not isinstance(module, IRModule):
        raise ValueError(f"it holds a {type(module).__name__}, not a module")
    try:
        return separate(module, report.function)
    except ModelError as error:
        raise ValueError(error.problems[0].message) from error
