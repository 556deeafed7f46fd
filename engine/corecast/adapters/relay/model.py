"""A JSON file in, the Relay module in it out, with its name and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm import relay
from tvm.ir import IRModule

from corecast.adapters.source import ModelError, Origin, last_line, read_content
from corecast.adapters.toolchain import ir_of, refuse_other_ir


@dataclass(frozen=True)
class Model:
    """A module as TVM holds it: its weights are arguments of `main` or constants in it."""

    module: IRModule
    name: str
    origin: Origin | None = None


def load(
    path: str | Path,
    *,
    weights: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    function: str | None = None,
) -> Model:
    """Read a Relay module that `tvm.ir.save_json` has written; `weights` and `shapes` are for ONNX files alone.

    Raises:
        ModelError: where the file holds something else.
        NoRelaxError: where it holds a Relax module.
    """
    path = Path(path)
    if function not in (None, "main"):
        raise ModelError.of("no-function", "of a Relay module `main` is converted, and no other function")
    if weights is not None or shapes:
        message, help = "weights are filled and shapes are given for ONNX models only", "a Relay module has both"
        raise ModelError.of("not-onnx", message, help)
    content = read_content(path)
    if not content[:64].lstrip().startswith(b"{"):
        help = "import it with `tvm.relay.frontend`, and save the module with `tvm.ir.save_json`"
        raise ModelError.of("not-a-model", f"{path} is no module that TVM has saved as JSON", help)
    return Model(read_module(content.decode(errors="replace"), str(path)), path.name, Origin.of(path, content))


def read_module(text: str, name: str) -> IRModule:
    """The module in a JSON text. Raises `ModelError` where it is none with a Relay function `main`."""
    if ir_of(text) == "relax":
        refuse_other_ir("relax", f"{name} holds a Relax module")
    try:
        module = tvm.ir.load_json(text)
    except Exception as error:  # TVM raises whatever its reader met
        message, help = f"{name} is no module of this TVM: {last_line(error)}", "save it again with tvm.ir.save_json"
        raise ModelError.of("not-a-model", message, help) from error
    if not isinstance(module, IRModule):
        raise ModelError.of("not-a-model", f"{name} holds a {type(module).__name__}, not a module")
    functions = {var.name_hint: function for var, function in module.functions.items()}
    if not isinstance(functions.get("main"), relay.Function):
        message = f"{name} has no Relay function `main`"
        raise ModelError.of("no-main", message, f"its functions are {', '.join(sorted(functions))}")
    return module
