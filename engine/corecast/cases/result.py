"""What a case came to, as plain data: findings, each with its place and what to make of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["missing", "noisy", "todo", "done", "differs", "problem", "smoke"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Part):
    """One thing about a case.

    `missing`: expected, and not decided. `noisy`: decided, and not expected. `todo`: not yet as a `todo` line wants it.
    `done`: as a `todo` line wants it, so that the mark can go. `differs`: a text is another one. `problem`: the recipe
    or the case has one. `smoke`: the numeric check did not say what was expected. All but `todo` make the case fail.
    """

    kind: Kind
    text: str
    line: int
    layers: str | None = None
    because: str | None = None

    @property
    def fails(self) -> bool:
        return self.kind != "todo"


class CaseResult(_Part):
    """A case of a file and what was found; `smoke` is what the numeric check said, where it was run."""

    file: str
    case: str
    line: int
    findings: tuple[Finding, ...] = ()
    smoke: str | None = None

    @property
    def passed(self) -> bool:
        return not any(finding.fails for finding in self.findings)
