"""Whether the installed `tvm` has Relay; the last line of TVM with it is 0.19."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from corecast.lang.problems import CorecastError, Problem


class NoRelayError(CorecastError):
    """A toolchain without Relay."""

    @classmethod
    def here(cls) -> NoRelayError:
        help = (
            "run corecast with the Python of a toolchain whose TVM is 0.8 to 0.19, "
            "or carry a script there: `corecast compile --ir relay --emit FILE.py`"
        )
        return cls(Problem("no-relay", f"Relay is not here: {_what_is_here()}", help=help))


def has_relay() -> bool:
    """Whether `tvm.relay` is there; nothing is imported to find out."""
    return any(Path(folder, "relay").is_dir() for folder in _folders())


def _folders() -> list[str]:
    spec = find_spec("tvm")
    return list(spec.submodule_search_locations or ()) if spec else []


def _what_is_here() -> str:
    if not _folders():
        return "there is no module `tvm`"
    try:
        return f"this TVM, {version('apache-tvm')}, is later than Relay, which left with 0.20"
    except PackageNotFoundError:
        return "the module `tvm` has no `relay`"
