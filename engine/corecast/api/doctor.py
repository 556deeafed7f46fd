"""`corecast doctor`: the versions that matter, whether they fit together, and what this machine can do."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, requires, version

import typer
from packaging.requirements import Requirement
from pydantic import BaseModel, ConfigDict

from corecast.adapters.bundle import corecast_version
from corecast.adapters.toolchain import has_relay
from corecast.api.options import Json
from corecast.report import Reporter


class Finding(BaseModel):
    """One thing that was looked at; `ok` is None for what is only told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    found: str
    ok: bool | None = None
    help: str | None = None

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "BAD ", None: "    "}[self.ok]
        return f"{mark}{self.what:<16}{self.found}" + (f"\n    {'':<16}{self.help}" if self.help else "")


def doctor(json_: Json = False) -> None:
    """Say which versions are installed, whether they fit together, and what this machine can do."""
    reporter = Reporter()
    findings = [*_requirements(), *_tvm(), *_machine()]
    if json_:
        reporter.json("[" + ",\n".join(item.model_dump_json() for item in findings) + "]")
    else:
        reporter.text("\n".join(map(str, findings)))
    if any(item.ok is False for item in findings):
        raise typer.Exit(1)


def _requirements() -> list[Finding]:
    """Every distribution that corecast needs, against the bounds that it states; the tvm-ffi pin is one of them."""
    findings = [Finding(what="corecast", found=corecast_version()), Finding(what="python", found=_python())]
    for text in _stated():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            help = f"pip install '{requirement}'"
            findings.append(Finding(what=requirement.name, found="not installed", ok=False, help=help))
            continue
        fits = requirement.specifier.contains(installed, prereleases=True)
        remedy = None if fits else f"corecast needs {requirement.specifier}: pip install '{requirement}'"
        findings.append(Finding(what=requirement.name, found=installed, ok=fits, help=remedy))
    return findings


def _stated() -> list[str]:
    """What the distribution says that it needs; a toolchain with Relay has an older TVM, and so older packages."""
    try:
        return [] if has_relay() else requires("corecast") or []
    except PackageNotFoundError:
        return []


def _python() -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _tvm() -> list[Finding]:
    if has_relay():
        return [
            Finding(what="tvm", found="has Relay: Relay modules are converted here, and tuned with AutoTVM", ok=True)
        ]
    try:
        from corecast.backends.host import gpus, llvm_version
    except (ImportError, OSError) as error:
        help = "planning, checking and explaining work without it"
        return [Finding(what="tvm", found=f"cannot be imported: {error}", ok=False, help=help)]
    llvm = llvm_version()
    devices = ", ".join(map(str, gpus()))
    return [
        Finding(what="LLVM in TVM", found=llvm or "none", ok=llvm is not None),
        Finding(what="GPU", found=devices or "none: plans for one can be made here, and not be run"),
    ]


def _machine() -> list[Finding]:
    return [Finding(what="cores", found=str(os.cpu_count()))]
