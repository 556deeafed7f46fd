"""The path or name of a recipe in, a resolved recipe out, with all that it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from corecast.api.catalogue import standard_catalogue
from corecast.api.library import find_recipe, library, pack_in, read_text
from corecast.lang import Problem, RulesError, Source, parse_readable
from corecast.lang.nodes import Scalar
from corecast.model import LayerTable
from corecast.recipe import Catalogue, Flat, Recipe, flatten, resolve
from corecast.recipe.lock import SUFFIX as LOCK
from corecast.recipe.lock import lock_problems


def read_flat(
    rules: str | Path | Source,
    params: Mapping[str, Scalar] | None = None,
    packs: Sequence[str | Path] = (),
    *,
    locked: bool = True,
) -> tuple[Flat, list[Problem]]:
    """Read a recipe and all that it uses into one file; and everything that is wrong with their texts.

    Where a lock stands beside it, what it uses must be what the lock says; `locked=False` leaves that open.

    Raises `RulesError` where the recipe itself cannot be read.
    """
    shelves = library(packs)
    if isinstance(rules, Source):
        source, pack = rules, pack_in(rules.path.parent, Path(rules.name).parent) if rules.path else None
    else:
        source, pack = find_recipe(rules, shelves)
    if source.path and (pack is None or pack.where):
        shelves = shelves.beside(source.path, Path(source.name).parent)
    file, problems = parse_readable(source)
    flat, more = flatten(file, shelves, pack, params)
    problems += more
    return flat, problems + (_lock_problems(flat, source.path) if locked and source.path and not problems else [])


def _lock_problems(flat: Flat, path: Path) -> list[Problem]:
    """What differs from the lock that stands beside a recipe, where one does."""
    lock = path.with_suffix(LOCK)
    return list(lock_problems(flat, path, read_text(lock))) if lock.is_file() else []


def read_recipe(
    rules: str | Path | Source,
    table: LayerTable | None = None,
    *,
    params: Mapping[str, Scalar] | None = None,
    packs: Sequence[str | Path] = (),
) -> Recipe:
    """Read and resolve a recipe, with all that it uses.

    Args:
        rules: a path, the name of a pack, or a `Source` that holds the text itself.
        table: a model's layers, whose operators and attributes the rules may then name too.
        params: values for parameters, in place of their defaults; `pack.name` for one of a recipe that this one uses.
        packs: folders in which packs are looked for first.

    Raises:
        RulesError: with every problem of the texts.

    Example:
        >>> from corecast.api import Source, read_recipe
        >>> text = "param layout = NHWC\\nmatch nn.conv2d #k, set layout $layout"
        >>> recipe = read_recipe(Source("first.rules", text), params={"layout": "HWNC"})
        >>> recipe.rules[0].requests[0].text
        'set layout HWNC'
    """
    catalogue = standard_catalogue()
    if table:
        catalogue = catalogue.for_model(table)
    flat, problems = read_flat(rules, params, packs)
    try:
        recipe = resolve(flat, catalogue)
    except RulesError as error:
        problems += [item for item in error.problems if not problems or not _may_follow(item, catalogue)]
        raise RulesError(problems) from None
    if problems:
        raise RulesError(problems)
    return recipe


def _may_follow(problem: Problem, catalogue: Catalogue) -> bool:
    """Whether a problem may come of another: a set whose `let` or `use` could not be read is unknown afterwards."""
    if problem.slug != "unknown-operator" or problem.span is None:
        return False
    prefix, dot, _ = problem.span.text.partition(".")
    return not dot or not any(name.startswith(f"{prefix}.") for name in catalogue.operators)
