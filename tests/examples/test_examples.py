"""Every example runs alone, as its docstring says, and ends well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# The demo runs for a minute; `make demo` is its test, and the same steps are cases of the command line.
ALONE = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "demo.py")


@pytest.mark.parametrize("name", ALONE)
def test_an_example_runs_alone(name: str, tmp_path: Path) -> None:
    """In a folder of its own, with nothing but corecast installed, and PyTorch for what begins there."""
    if "torch" in name:
        pytest.importorskip("torch", reason="PyTorch is an optional extra: pip install 'corecast[torch]'")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not any(tmp_path.iterdir()), "an example leaves nothing behind"
