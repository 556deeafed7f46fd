"""Every example runs from the wheel alone, as its docstring says, and ends well."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import Installed

EXAMPLES = Path(__file__).parents[2] / "examples"
# The demo runs for a minute; `make demo` is its test, and the same steps are cases of the command line.
ALONE = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "demo.py")


@pytest.mark.parametrize("name", ALONE)
def test_an_example_runs_alone(name: str, installed: Installed, tmp_path: Path) -> None:
    """In a folder of its own, with nothing but the wheel installed, and PyTorch for what begins there."""
    if "torch" in name:
        pytest.importorskip("torch", reason="PyTorch is an optional extra: pip install 'corecast[torch]'")
    done = installed.run("python", "-I", str(EXAMPLES / name), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not any(tmp_path.iterdir()), "an example leaves nothing behind"
