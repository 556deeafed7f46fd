"""The words that Corecast knows: those of the packages `actions` and `predicates`, and those of other distributions."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from corecast import actions, predicates
from corecast.recipe import Action, Catalogue, Function, Predicate, installed, loaded
from corecast.recipe.installed import OURS


@cache
def standard_catalogue() -> Catalogue:
    """Every action and predicate that is installed.

    Other distributions add words by the entry points `corecast.actions` and `corecast.predicates`, each naming a module
    that is searched like our own. Raises `ExtensionError` where a word has two owners, or where one cannot be loaded.
    """
    words: list[tuple[str, Any]] = []
    for package in (actions, predicates):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            words += _words(OURS, import_module(info.name))
    for group in ("corecast.actions", "corecast.predicates"):
        for owner, point in installed(group):
            words += _words(owner, loaded(owner, point))
    return Catalogue.of(words)


def _words(owner: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    for value in vars(module).values():
        is_action = isinstance(value, type) and issubclass(value, Action) and value.__module__ == module.__name__
        if is_action or isinstance(value, Predicate | Function):
            yield owner, value
