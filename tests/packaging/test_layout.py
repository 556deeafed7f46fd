"""One namespace package over two source roots, and what the wheel makes of them."""

from __future__ import annotations

import configparser
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("root", ["dsl", "engine"])
def test_a_source_root_has_no_init_that_would_hide_the_other(root: str) -> None:
    assert not (ROOT / root / "corecast" / "__init__.py").exists()


@pytest.mark.parametrize("root", ["dsl", "engine"])
def test_every_room_with_code_has_its_init(root: str) -> None:
    rooms = {path.parent for path in (ROOT / root / "corecast").rglob("*.py")}
    assert [str(room.relative_to(ROOT)) for room in sorted(rooms) if not (room / "__init__.py").exists()] == []


def test_every_room_stands_under_the_import_contracts() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (tvm,) = (contract for contract in settings["contracts"] if contract["type"] == "forbidden")
    rooms = {f"corecast.{path.parent.name}" for path in ROOT.glob("*/corecast/*/__init__.py")}
    assert set(settings["root_packages"]) == set(tvm["source_modules"]) == rooms


def test_the_wheel_adds_one_name_to_site_packages(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"corecast"}
    assert len(tops) == 2


def test_the_wheel_holds_every_file_of_both_roots_and_no_other(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT / root).as_posix()
        for root in ("dsl", "engine")
        for path in (ROOT / root).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    recipes = {
        f"corecast/recipes/{path.relative_to(ROOT / 'rules').as_posix()}"
        for path in (ROOT / "rules").rglob("*")
        if path.is_file()
    }
    assert {name for name in names(wheel) if ".dist-info/" not in name} == sources | recipes


@pytest.mark.parametrize(
    "name", ["corecast/py.typed", "corecast/lang/grammar.lark", "corecast/recipes/origin/origin.rules"]
)
def test_the_wheel_holds(wheel: Path, name: str) -> None:
    assert name in names(wheel)


def test_the_wheel_carries_its_license(wheel: Path) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names(wheel))


def test_the_console_script_is_corecast(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        points = configparser.ConfigParser()
        points.read_string(archive.read(entry).decode())
    assert [*points["console_scripts"]] == ["corecast"]


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()
