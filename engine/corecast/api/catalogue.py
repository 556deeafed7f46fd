"""The words that Corecast knows: those of the packages `actions` and `predicates`, and those of other distributions."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from corecast import actions, predicates
from corecast.recipe import Action, Catalogue, Function, Predicate


@cache
def standard_catalogue() -> Catalogue:
    """Every action and predicate that is installed.

    Other distributions add words by the entry points `corecast.actions` and `corecast.predicates`, each naming a module
    that is searched like our own. Raises `ValueError` where a word has two owners.
    """
    words: list[tuple[str, Any]] = []
    for package in (actions, predicates):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            words += _words(info.name, import_module(info.name))
    for group in ("corecast.actions", "corecast.predicates"):
        for point in entry_points(group=group):
            owner = point.dist.name if point.dist else point.value
            words += _words(owner, point.load())
    return Catalogue.of(words)


def _words(owner: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    for value in vars(module).values():
        is_action = isinstance(value, type) and issubclass(value, Action) and value.__module__ == module.__name__
        if is_action or isinstance(value, Predicate | Function):
            yield owner, value
