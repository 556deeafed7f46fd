"""Files of a newer Corecast are refused with both versions; those of this one are read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from corecast.model import LayerTable, parse_table
from corecast.plan import Plan, plan
from corecast.recipe import Recipe

TABLE = parse_table("data: float32 1x8\nnn.relu#0(data) -> float32 1x8\nreturn nn.relu#0")
NEWER = "it is of version 2, and this corecast reads version 1"


def test_a_table_of_a_newer_version_says_which() -> None:
    data = TABLE.model_dump(mode="json")
    assert LayerTable.model_validate(data).fingerprint == TABLE.fingerprint
    with pytest.raises(ValidationError, match=NEWER):
        LayerTable.model_validate({**data, "version": 2})


def test_so_does_a_plan(recipe: Recipe) -> None:
    data = plan(recipe, TABLE).model_dump(mode="json")
    assert Plan.model_validate(data)
    with pytest.raises(ValidationError, match=NEWER):
        Plan.model_validate({**data, "version": 2})


@pytest.fixture
def recipe() -> Recipe:
    from corecast.api import Source, read_recipe

    return read_recipe(Source("case.rules", "match nn.relu, keep"))
