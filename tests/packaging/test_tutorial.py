"""docs/tutorial.md is followed word for word, in an environment that has the wheel and what it needs.

A block `console` is a session: after `$ ` a command, below it what it prints, in which a line `...` stands for any
lines. A block with a file's name behind its language is written to that file. `--update-cases` writes what is printed
now where it differs.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import Installed

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# How long something took, and how a CPU rounds, is not what the tutorial is about.
VARYING = re.compile(r"\(\d+\.\d s\)|\d\.\d\de-\d\d|cosine \d\.\d+|\d+\.\d dB")


def session(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console with what they print."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = piece.partition("\n")
        yield command, printed


def fits(printed: str, expected: str) -> bool:
    """Whether a text is another one, in which `...` stands for any lines."""
    pattern = re.escape(VARYING.sub("~", expected)).replace(re.escape("...\n"), "(?:.*\n)*?")
    return re.fullmatch(pattern, VARYING.sub("~", printed)) is not None


@pytest.mark.slow
def test_a_newcomer_gets_what_the_tutorial_shows(
    installed: Installed, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """From an empty file to a pack that is installed and used."""
    page = PAGE.read_text(encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    environment |= {"PATH": f"{installed.environment / 'bin'}:{environment['PATH']}", "PYTHONUNBUFFERED": "1"}
    # The build of the tutorial's distribution uses what is here: no network.
    environment |= {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def followed(block: re.Match[str]) -> str:
        """A block after it was followed: itself, or with what is printed now."""
        language, file, text = block.groups()
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text, encoding="utf-8")
        if language != "console":
            return block[0]
        told = []
        for command, expected in session(text):
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, check=False,
            )  # fmt: skip
            printed = "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
            if not fits(printed, expected):
                assert pytestconfig.getoption("--update-cases"), f"$ {command}\n{printed}\nexpected:\n{expected}"
                expected = printed
            told.append(f"$ {command}\n{expected}")
        return f"```console\n{''.join(told)}```"

    told = BLOCK.sub(followed, page)
    if told != page:
        PAGE.write_text(told, encoding="utf-8")


def test_a_wrong_line_is_found() -> None:
    """The twin of the test above: what it compares is not always equal."""
    assert fits("one\ntwo\nthree (1.5 s)\n", "one\n...\nthree (0.1 s)\n")
    assert not fits("one\ntwo\n", "one\n")
    assert not fits("one\n", "one\ntwo\n")
