"""The schemas in docs/ are those of the code, and what is printed fits them."""

from __future__ import annotations

from pathlib import Path

import pytest

from corecast.api.schemas import PRINTED, schema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("command", PRINTED)
def test_the_documented_schema_is_the_code_s(command: str) -> None:
    """`python -m corecast.api.schemas docs/schemas` brings them up to date."""
    assert (SCHEMAS / f"{command}.json").read_text(encoding="utf-8") == schema(command)


def test_nothing_else_lies_there() -> None:
    """A schema of a command that is gone would mislead."""
    assert {path.stem for path in SCHEMAS.iterdir()} == set(PRINTED)
