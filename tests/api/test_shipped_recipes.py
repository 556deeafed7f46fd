"""The recipes that come with Corecast: their cases hold, they are written in the house style, and they convert."""

from __future__ import annotations

from pathlib import Path

import pytest

from corecast.api.cli import main
from corecast.api.library import library, recipe_root
from corecast.lang import Source, format, parse

PACKS = library().names


def test_every_pack_has_its_cases_and_they_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert all((recipe_root() / name / f"{name}.test.md").is_file() for name in PACKS)
    assert main(["test", str(recipe_root())]) == 0
    assert "all passed" in capsys.readouterr().out


@pytest.mark.parametrize("name", PACKS)
def test_its_networks_are_converted_and_proven(name: str) -> None:
    """`pass` where the numbers hold, `hard-cast` where the recipe is a benchmark."""
    assert main(["test", name, "--smoke"]) == 0


@pytest.mark.parametrize("path", sorted(recipe_root().rglob("*.rules")), ids=lambda path: path.stem)
def test_it_is_written_as_fmt_would(path: Path) -> None:
    """Save for the one that is a sentence of the charter, on one line."""
    source = Source.read(path)
    if path.stem != "origin":
        assert format(parse(source)) == source.text
