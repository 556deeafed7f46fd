"""A specimen in, rows of the table out: through plan, compile, apply and verify, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from models.specimen import Specimen

from corecast.adapters.relax import apply, compile_plan, prepare, read_bundle, survey, write_bundle
from corecast.api import plan, read_recipe
from corecast.api.conversion import verify_bundle
from corecast.lang import CorecastError
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.verify import Verification

RECIPES = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class Row:
    """What came of one model and one recipe; `refused` says why it came no further.

    `transforms` is how many more transposes run at each inference than in the original.
    """

    specimen: Specimen
    recipe: str
    seconds: float
    refused: str | None = None
    table: LayerTable | None = None
    plan: Plan | None = None
    transforms: int = 0
    fewest: int | None = None
    casts: int = 0
    verification: Verification | None = None

    @property
    def matched(self) -> int:
        return sum(rule.matched for rule in self.plan.rules) if self.plan else 0

    @property
    def realised(self) -> int:
        return sum(rule.realised for rule in self.plan.rules) if self.plan else 0

    @property
    def declined(self) -> dict[str, int]:
        """On how many layers a request did not apply, by the reason."""
        requests = [request for rule in self.plan.rules for request in rule.requests] if self.plan else []
        return {because.reason: len(because.layers) for request in requests for because in request.not_applicable}


def travel(specimen: Specimen, folder: Path, fewest: Callable[[LayerTable, Plan], int] | None = None) -> list[Row]:
    """Through every recipe of the specimen; `fewest` tells how few layout transforms there could be."""
    start = perf_counter()
    try:
        original = specimen.load(folder)
        prepared = prepare(original)
        table = survey(prepared)
    except CorecastError as error:
        return [Row(specimen, "any", perf_counter() - start, refused=error.problems[0].message)]
    rows = []
    for name in specimen.recipes:
        start = perf_counter()
        decided = plan(read_recipe(RECIPES / f"{name}.rules", table), table)
        assert len(list(compile_plan(decided))) >= 2, "a check and a cleanup at least"
        conversion = apply(decided, prepared)
        bundle = read_bundle(write_bundle(conversion, folder / name).path)
        verification = verify_bundle(bundle, original)
        realised = conversion.realised
        rows.append(
            Row(
                specimen,
                name,
                perf_counter() - start,
                table=table,
                plan=decided,
                transforms=_transposes(conversion.after) - _transposes(conversion.before),
                fewest=fewest(table, decided) if fewest else None,
                casts=realised.casts,
                verification=verification,
            )
        )
    return rows


def _transposes(table: LayerTable) -> int:
    return len(table.by_op.get("permute_dims", ()))
