"""Markdown files under `cases/` in, tests out: each `## heading` with its fenced blocks is one test.

A folder of cases has a `handler.py` with one function `run(blocks)`: from the texts of a case's blocks, by kind, to the
actual texts of those that are expectations. What it returns must stand in the case, word for word. `--update-cases`
writes it there instead.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).with_name("cases")

Handler = Callable[[dict[str, str]], dict[str, str]]


@dataclass
class Block:
    """A fenced block: its text, and the zero-based lines of the file between its fences."""

    text: str
    first: int
    end: int


@dataclass
class Case:
    """A heading with the blocks below it; `line` is the heading's, from one."""

    name: str
    line: int
    blocks: dict[str, Block] = field(default_factory=dict)


def read_cases(path: Path) -> dict[str, Case]:
    """The cases of a file by name. A heading inside a fence is none."""
    cases: dict[str, Case] = {}
    case: Case | None = None
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True)))
    for number, line in lines:
        if line.startswith("## "):
            case = Case(_slug(line), number + 1)
            assert case.name not in cases, f"{path}:{number + 1}: a second case of this name"
            cases[case.name] = case
        elif fence := re.match(r"(`{3,})(\w+)\s*$", line):
            assert case, f"{path}:{number + 1}: a block before the first heading"
            assert fence[2] not in case.blocks, f"{path}:{number + 1}: a second `{fence[2]}` in one case"
            case.blocks[fence[2]] = _block(lines, fence[1], number + 1)
    return cases


def _block(lines: Iterator[tuple[int, str]], fence: str, first: int) -> Block:
    texts: list[str] = []
    for _, line in lines:
        if line.rstrip() == fence:
            break
        texts.append(line)
    return Block("".join(texts), first, first + len(texts))


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


@cache
def handler(folder: Path) -> Handler:
    """The function that runs the cases of a folder."""
    path = folder / "handler.py"
    spec = importlib.util.spec_from_file_location(f"cases_{folder.name}", path)
    assert spec, path
    assert spec.loader, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run


# ── pytest ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-models", action="store_true", help="try every model of the zoo, and not the cheap ones alone"
    )
    parser.addoption("--update-cases", action="store_true", help="write what the cases give into their Markdown files")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".md" and file_path.is_relative_to(CASES):
        return CaseFile.from_parent(parent, path=file_path)
    return None


class CaseFile(pytest.File):
    """A Markdown file of cases."""

    def collect(self) -> Iterator[pytest.Item]:
        for case in read_cases(self.path).values():
            yield CaseItem.from_parent(self, name=case.name, case=case)


class CaseError(Exception):
    """A case that gave something else than it expects; the line is where that stands."""

    def __init__(self, line: int, message: str):
        super().__init__(message)
        self.line = line


class CaseItem(pytest.Item):
    """One case as a test."""

    def __init__(self, *, case: Case, **others: object):
        super().__init__(**others)
        self.case = case

    def runtest(self) -> None:
        given = {kind: block.text for kind, block in self.case.blocks.items()}
        actual = handler(self.path.parent)(given)
        self.check_kinds(actual)
        if self.config.getoption("--update-cases"):
            self.update(actual)
            return
        for kind, text in actual.items():
            self.compare(kind, text)

    def check_kinds(self, actual: dict[str, str]) -> None:
        for kind in actual.keys() - self.case.blocks.keys():
            raise CaseError(self.case.line, f"the case gave a `{kind}` that it does not expect:\n\n{actual[kind]}")
        if not actual or ("problems" in self.case.blocks and "problems" not in actual):
            raise CaseError(self.case.line, "the case gave nothing of what it expects")

    def compare(self, kind: str, actual: str) -> None:
        block = self.case.blocks[kind]
        if actual == block.text:
            return
        difference = difflib.unified_diff(
            block.text.splitlines(), actual.splitlines(), "expected", "actual", lineterm="", n=100
        )
        raise CaseError(block.first + 1, "\n".join([f"`{kind}` differs", *difference]))

    def update(self, actual: dict[str, str]) -> None:
        """Write the actual texts into the file, which earlier cases may have changed since it was collected."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        blocks = read_cases(self.path)[self.case.name].blocks
        for kind in sorted(actual, key=lambda kind: -blocks[kind].first):  # from the end: lines above keep their places
            lines[blocks[kind].first : blocks[kind].end] = [actual[kind]]
        self.path.write_text("".join(lines), encoding="utf-8")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        if isinstance(excinfo.value, CaseError):
            return f"{self.path}:{excinfo.value.line}: {excinfo.value}"
        return f"{self.path}:{self.case.line}: {super().repr_failure(excinfo, style)}"

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.line - 1, self.name
