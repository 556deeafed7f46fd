"""A target's name in, what is known of it out; the rows are data, in `targets.yaml`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from pydantic import ConfigDict

from corecast.lang.problems import CorecastError, Problem, nearest
from corecast.model.record import Record
from corecast.model.target import Target


class TargetError(CorecastError):
    """A target that nothing is known of."""


class _Table(Record):
    """The part of `targets.yaml` that is read; its other parts only name what this one refers to."""

    model_config = ConfigDict(extra="ignore")

    targets: tuple[Target, ...]


@cache
def known_targets() -> tuple[Target, ...]:
    """Every target of the table; of two that code could run on, the better one stands further down."""
    import yaml  # which who reads no file never needs

    text = files("corecast.model").joinpath("targets.yaml").read_text(encoding="utf-8")
    return _Table.model_validate(yaml.safe_load(text)).targets


def find_target(text: str) -> Target:
    """The row of a target such as `llvm` or `cuda:sm_90a`. Raises `TargetError`."""
    rows = {target.name: target for target in known_targets()}
    if text not in rows:
        help = nearest(text, rows) or f"known targets: {', '.join(rows)}"
        raise TargetError(Problem("unknown-target", f"nothing is known of the target `{text}`", help=help))
    return rows[text]


def cpu_flags() -> dict[str, tuple[str, ...]]:
    """For each CPU architecture, the best first, the features that a CPU must report to run code for it."""
    return {target.arch: target.features for target in reversed(known_targets()) if target.arch and target.features}
