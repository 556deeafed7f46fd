"""A small model and a recipe in, a verdict out: planned, converted and compared with what it was, all in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from corecast.adapters.relax import Model, prepare, survey
from corecast.api.proving import prove
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.lang.nodes import Scalar
from corecast.model import LayerTable, Target


def check(
    model: Model,
    recipe: Source,
    params: Mapping[str, Scalar],
    target: Target | None,
    packs: Sequence[str | Path],
    written: LayerTable | None = None,
) -> tuple[str, str]:
    """Convert a model as a recipe says and verify it.

    Args:
        model: with weights, as it was loaded or built.
        recipe: the text of the recipe.
        params: values for its parameters.
        target: whose capabilities its dtypes are checked against.
        packs: folders in which packs are looked for first.
        written: the table that the model was built from; what the compiler makes of it must have the same layers.

    Returns:
        The verdict of the verification and its reason; or `other-layers`.

    Raises:
        CorecastError: where the recipe cannot be planned or carried out.
    """
    prepared = prepare(model)
    table = survey(prepared)
    if written and (difference := _difference(written, table)):
        return "other-layers", difference
    resolved = read_recipe(recipe, table, params=params, packs=packs)
    verification = prove(model, prepared, table, resolved, target).verification
    return verification.verdict, verification.reason


def _difference(written: LayerTable, built: LayerTable) -> str | None:
    """The first layer that a model has otherwise than the table says that it was built from."""
    for one, other in zip(written.layers, built.layers, strict=False):
        if (one.id, one.results) != (other.id, other.results):
            return f"the table has {one.id} where the prepared model has {other.id}"
    if len(written.layers) != len(built.layers):
        return f"the table has {len(written.layers)} layers and the prepared model {len(built.layers)}"
    return None
