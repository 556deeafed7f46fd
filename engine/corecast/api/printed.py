"""What `--json` prints that is nothing else: the plain forms of problems and passes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from corecast.lang import Problem
from corecast.recipe import Pack


class Note(BaseModel):
    """Another place that it takes to understand a problem, with a remark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    line: int
    column: int
    message: str


class Finding(BaseModel):
    """What `check --json` prints of a problem; places count from one. `--fix` takes away what is `fixable`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None
    line: int | None
    column: int | None
    severity: str
    slug: str
    message: str
    help: str | None
    notes: tuple[Note, ...] = ()
    fixable: bool = False

    @classmethod
    def of(cls, problem: Problem, *, fixable: bool = False) -> Finding:
        span = problem.span
        notes = tuple(
            Note(file=place.source.name, line=place.line, column=place.column, message=remark)
            for remark, place in problem.notes
        )
        return cls(
            file=span.source.name if span else None,
            line=span.line if span else None,
            column=span.column if span else None,
            severity=problem.severity,
            slug=problem.slug,
            message=problem.message,
            help=problem.help,
            notes=notes,
            fixable=fixable,
        )


class PrintedPack(BaseModel):
    """A pack as `recipes --json` prints it; `source` says where it comes from, `folder` where it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    source: str
    folder: str
    licence: str
    description: str

    @classmethod
    def of(cls, pack: Pack) -> PrintedPack:
        info = pack.info
        return cls(
            name=info.name,
            version=info.version,
            source=pack.origin,
            folder=str(pack.folder),
            licence=info.licence,
            description=info.description,
        )


class PrintedPass(BaseModel):
    """A pass as `compile --json` prints it: its name in TVM's instruments, and what it does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    text: str
