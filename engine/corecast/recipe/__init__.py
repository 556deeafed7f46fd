"""Recipes: what an action, a predicate and a catalogue are, and how a syntax tree gets its meaning."""

from corecast.recipe.edits import PROPERTIES, ChangeDType, ChangeLayout, Edit, Keep, Property, Quantize, Tune
from corecast.recipe.flatten import Flat, Part, flatten
from corecast.recipe.installed import ExtensionError, installed, loaded
from corecast.recipe.packs import FolderShelf, Library, OnePackShelf, Pack, PackInfo, PackShelf
from corecast.recipe.recipe import Recipe, Request, Rule
from corecast.recipe.resolve import resolve
from corecast.recipe.words import (
    Action,
    Catalogue,
    Declined,
    Function,
    Natural,
    Positive,
    Predicate,
    Share,
    Size,
    Value,
    Within,
    placed_predicate,
    predicate,
    predicate_of,
    unknown,
    weight_function,
)

__all__ = [
    "PROPERTIES",
    "Action",
    "Catalogue",
    "ChangeDType",
    "ChangeLayout",
    "Declined",
    "Edit",
    "ExtensionError",
    "Flat",
    "FolderShelf",
    "Function",
    "Keep",
    "Library",
    "Natural",
    "OnePackShelf",
    "Pack",
    "PackInfo",
    "PackShelf",
    "Part",
    "Positive",
    "Predicate",
    "Property",
    "Quantize",
    "Recipe",
    "Request",
    "Rule",
    "Share",
    "Size",
    "Tune",
    "Value",
    "Within",
    "flatten",
    "installed",
    "loaded",
    "placed_predicate",
    "predicate",
    "predicate_of",
    "resolve",
    "unknown",
    "weight_function",
]
