"""The front door: a dozen names, documented, with examples that run."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import corecast.api
from corecast.api import recipes


def test_every_name_is_there_and_documented() -> None:
    """A name without a docstring is not part of a door that people can use."""
    for name in corecast.api.__all__:
        assert (getattr(corecast.api, name).__doc__ or "").strip(), name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """The lazy door answers like any module."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = corecast.api.nothing


@pytest.mark.parametrize("module", [recipes, corecast.api])
def test_the_examples_in_docstrings_run(module: object) -> None:
    """What a docstring shows is what happens."""
    outcome = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted
    assert not outcome.failed


def test_reading_a_recipe_imports_no_tvm() -> None:
    """Planning, checking and explaining start quickly, and where no TVM is installed."""
    code = (
        "import sys; from corecast.api import read_recipe, plan, explain, Source;"
        "read_recipe(Source('a', 'match nn.conv2d, keep'));"
        "sys.exit(any(name in sys.modules for name in ('tvm', 'tvm_ffi', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["api.md", "embedding.md"])
def test_a_page_that_is_a_session_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of it is executed, and answers what it says."""
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / name
    outcome = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 15
    assert not outcome.failed
