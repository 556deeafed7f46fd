"""What each layer gives in two models in, how far the one lies from the other out, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.recipe import Keep, Tune
from corecast.verify.evidence import Batch
from corecast.verify.measure import Comparison, Difference, not_finite

Array = NDArray[np.generic]
Values = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""From the inputs to what each layer gives, by the layer's id."""


class LayerError(BaseModel):
    """How far what a layer gives lies from what it gave in the original, with all that went wrong before it.

    `difference` is None where nothing was compared, with the reason; `edit` is what was decided about its dtype or
    layout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    parameter: str | None = None
    edit: str | None = None
    difference: Difference | None = None
    reason: str | None = None

    @property
    def snr_db(self) -> float:
        return self.difference.snr_db if self.difference else inf


def compare_layers(original: Values, converted: Values, batches: Iterable[Batch]) -> dict[str, Difference | str]:
    """Run both models on every batch, side by side, and compare what each layer gives.

    Args:
        original, converted: give the same layers, in the original's form.
        batches: one is held at a time.

    Returns:
        The difference of each layer, or why there is none.
    """
    found: dict[str, Comparison] = {}
    broken: dict[str, str] = {}
    for batch in batches:
        theirs = converted(batch.inputs)
        for layer, values in original(batch.inputs).items():
            if layer in broken:
                continue
            if strange := not_finite([values]):
                broken[layer] = f"the original itself gives no numbers: {strange}"
            elif values.shape != theirs[layer].shape:
                broken[layer] = f"it is {_shape(theirs[layer])} now, and was {_shape(values)}"
            else:
                found.setdefault(layer, Comparison()).add([values], [theirs[layer]])
    return {**{layer: comparison.difference for layer, comparison in found.items()}, **broken}


def layer_errors(plan: Plan, table: LayerTable, found: Mapping[str, Difference | str]) -> tuple[LayerError, ...]:
    """What was found of each value, with what was decided about its layer; the worst first."""
    errors = []
    for value, outcome in found.items():
        layer = value.partition(":")[0]
        decided = plan.by_id[layer].decisions if layer in plan.by_id else ()
        edits = [str(item.edit) for item in decided if item and not isinstance(item.edit, Keep | Tune)]
        errors.append(
            LayerError(
                layer=value,
                parameter=table.by_id[layer].name,
                edit="; ".join(edits) or None,
                difference=outcome if isinstance(outcome, Difference) else None,
                reason=outcome if isinstance(outcome, str) else None,
            )
        )
    return tuple(sorted(errors, key=lambda error: (error.difference is None, error.snr_db)))


def _shape(array: Array) -> str:
    return "x".join(map(str, array.shape)) or "a single number"
