"""The reports in docs/upstream are of this TVM: each reproducer gives what its report says that it gives."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

REPORTS = sorted((Path(__file__).parents[2] / "docs" / "upstream").glob("*.md"))


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.stem)
def test_a_report_says_what_happens(report: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A report whose fault is mended in TVM goes, and so may what Corecast does about it."""
    blocks = dict(re.findall(r"```(python|text)\n(.*?)```", report.read_text(encoding="utf-8"), re.DOTALL))
    script = tmp_path / "reproducer.py"
    script.write_text(blocks["python"], encoding="utf-8")
    try:
        runpy.run_path(str(script))
    except Exception as error:
        kind = type(error)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        said = f"{name}: {str(error).strip()}"
    else:
        said = capfd.readouterr().out.strip()
    assert said == blocks["text"].strip()
