"""The front door: a dozen names, documented, with examples that run."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import corecast.api
from corecast.api import recipes
from corecast.report import Reporter


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


def test_the_door_of_planning_brings_no_library_that_it_may_not_need() -> None:
    """Lark comes with the first text, YAML with the first file; pydantic waits until something is validated."""
    code = (
        "import sys; from corecast.api import read_recipe, plan, explain, describe;"
        "print([name for name in ('lark', 'yaml', 'numpy', 'importlib.metadata') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


_AT_ONCE = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from corecast.api import Source, plan, read_recipe
from corecast.model import LayerTable
text = '{"version": 1, "model": "m", "ir": "relax", "layers": [], "returns": [], "arguments": {}}'
rules = "rule r, match nn.conv2d, set layout NHWC, tune tensorcore trials 4, optional"
together = Barrier(16)
def work(number):
    together.wait()
    table = LayerTable.model_validate_json(text)
    return plan(read_recipe(Source("a.rules", rules)), table).model_dump_json()
with ThreadPoolExecutor(16) as pool:
    print(len(set(pool.map(work, range(16)))))
"""


def test_threads_may_meet_in_what_is_built_when_it_is_first_used() -> None:
    """Tables, words and plans of a process that has only just begun, all made at once."""
    assert subprocess.check_output([sys.executable, "-c", _AT_ONCE], text=True) == "1\n"


@pytest.mark.parametrize("name", ["api.md", "embedding.md"])
def test_a_page_that_is_a_session_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of it is executed, and answers what it says."""
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / name
    outcome = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted > 15
    assert not outcome.failed


def test_text_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it looks like the markup or the emoji of a terminal: names of users' metrics, layers and files may."""
    reporter = Reporter()
    reporter.text("metrics:ok: 99% [bold]")
    reporter.note("metrics:ok: 99% [bold]")
    said = capsys.readouterr()
    assert said.out == said.err == "metrics:ok: 99% [bold]\n"
