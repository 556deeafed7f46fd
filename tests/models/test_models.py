"""Real models, the whole way: planned, compiled, applied, verified, by a layout and by a dtype; or refused by name."""

from __future__ import annotations

import pytest
from models.journey import travel
from models.specimen import Specimen

# With its random weights this one makes more of a rounded stream than `verify` lets float16 differ, see docs/models.md.
AMPLIFYING = {("EfficientNet-B0", "torch.onnx", "float16")}


def test_a_model_goes_the_whole_way_or_is_refused_by_name(specimen: Specimen, tmp_path) -> None:
    """Whatever is matched is realised, and both conversions give the answers of the original."""
    rows = travel(specimen, tmp_path)
    if specimen.refused:
        assert len(rows) == 1
        assert specimen.refused in str(rows[0].refused)
        return
    for row in rows:
        assert row.refused is None
        assert row.verification is not None
        assert row.realised == row.matched - sum(row.declined.values())
        if row.realised:
            expected = "fail" if (specimen.name, specimen.source, row.recipe) in AMPLIFYING else "pass"
            assert row.verification.verdict == expected, f"{row.recipe}: {row.verification}"
        else:
            assert row.transforms == row.casts == 0
    assert any(row.realised for row in rows), "a recipe that matches nothing proves nothing"


@pytest.mark.parametrize("recipe", ["nhwc", "hwnc", "float16"])
def test_the_recipes_of_the_zoo_are_formatted(recipe: str) -> None:
    """They are examples too."""
    from models.journey import RECIPES

    from corecast.lang import Source, parse
    from corecast.lang.format import format

    source = Source.read(RECIPES / f"{recipe}.rules")
    assert format(parse(source)) == source.text
