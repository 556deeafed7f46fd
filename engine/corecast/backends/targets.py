"""A target's name in, what it can do and TVM's own object for it out; the rows are data, in `targets.yaml`."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path

import tvm
import yaml
from pydantic import BaseModel, ConfigDict
from tvm.s_tir.meta_schedule.utils import cpu_count

from corecast.lang.problems import CorecastError, Problem, nearest
from corecast.model import Target


class TargetError(CorecastError):
    """A target that nothing is known of."""


class _Table(BaseModel):
    """The parts of `targets.yaml` that are read; `sources` and `rows` only name what others refer to."""

    model_config = ConfigDict(frozen=True)

    targets: tuple[Target, ...]
    cpu_flags: dict[str, tuple[str, ...]]


def known_targets() -> tuple[Target, ...]:
    """Every target of the table."""
    return _table().targets


def find_target(text: str) -> Target:
    """The row of a target such as `llvm` or `cuda:sm_90a`. Raises `TargetError`."""
    rows = {target.name: target for target in known_targets()}
    if text not in rows:
        help = nearest(text, rows) or f"known targets: {', '.join(rows)}"
        raise TargetError(Problem("unknown-target", f"nothing is known of the target `{text}`", help=help))
    return rows[text]


def tvm_target(target: Target) -> tvm.target.Target:
    """TVM's own object for a target; for `llvm` with this machine's instruction set, and always with its cores."""
    if target.kind == "cuda":
        return tvm.target.Target({"kind": "cuda", "arch": target.arch})
    chip = {"kind": "llvm", "num-cores": cores()}
    arch = target.arch or host_arch()
    return tvm.target.Target(chip | ({"mcpu": arch} if arch else {}))


def cores() -> int:
    """How many physical cores this process may use; MetaSchedule refuses a CPU target that does not say."""
    physical = int(cpu_count(logical=False))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return min(physical, allowed)


def host_arch() -> str | None:
    """The best architecture of the table that this CPU reports whole, or None: then TVM's baseline is used.

    LLVM's own guess names the chip, and a virtual machine may hide some of that chip's instructions.
    """
    return next((arch for arch in _table().cpu_flags if not missing_flags(arch)), None)


def missing_flags(arch: str) -> tuple[str, ...]:
    """The CPU flags that code for `arch` needs and this machine does not report."""
    return tuple(flag for flag in _table().cpu_flags[arch] if flag not in _host_flags())


@cache
def _table() -> _Table:
    text = files("corecast.backends").joinpath("targets.yaml").read_text(encoding="utf-8")
    return _Table.model_validate(yaml.safe_load(text))


@cache
def _host_flags() -> frozenset[str]:
    """What Linux says of an x86 CPU; nothing on other systems and other processors."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.split()) for line in lines if line.startswith("flags")), frozenset())
