"""The hooks that `.pre-commit-hooks.yaml` offers run as `pre-commit` runs them: the entry, its arguments, the files."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}

TIDY = "match nn.conv2d where groups == 1\n  set layout NHWC\n"
UNTIDY = "match   nn.conv2d where (groups == 1), set layout NHWC\n"
DOUBTFUL = "match nn.conv2d where groups == 1 and groups == 1  # once will do\n  set layout NHWC\n"
HOPELESS = "match nn.conv2d where groups < 1 and groups > 1\n  set layout NHWC\n"
WRONG = "match nn.conv2 where groups == 1\n  set layout NHWC\n"


def run(hook: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `pre-commit` does: the hook's entry with `args` and those files of the repository that it is for."""
    files = [path.name for path in sorted(folder.iterdir()) if re.search(HOOKS[hook]["files"], path.name)]
    program, *given = shlex.split(HOOKS[hook]["entry"])
    assert program == "corecast", "the console script that the wheel installs"
    command = [sys.executable, "-m", "corecast.api", *given, *arguments, *files]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("match nothing, this is no recipe\n")
    (tmp_path / "tidy.rules").write_text(TIDY)
    return tmp_path


@pytest.mark.parametrize("hook", ["corecast-fmt", "corecast-check"])
def test_a_tidy_repository_passes_and_stays_as_it_is(hook: str, repository: Path) -> None:
    before = {path: path.read_bytes() for path in repository.iterdir()}
    done = run(hook, repository)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in repository.iterdir()} == before


def test_fmt_rewrites_which_pre_commit_takes_for_a_failure(repository: Path) -> None:
    (repository / "untidy.rules").write_text(UNTIDY)
    assert run("corecast-fmt", repository).returncode == 0
    assert (repository / "untidy.rules").read_text() == TIDY


def test_fmt_with_check_fails_and_writes_nothing(repository: Path) -> None:
    (repository / "untidy.rules").write_text(UNTIDY)
    done = run("corecast-fmt", repository, "--check")
    assert done.returncode == 1
    assert "untidy.rules: would be reformatted" in done.stdout
    assert (repository / "untidy.rules").read_text() == UNTIDY


@pytest.mark.parametrize(("text", "slug", "status"), [(DOUBTFUL, "always-true", 1), (WRONG, "unknown-operator", 2)])
def test_check_fails_and_says_where(text: str, slug: str, status: int, repository: Path) -> None:
    (repository / "doubtful.rules").write_text(text)
    done = run("corecast-check", repository)
    assert done.returncode == status
    assert "doubtful.rules:1:" in done.stderr
    assert f"[{slug}]" in done.stderr


def test_check_with_fix_writes_what_it_can_and_still_fails_on_the_rest(repository: Path) -> None:
    (repository / "doubtful.rules").write_text(DOUBTFUL)
    assert run("corecast-check", repository, "--fix").returncode == 0
    assert (repository / "doubtful.rules").read_text() == (
        "match nn.conv2d where groups == 1  # once will do\n  set layout NHWC\n"
    )
    (repository / "hopeless.rules").write_text(HOPELESS)
    assert run("corecast-check", repository, "--fix").returncode == 1
    assert (repository / "hopeless.rules").read_text() == HOPELESS
