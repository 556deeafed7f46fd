"""Markdown files under `cases/` in, tests out: each `## heading` with its fenced blocks is one test.

A folder of cases has a `handler.py` with one function `run(blocks)`: from the texts of a case's blocks, by kind, to the
actual texts of those that are expectations. What it returns must stand in the case, word for word. `--update-cases`
writes it there instead.
"""

from __future__ import annotations

import difflib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from environments import Installed, install

from corecast.cases import Case, read_cases, with_texts
from corecast.lang import Source

CASES = Path(__file__).with_name("cases")

Handler = Callable[[dict[str, str]], dict[str, str]]


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
        for case in read_cases(Source.read(self.path)).values():
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
        text = self.path.read_text(encoding="utf-8")
        self.path.write_text(with_texts(text, self.case.name, actual), encoding="utf-8")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        if isinstance(excinfo.value, CaseError):
            return f"{self.path}:{excinfo.value.line}: {excinfo.value}"
        return f"{self.path}:{self.case.line}: {super().repr_failure(excinfo, style)}"

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.case.line - 1, self.name


# ── what users have ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the installed backend, so without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=CASES.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with everything it needs."""
    return install(wheel, tmp_path_factory.mktemp("installed"), without=())
