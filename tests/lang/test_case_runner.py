"""The runner of Markdown cases: what passes, what fails and where it points, and what `--update-cases` writes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
HANDLER = """
def run(blocks):
    return {"problems": "bad\\n"} if blocks["text"] == "bad\\n" else {"upper": blocks["text"].upper()}
"""
CASES = """# Topic

## It shouts, twice!
```text
a
## no heading
b
```
```upper
A
## NO HEADING
B
```

## it differs
```text
new
```
```upper
OLD
```

## it is bad
```text
bad
```
```upper
BAD
```

## it is not bad
```text
good
```
```problems
bad
```
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cases" / "room").mkdir(parents=True)
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "cases" / "room" / "handler.py").write_text(HANDLER)
    (tmp_path / "cases" / "room" / "topic.md").write_text(CASES)
    return tmp_path


def run(folder: Path, *options: str) -> str:
    beside = ["-o", f"pythonpath={CONFTEST.parent}"]  # what the conftest imports
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *beside, "--rootdir", str(folder)]
    return subprocess.run(
        [*command, *options, str(folder)], cwd=folder, capture_output=True, text=True, check=False
    ).stdout


def test_each_heading_is_a_test_that_fails_at_its_line(folder: Path) -> None:
    output = run(folder)
    assert "PASSED cases/room/topic.md::it-shouts-twice" in output
    assert "topic.md:20: `upper` differs" in output
    assert "-OLD\n+NEW" in output
    assert "topic.md:23: the case gave a `problems` that it does not expect" in output
    assert "topic.md:31: the case gave a `upper` that it does not expect" in output
    assert "3 failed, 1 passed" in output


def test_update_writes_what_the_cases_give(folder: Path) -> None:
    assert "2 failed, 2 passed" in run(folder, "--update-cases")
    assert (folder / "cases" / "room" / "topic.md").read_text() == CASES.replace("OLD", "NEW")
