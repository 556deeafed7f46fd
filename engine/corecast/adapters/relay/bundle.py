"""A Relay conversion in, a bundle out, and back; what a bundle is, `corecast.adapters.bundle` says.

Constants of more than a few elements are weights: they are written beside the module as trailing arguments of it, and
are constants of the module again when it is read.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import tvm
from tvm import relay
from tvm.ir import IRModule

from corecast.adapters import bundle
from corecast.adapters.bundle import MODULE, Report
from corecast.adapters.relay.apply import Conversion
from corecast.adapters.relay.model import Model, read_module
from corecast.adapters.relay.names import constant_name
from corecast.adapters.relay.passes import with_main
from corecast.adapters.source import ModelError
from corecast.adapters.weights_file import Array

TEXT = "module.txt"

# Smaller constants stay in the module: bounds, scales, epsilons.
FEW = 16

Bundle: TypeAlias = bundle.Bundle[Model]


def write_bundle(conversion: Conversion, path: str | Path) -> Bundle:
    """Write a bundle as a new folder.

    Raises:
        BundleError: where something stands at `path` already.
        OSError: where the disk is full or not ours to write; nothing is left behind then.
    """
    path = Path(path)
    report = Report(
        ir="relay",
        corecast=bundle.corecast_version(),
        tvm=tvm.__version__,
        model=conversion.plan.model.name,
        fingerprint=conversion.before.fingerprint,
        origin=bundle.absolute(conversion.origin),
        predicted=conversion.plan.predicted,
        realised=conversion.realised,
    )
    module, parameters = _without_weights(conversion.converted)
    texts = {MODULE: tvm.ir.save_json(module), TEXT: f"{module.astext(show_meta_data=False)}\n"}
    bundle.write_folder(path, conversion.plan, texts, parameters, report)
    return Bundle(path, conversion.plan, Model(conversion.converted, report.model, report.origin), report)


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle. Raises `BundleError` with the part that is missing or damaged, `NoRelaxError` for a Relax one."""
    path = Path(path)
    report, plan, module, parameters = bundle.read_folder(path, "relay", _read_module, _arguments)
    return Bundle(path, plan, Model(_with_weights(module, parameters), report.model, report.origin), report)


def _read_module(text: str, report: Report) -> IRModule:  # noqa: ARG001
    try:
        return read_module(text, MODULE)
    except ModelError as error:
        raise ValueError(error.problems[0].message) from error


def _arguments(module: IRModule) -> dict[str, str]:
    types = {var.name_hint: var.type_annotation for var in module["main"].params}
    return {name: bundle.type_text(ty.dtype, map(int, ty.shape)) for name, ty in types.items()}


class _Lifted(relay.ExprMutator):  # type: ignore[misc]  # tvm is untyped
    """Puts a variable in the place of each weight. Functions that are called are not entered, as in a layer table."""

    def __init__(self, taken: Collection[str]) -> None:
        super().__init__()
        self.parameters: dict[relay.Var, Array] = {}
        self._names = (name for name in map(constant_name, count()) if name not in taken)

    def visit_function(self, function: relay.Function) -> relay.Function:
        return function

    def visit_constant(self, constant: relay.Constant) -> Any:
        array: Array = constant.data.numpy()
        if array.size <= FEW:
            return constant
        var = relay.var(next(self._names), constant.checked_type)
        self.parameters[var] = array
        return var


def _without_weights(module: IRModule) -> tuple[IRModule, dict[str, Array]]:
    module = relay.transform.InferType()(module)
    main = module["main"]
    lifted = _Lifted(_arguments(module))
    body = lifted.visit(main.body)
    params = [*main.params, *lifted.parameters]
    new = relay.Function(params, body, main.ret_type, main.type_params, main.attrs)
    arrays = {var.name_hint: array for var, array in lifted.parameters.items()}
    return relay.transform.InferType()(with_main(module, new)), arrays


def _with_weights(module: IRModule, parameters: dict[str, Array]) -> IRModule:
    bound = relay.build_module.bind_params_by_name(module["main"], parameters)
    return relay.transform.InferType()(with_main(module, bound))
