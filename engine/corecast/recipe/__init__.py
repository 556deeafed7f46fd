"""Recipes: what an action, a predicate and a catalogue are, and how a syntax tree gets its meaning."""

from corecast.recipe.edits import PROPERTIES, ChangeDType, ChangeLayout, Edit, Keep, Property, Tune
from corecast.recipe.recipe import Recipe, Request, Rule
from corecast.recipe.resolve import resolve
from corecast.recipe.words import Action, Catalogue, Declined, Predicate, Value, placed_predicate, predicate

__all__ = [
    "PROPERTIES",
    "Action",
    "Catalogue",
    "ChangeDType",
    "ChangeLayout",
    "Declined",
    "Edit",
    "Keep",
    "Predicate",
    "Property",
    "Recipe",
    "Request",
    "Rule",
    "Tune",
    "Value",
    "placed_predicate",
    "predicate",
    "resolve",
]
