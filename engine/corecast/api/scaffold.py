"""`corecast new`: a name in, the folder of a pack out, with a recipe and a case of it that passes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from corecast.adapters.whole import whole_folder
from corecast.api.library import library, read_text
from corecast.api.options import Packs, UsageError, writing
from corecast.api.recipes import read_recipe
from corecast.api.testing import TESTS, outcome_of
from corecast.cases import read_cases, with_texts
from corecast.lang import Problem, Source
from corecast.recipe import Pack
from corecast.recipe.packs import PACK_FILE, PACK_NAME, SUFFIX, read_info

VERSION = "0.1"

RULES = """\
# What {name} is for, in a sentence.
recipe {name} "{version}"

param layout = HWNC

let stem = nn.conv2d where in_channels < 16

skip stem

rule convs
  match nn.conv2d where groups == 1
  set layout $layout unless skipped
"""

RULES_OF_A_FAMILY = """\
# What {name} changes about {family}, in a sentence.
recipe {name} "{version}"

use {family} >= {family_version}

# Rules that follow have the last word; `corecast recipes show {name} --resolved` prints those that came before.
"""

CASES = """\
# {name}

## {title}

What this network stands for, and why it is decided so. `corecast test --accept` writes what is decided; review it.

```layers
{layers}```
```decisions
```
```smoke
pass
```
"""

NETWORK = """\
image: float32 2x3x16x16
nn.conv2d#0(image, %stem.weight: float32 32x3x3x3) padding=[1, 1, 1, 1] -> float32 2x32x16x16 @stem follows
nn.relu#0(nn.conv2d#0) -> float32 2x32x16x16 follows
nn.conv2d#1(nn.relu#0, %body.weight: float32 32x32x3x3) padding=[1, 1, 1, 1] -> float32 2x32x16x16 @body follows
nn.relu#1(nn.conv2d#1) -> float32 2x32x16x16 follows
return nn.relu#1
"""


def new(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="The folder to make; its name is the pack's.")],
    family: Annotated[
        str | None, typer.Option(help="Build on this pack: use it, and take a network from its cases.")
    ] = None,
    licence: Annotated[str, typer.Option(help="An SPDX expression, or LicenseRef-NAME.")] = "Apache-2.0",
    packs: Packs = None,
) -> None:
    """Write a pack to begin with: pack.yaml, a recipe, and a case that `corecast test` passes at once."""
    from corecast.report import Reporter

    name = folder.resolve().name
    if not re.fullmatch(PACK_NAME, name):
        help = "take letters, digits, `_` and single `-`"
        raise UsageError(Problem("bad-name", f"a pack cannot be called `{name}`", help=help))
    if folder.exists():
        raise UsageError(Problem("output-exists", f"{folder} exists already", help="take another name"))
    beside = [folder.parent] if folder.parent.is_dir() else []
    files = pack_files(name, family, licence, (*beside, *(packs or ())))
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder) as draft:
            for file, text in files.items():
                (draft / file).write_text(text, encoding="utf-8")
    Reporter().text(f"{folder}: {', '.join(files)}; `corecast test {folder}` runs its case")


def pack_files(name: str, family: str | None, licence: str, packs: Sequence[Path]) -> dict[str, str]:
    """The files of a new pack by name. Raises `UsageError` and `RulesError` where the family is not there."""
    base = _family(family, packs) if family else None
    rules = RULES.format(name=name, version=VERSION)
    title, layers = "the stem stays, the other convolutions are converted", NETWORK
    if base:
        given = {"name": name, "version": VERSION, "family": base.name, "family_version": base.info.version}
        rules = RULES_OF_A_FAMILY.format(**given)
        title, layers = _network(base)
    recipe = Source(f"{name}{SUFFIX}", rules)
    read_recipe(recipe, packs=packs)
    cases = CASES.format(name=name, title=title, layers=layers)
    (case,) = read_cases(Source("cases", cases)).values()
    cases = with_texts(cases, case.name, outcome_of(case, recipe, packs).texts(case))
    return {PACK_FILE: _info(name, licence, base), recipe.name: rules, f"{name}{TESTS}": cases}


def _family(name: str, packs: Sequence[Path]) -> Pack:
    shelves = library(packs)
    pack = shelves.find(name)
    if pack is None:
        help = f"known packs: {', '.join(sorted(shelves.names))}"
        raise UsageError(Problem("no-pack", f"there is no pack `{name}`", help=help))
    return pack


def _network(pack: Pack) -> tuple[str, str]:
    """The first case of a pack that has a layer table: its title, and the table."""
    file = pack.folder / f"{pack.name}{TESTS}"
    cases = read_cases(read_text(file)).values() if file.is_file() else ()
    found = next((case for case in cases if "layers" in case.blocks), None)
    if found is None:
        help = f"give {pack.name} a case with a layer table, or leave `--family` away and write `use {pack.name}`"
        raise UsageError(Problem("no-tests", f"the pack {pack.name} has no network that a case could take", help=help))
    return found.title, found.blocks["layers"].text


def _info(name: str, licence: str, base: Pack | None) -> str:
    lines = [
        f"name: {name}",
        f'version: "{VERSION}"',
        "description: What it is for, in a sentence",
        f"licence: {licence}",
        "requires:",
        '  corecast: ">=0.1"',
    ]
    if base:
        major = int(base.info.version.split(".")[0])
        lines += ["  packs:", f'    {base.name}: ">={base.info.version},<{major + 1}"']
    text = "\n".join(lines) + "\n"
    read_info(Source(PACK_FILE, text))
    return text
