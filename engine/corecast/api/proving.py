"""A model and a recipe in, a proof out: converted, verified, and written down in the recipe's pack where it passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from corecast.adapters.relax import Conversion, Model, apply, write_bundle
from corecast.api.calibration import calibrate
from corecast.api.conversion import verify_bundle
from corecast.model import LayerTable, Target
from corecast.plan import plan
from corecast.recipe import Flat, Quantize, Recipe
from corecast.recipe.document import Document
from corecast.recipe.lock import digest_of
from corecast.recipe.packs import PackInfo, Validation
from corecast.verify import Verification, inputs_for

# Where `verify` runs what it compares, unless it has to emulate it.
HOST = "llvm"

# Of the inputs that a plan is calibrated on which quantizes; `verify` compares on those of seed 0.
SEEDS = range(1, 9)


@dataclass(frozen=True)
class Proof:
    """What a recipe made of a model, and whether the answers are still the same."""

    conversion: Conversion
    verification: Verification

    def validation(self, name: str, recipe: Flat) -> Validation:
        """The entry for `validated_with`, of a proof that passed: what the model is called there, and by what recipe.

        Time is not taken here: what TVM makes of a model before it is tuned says nothing of the recipe.
        """
        assert self.verification.error is not None, "only a pass is written down"
        return Validation(
            model=name,
            fingerprint=self.conversion.before.fingerprint,
            recipe=digest_of(recipe),
            target=HOST,
            tvm=version("apache-tvm"),
            error=float(f"{self.verification.error.max_relative:.2e}"),
        )


def prove(original: Model, prepared: Model, table: LayerTable, recipe: Recipe, target: Target | None = None) -> Proof:
    """Plan and convert a model as a recipe says, and compare it with what it was.

    A plan that quantizes is calibrated on seeded inputs, none of which is compared.

    Args:
        original: as it was loaded or built, with weights.
        prepared: what `prepare` made of it.
        table: the layers of `prepared`.
        recipe: resolved for that table.
        target: whose capabilities the dtypes are checked against.

    Raises:
        CorecastError: where the recipe cannot be planned or carried out.
    """
    decided = plan(recipe, table, target)
    quantizes = any(isinstance(edit, Quantize) for edit in decided.decided("dtype").values())
    inputs = (inputs_for(table, seed) for seed in SEEDS)
    conversion = apply(decided, prepared, calibrate(decided, prepared, inputs) if quantizes else None)
    with TemporaryDirectory() as folder:
        bundle = write_bundle(conversion, Path(folder, "bundle"))
        return Proof(conversion, verify_bundle(bundle, original))


def with_validation(document: Document[PackInfo], validation: Validation) -> str:
    """The text of a `pack.yaml` with an entry in `validated_with`, in place of an older one of that model."""
    known = validation.model, validation.target
    entries: Sequence[Validation] = document.value.validated_with
    if known in [(entry.model, entry.target) for entry in entries]:
        entries = [validation if (entry.model, entry.target) == known else entry for entry in entries]
    else:
        entries = [*entries, validation]
    data = {"validated_with": [entry.model_dump(exclude_none=True) for entry in entries]}
    block = yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True)
    text = document.source.text
    place = document.places.get(("validated_with",))
    if place is None:
        return f"{text.rstrip()}\n{block}"
    # A list ends where the next entry begins; what stands in between, such as a comment, is no part of it.
    leaves = (span.end for path, span in document.places.items() if path[:1] == ("validated_with",) and len(path) > 2)
    after = text[max(leaves, default=place.end) :]
    return text[: place.start] + block + after.removeprefix("\n")
