"""The command that proves conversions: verify."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from corecast.adapters.door import Adapter, find_adapter
from corecast.adapters.proof import verify_models
from corecast.api.converting import refuse_relay
from corecast.api.evidence import Given
from corecast.api.options import BundlePath, DataPath, Json, LabelsPath, MetricName, writing, written_in
from corecast.report import Reporter, rows_table
from corecast.verify import LayerError, Verification

HARD_CAST = "hard-cast"
# Of the errors of layers, the first are printed; --json has all.
MOST_SHOWN = 20


def verify(
    bundle: BundlePath,
    model: Annotated[str | None, typer.Option("--model", help="Where the original lies now, if it was moved.")] = None,
    data: DataPath = None,
    labels: LabelsPath = None,
    metric: MetricName = None,
    layers: Annotated[bool, typer.Option("--layers", help="Compare every layer too, the worst first.")] = False,
    seed: Annotated[int, typer.Option(help="Of the inputs, where there is no data.")] = 0,
    allow_hard_cast: Annotated[
        bool, typer.Option(help="Exit with 0 where only an integer cast keeps it from passing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Run the original and the converted model on the same inputs, and judge by what the recipe expects."""
    reporter = Reporter()
    given = Given(seed, data, labels, metric)
    if ir := written_in(bundle):
        verification = _verify_file(find_adapter(ir), bundle, model, given, layers, reporter)
    else:
        verification = _verify_bundle(bundle, model, given, layers, reporter)
    if json_:
        reporter.json(verification.model_dump_json(indent=2))
    else:
        reporter.text(str(verification))
        if verification.layers:
            reporter.text("\nthe worst layers, against the same layers of the original:\n")
            reporter.show(_errors(verification.layers[:MOST_SHOWN]))
            if (more := len(verification.layers) - MOST_SHOWN) > 0:
                reporter.text(f"and {more} better ones, which --json has")
    allowed = ("pass", HARD_CAST) if allow_hard_cast else ("pass",)
    if verification.verdict not in allowed:
        raise typer.Exit(1)


def _verify_bundle(bundle: Path, model: str | None, given: Given, layers: bool, reporter: Reporter) -> Verification:
    """The verdict on a bundle, which keeps it."""
    refuse_relay(bundle, "verify")
    from corecast.adapters.relax import check_values, read_bundle, record_verification, survey
    from corecast.api.conversion import original_of, verify_given

    with reporter.step(f"read {bundle} and its original"):
        found = read_bundle(bundle)
        original = original_of(found, model)
    for warning in check_values(original, survey(original)):
        reporter.note(str(warning))
    with reporter.step("compile and run both, and the control"):
        verification = verify_given(found, original, given, layers=layers)
    with writing(bundle):
        record_verification(found, verification)
    return verification


def _verify_file(
    adapter: Adapter[Any], path: Path, model: str | None, given: Given, layers: bool, reporter: Reporter
) -> Verification:
    """The verdict on a converted file, which stays as it is."""
    with reporter.step(f"read {path} and its original"):
        found = adapter.read(path)
        original = found.load_original(adapter.load, adapter.origin, model)
        table = adapter.survey(original)
    for warning in adapter.warnings(original, table):
        reporter.note(str(warning))
    evidence = given.evidence(table)
    with reporter.step("run both, and the control"):
        return verify_models(
            adapter,
            found.plan,
            original,
            found.model,
            given.seed,
            evidence=evidence,
            whole=given.is_by_metric,
            layers=layers,
        )


def _errors(errors: Sequence[LayerError]) -> Table:
    columns = ("layer", "weight", "edit", ">signal to noise", ">cosine", ">largest error")
    return rows_table(columns, map(_error, errors))


def _error(error: LayerError) -> tuple[str, ...]:
    about = error.layer, error.parameter or "", error.edit or ""
    found = error.difference
    if found is None:
        return (*about, error.reason or "", "", "")
    ratio = f"{found.snr_db:.1f} dB" if isfinite(found.snr_db) else "equal" if found.snr_db > 0 else "no signal"
    return (*about, ratio, f"{found.cosine:.6f}", f"{found.max_relative:.2e}")
