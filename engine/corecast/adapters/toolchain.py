"""Which of TVM's IRs the installed `tvm` has, and an error for the other one; nothing is imported to find out.

Relay left TVM with 0.20, and Relax modules are converted by the TVM that Corecast is made for: one toolchain, one IR.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from corecast.lang.problems import CorecastError, Problem

Ir = Literal["relax", "relay"]
IRS_OF_TVM: tuple[Ir, ...] = get_args(Ir)


class NoRelayError(CorecastError):
    """A toolchain without Relay."""

    @classmethod
    def here(cls, what: str | None = None) -> NoRelayError:
        """The error that says what is installed instead, and what to do; `what` is the thing that needs Relay."""
        help = (
            "run corecast with the Python of a toolchain whose TVM is 0.8 to 0.19, "
            "or carry a script there: `corecast compile RULES layers.json --emit FILE.py`"
        )
        message = f"Relay is not here: {_installed()}"
        return cls(Problem("no-relay", f"{what}, and {message}" if what else message, help=help))


class NoRelaxError(CorecastError):
    """A toolchain that has Relay, and so an older Relax than the one that Corecast converts."""

    @classmethod
    def here(cls, what: str) -> NoRelaxError:
        help = "run corecast where apache-tvm 0.27 is installed: `pip install corecast`"
        message = f"{what}, and this TVM is one with Relay, where Relay modules are converted"
        return cls(Problem("no-relax", message, help=help))


def has_relay() -> bool:
    """Whether `tvm.relay` is there."""
    return any(Path(folder, "relay").is_dir() for folder in _folders())


def refuse_other_ir(ir: str, what: str) -> None:
    """Raise `NoRelayError` or `NoRelaxError` where the installed TVM cannot take `what`, which is in this IR."""
    if ir == "relay" and not has_relay():
        raise NoRelayError.here(what)
    if ir == "relax" and has_relay():
        raise NoRelaxError.here(what)


def ir_of(text: str) -> Ir | None:
    """The IR of a module that some TVM has saved as JSON, or None where it names neither."""
    kinds: dict[Ir, str] = {"relay": '"relay.Function"', "relax": '"relax.expr.Function"'}
    return next((ir for ir, name in kinds.items() if name in text), None)


def _folders() -> list[str]:
    spec = find_spec("tvm")
    return list(spec.submodule_search_locations or ()) if spec else []


def _installed() -> str:
    if not _folders():
        return "there is no module `tvm`"
    try:
        return f"this TVM, {version('apache-tvm')}, is later than Relay, which left with 0.20"
    except PackageNotFoundError:
        return "the module `tvm` has no `relay`"
