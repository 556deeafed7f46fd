"""The path or name of a rules file in, a resolved recipe out."""

from __future__ import annotations

from pathlib import Path

import corecast
from corecast.api.catalogue import standard_catalogue
from corecast.lang import Problem, RulesError, Source, parse_readable
from corecast.lang.problems import nearest
from corecast.model import LayerTable
from corecast.recipe import Recipe, resolve

SUFFIX = ".rules"


def recipe_root() -> Path:
    """The shared recipes: `corecast/recipes` in a wheel, `rules/` in a checkout."""
    packaged = (Path(root) / "recipes" for root in corecast.__path__)
    return next((path for path in packaged if path.is_dir()), Path(__file__).parents[3] / "rules")


def read_source(name: str | Path) -> Source:
    """A rules file by its path, or a shared recipe by its name (`resnet`).

    Raises `RulesError` where there is no such file, and where it is not UTF-8 text.
    """
    path = Path(name)
    shared = recipe_root().joinpath(f"{name}{SUFFIX}")
    try:
        if not path.exists() and path.suffix != SUFFIX and shared.is_file():
            return Source(f"{name}{SUFFIX}", shared.read_text(encoding="utf-8"))
        return Source.read(path)
    except OSError as error:
        names = [item.name.removesuffix(SUFFIX) for item in recipe_root().iterdir() if item.name.endswith(SUFFIX)]
        help = nearest(str(name), names) or f"shared recipes: {', '.join(sorted(names))}"
        raise RulesError(Problem("no-rules", f"cannot read {name}: {error.strerror}", help=help)) from error
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}"
        raise RulesError(Problem("not-text", message, help="save it as UTF-8")) from error


def read_recipe(rules: str | Path | Source, table: LayerTable | None = None) -> Recipe:
    """Parse and resolve a rules file.

    Args:
        rules: a path, the name of a shared recipe, or a `Source` that holds the text itself.
        table: a model's layers, whose operators and attributes the rules may then name too.

    Raises:
        RulesError: with every problem of the file.

    Example:
        >>> from corecast.api import Source, read_recipe
        >>> recipe = read_recipe(Source("first.rules", "match nn.conv2d #k, set layout HWNC"))
        >>> recipe.rules[0].requests[0].text
        'set layout HWNC'
    """
    catalogue = standard_catalogue()
    file, problems = parse_readable(rules if isinstance(rules, Source) else read_source(rules))
    try:
        recipe = resolve(file, catalogue.for_model(table) if table else catalogue)
    except RulesError as error:
        problems += [problem for problem in error.problems if not problems or not _may_follow(problem)]
        raise RulesError(problems) from None
    if problems:
        raise RulesError(problems)
    return recipe


def _may_follow(problem: Problem) -> bool:
    """Whether a problem may come of another: a set whose `let` could not be read is unknown afterwards."""
    return problem.slug == "unknown-operator" and problem.span is not None and "." not in problem.span.text
