"""An adapter and a word come as a distribution of their own; a name that is taken is told with both owners."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from environments import Installed

TAPE = Path(__file__).parents[2] / "examples" / "tape_adapter"

RULES = "match nn.dense where fan_in > 4\n  cast float16\n"


class Site(NamedTuple):
    """A Python with the wheel, and folders in which other distributions are installed beside it."""

    python: Path
    folders: tuple[Path, ...]


@pytest.fixture(scope="module")
def site(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The wheel, and the example, built by the installed backend and without a network."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(folder), str(TAPE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Site(installed.environment / "bin" / "python", (folder,))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "net.tape").write_bytes((TAPE / "net.tape").read_bytes())
    (tmp_path / "half.rules").write_text(RULES, encoding="utf-8")
    return tmp_path


def run(site: Site, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, site.folders))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(site.python), "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def corecast(site: Site, folder: Path, *arguments: str) -> str:
    done = run(site, folder, "corecast.api", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def distribution(site: Path, name: str, group: str, point: str) -> None:
    """The metadata of an installed distribution with one entry point."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text(f"[{group}]\n{point}\n", encoding="utf-8")


def test_the_example_is_short_enough_to_be_read() -> None:
    lines = (TAPE / "tape_corecast.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150


def test_a_model_of_another_toolchain_goes_through_the_command_line(site: Site, here: Path) -> None:
    """From layers to a converted file, which is a model again; `fan_in` is a word that the distribution adds."""
    assert "nn.dense#2" in corecast(site, here, "layers", "net.tape")
    assert "2 of 4 layers change" in corecast(site, here, "plan", "half.rules", "net.tape", "-o", "plan.yaml")
    assert "tape.Recast" in corecast(site, here, "compile", "half.rules", "net.tape")
    told = corecast(site, here, "apply", "net.tape", "--plan", "plan.yaml", "-o", "out.tape")
    assert "out.tape: 2 layers as decided" in told
    assert "2 casts at run time" in told.splitlines()[-2]
    assert "astype#1" in corecast(site, here, "layers", "out.tape", "--ir", "tape")
    assert "verdict: pass" in corecast(site, here, "verify", "out.tape")
    assert "output0: float32" in corecast(site, here, "run", "out.tape", "-o", "out.npz")
    assert (here / "out.npz").is_file()


def test_a_recipe_that_breaks_a_model_of_another_toolchain_is_bisected(site: Site, here: Path) -> None:
    """Each probe is converted and run by the adapter."""
    done = run(site, here, "corecast.api", "bisect", "half.rules", "net.tape", "--tolerance", "1e-7")
    assert done.returncode == 1, done.stderr
    assert "half.rules on net.tape fails" in done.stdout


def test_a_converted_file_is_proven_against_its_own_original(site: Site, here: Path) -> None:
    """Another file in its place is told, and so is a tape that Corecast never wrote."""
    corecast(site, here, "apply", "half.rules", "net.tape", "-o", "out.tape")
    assert (here / "net.tape").rename(here / "moved.tape")
    assert "verdict: pass" in corecast(site, here, "verify", "out.tape", "--model", "moved.tape")
    (here / "net.tape").write_text((here / "moved.tape").read_text("utf-8") + " ", encoding="utf-8")
    for arguments, message in [
        (["verify", "out.tape"], "error[another-original]: "),
        (["verify", "net.tape"], "error[not-converted]: net.tape does not say what it was converted from"),
        (["tune", "out.tape"], "error[no-tuner]: schedules are searched in bundles"),
    ]:
        done = run(site, here, "corecast.api", *arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr


# A distribution of which everything fails when it is called.
FAULTY = """
from typing import ClassVar
from corecast.actions.keep import KeepAsIs
from corecast.recipe import predicate
from tape_corecast import TapeAdapter

class Loud(TapeAdapter):
    ir = "loud"
    def survey(self, model):
        return model.nothing

@predicate
def loudness(layer) -> int:
    return layer.nothing

class Shout(KeepAsIs):
    verb: ClassVar[str] = "shout"
    def propose(self, layer, target):
        return layer.nothing
"""


@pytest.mark.parametrize(
    ("group", "point", "rules", "ir", "called"),
    [
        ("corecast.adapters", "loud = acme:Loud", RULES, "loud", "survey"),
        ("corecast.predicates", "acme = acme", "match nn.dense where loudness > 1, keep", "tape", "loudness"),
        ("corecast.actions", "acme = acme", "match nn.dense, shout dtype", "tape", "propose"),
    ],
)
def test_a_fault_of_an_extension_is_told_as_its_own(
    site: Site, here: Path, tmp_path: Path, group: str, point: str, rules: str, ir: str, called: str
) -> None:
    """With the distribution and the function that was called, and the traceback above it for its makers."""
    other = tmp_path / "other"
    distribution(other, "acme", group, point)
    (other / "acme.py").write_text(FAULTY, encoding="utf-8")
    (here / "own.rules").write_text(rules, encoding="utf-8")
    both = site._replace(folders=(other, *site.folders))
    done = run(both, here, "corecast.api", "plan", "own.rules", "net.tape", "--ir", ir)
    assert done.returncode == 3, done.stderr
    assert f"error[broken-extension]: `{called}`, which acme 1.0 adds, raised AttributeError: " in done.stderr
    assert "Traceback" in done.stderr
    assert "error[internal]" not in done.stderr


def test_what_the_adapter_does_not_take_is_refused(site: Site, here: Path) -> None:
    """An option that its models are not read with, a file in the way, an IR that nobody has an adapter for."""
    (here / "out.tape").write_text("mine", encoding="utf-8")
    for arguments, message in [
        (
            ["layers", "net.tape", "--weights", "random:0"],
            "[no-such-option]: models of the IR `tape` are not read",
        ),
        (["apply", "half.rules", "net.tape", "-o", "out.tape"], "error[output-exists]: out.tape exists already"),
        (["layers", "net.tape", "--ir", "tap"], "did you mean `tape`?"),
        (["layers", "absent.tape"], "absent.tape: error[no-model]: there is no such file"),
    ]:
        done = run(site, here, "corecast.api", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
    assert (here / "out.tape").read_text(encoding="utf-8") == "mine"


def test_the_adapter_passes_the_conformance_kit(site: Site, tmp_path: Path) -> None:
    """As its own project would run it."""
    done = run(site, tmp_path, "pytest", "-q", "-p", "no:cacheprovider", str(TAPE / "test_tape_corecast.py"))
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout


@pytest.mark.parametrize(
    ("group", "point", "message"),
    [
        (
            "corecast.adapters",
            "onnx = acme:Adapter",
            "`onnx` comes with two distributions: corecast and acme 1.0",
        ),
        ("corecast.adapters", "tape = acme:Adapter", "the adapter `tape` comes with two distributions: "),
        ("corecast.actions", "acme = acme", "`cast` comes with two distributions: corecast and acme 1.0"),
        ("corecast.predicates", "acme = acme", "the predicate `fan_in` comes with two distributions: "),
        (
            "corecast.actions",
            "acme = nowhere",
            "`nowhere`, which acme 1.0 adds as corecast.actions acme,",
        ),
    ],
)
def test_a_name_with_two_owners_is_told_with_both(
    site: Site, here: Path, tmp_path: Path, group: str, point: str, message: str
) -> None:
    """Whichever was installed first; and what cannot be loaded is told with its owner."""
    other = tmp_path / "other"
    distribution(other, "acme", group, point)
    words = {
        "corecast.actions": "from corecast.actions.cast import Cast\n\nclass Other(Cast): ...\n",
        "corecast.predicates": "from corecast.recipe import predicate\n\n@predicate\ndef fan_in(layer): ...\n",
    }
    (other / "acme.py").write_text(words.get(group, ""), encoding="utf-8")
    both = site._replace(folders=(other, *site.folders))
    done = run(both, here, "corecast.api", "plan", "half.rules", "net.tape")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    if "two distributions" in message:
        assert "acme 1.0" in done.stderr
        assert "tape-corecast 1.0" in done.stderr or "corecast and" in done.stderr
        assert "help: uninstall one of them" in done.stderr
