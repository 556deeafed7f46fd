"""The JSON Schemas of what `--json` prints, and of files that are JSON: calibrations, and reports of conversions.

`python -m corecast.api.schemas FOLDER` writes one file for each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from corecast.adapters.bundle import Report as BundleReport
from corecast.adapters.converted import Report as FileReport
from corecast.api.doctor import Finding as DoctorFinding
from corecast.api.printed import Finding, PrintedPack, PrintedPass
from corecast.api.targets import ThisMachine
from corecast.bisect import Bisection
from corecast.cases import CaseResult
from corecast.model import Count, LayerTable, Target
from corecast.plan import Explanation, Names, Plan, PlanDiff
from corecast.quantization import Calibration
from corecast.report.benchmark import Benchmark
from corecast.search import Found
from corecast.verify import Verification

PRINTED: dict[str, Any] = {
    "bench": Benchmark,
    "bisect": Bisection,
    "calibration": Calibration,
    "check": list[Finding],
    "compile": list[PrintedPass],
    "count": list[Count],
    "doctor": list[DoctorFinding],
    "explain": Explanation,
    "layers": LayerTable,
    "names": list[Names],
    "plan": Plan,
    "plan-diff": PlanDiff,
    "recipes": list[PrintedPack],
    "report": BundleReport,
    "report-in-file": FileReport,
    "targets": list[Target],
    "targets-here": ThisMachine,
    "search": Found,
    "test": list[CaseResult],
    "verify": Verification,
}


def schema(command: str) -> str:
    """The schema of what a command prints with `--json`, as text; `plan-diff` is that of `plan --diff`, and so on."""
    return json.dumps(TypeAdapter(PRINTED[command]).json_schema(mode="serialization"), indent=2) + "\n"


def write_schemas(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for command in PRINTED:
        (folder / f"{command}.json").write_text(schema(command), encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
