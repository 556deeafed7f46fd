"""What `--json` prints that is nothing else: the plain forms of problems and passes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from corecast.lang import Problem


class Finding(BaseModel):
    """A problem as `check --json` prints it; lines and columns count from one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None
    line: int | None
    column: int | None
    severity: str
    slug: str
    message: str
    help: str | None

    @classmethod
    def of(cls, problem: Problem) -> Finding:
        span = problem.span
        return cls(
            file=span.source.name if span else None,
            line=span.line if span else None,
            column=span.column if span else None,
            severity=problem.severity,
            slug=problem.slug,
            message=problem.message,
            help=problem.help,
        )


class PrintedPass(BaseModel):
    """A pass as `compile --json` prints it: its name in TVM's instruments, and what it does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    text: str
