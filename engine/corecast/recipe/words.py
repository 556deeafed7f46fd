"""What a word of the language is: an action proposes edits for a layer, a predicate says something about one.

A new word is one new file in `actions/` or `predicates/` (or an entry point of another distribution); the grammar and
this file stay as they are.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, TypeAlias

from corecast.lang.problems import nearest
from corecast.model import Layer, LayerTable, WeightSummary
from corecast.model.record import Record
from corecast.model.target import Target
from corecast.model.vocabulary import ATTRIBUTES, OPERATORS
from corecast.recipe.edits import Edit, Property
from corecast.recipe.installed import ExtensionError


class Declined:
    """Why an action does not apply to a layer. The text is made only when somebody reads it: most are never read."""

    __slots__ = ("_template", "_values")

    def __init__(self, template: str, *values: object):
        self._template = template
        self._values = values

    def __str__(self) -> str:
        return self._template.format(*self._values)


class Action(Record):
    """One request with its arguments, as a recipe wrote it.

    A subclass names its `verb` and its arguments: fields in `positional` are read in order, fields in `keyed` follow
    their own name (`trials 64`; `at_most` is written `at most`), the field `arrow` stands behind `->`. Arguments are
    validated by pydantic; a wrong one is reported at the word that gave it.
    """

    verb: ClassVar[str]
    positional: ClassVar[Sequence[str]] = ()
    keyed: ClassVar[Sequence[str]] = ()
    arrow: ClassVar[str | None] = None

    @property
    @abstractmethod
    def properties(self) -> tuple[Property, ...]:
        """The properties of a layer that this request is about."""

    @abstractmethod
    def propose(self, layer: Layer, target: Target | None) -> tuple[Edit, ...] | Declined:
        """The edits for one layer, or why there are none.

        Pure: layers of equal structural hash (operator, attributes, types, neighbours) must get equal answers, and only
        one of them is asked.
        """

    def excluded(self, op: str | None) -> Declined | None:  # noqa: ARG002
        """Why this applies to no call of an operator, in whichever model; None where it may.

        For `None` instead of an operator: why it applies to no call of any.
        """
        return None

    def unless_named(self, layer: Layer) -> Declined | None:  # noqa: ARG002
        """Why this applies to a layer only where its rule names the operator, and not reaches it with `nn.*` or `*`.

        None where that is all the same. It is asked of layers that this applies to.
        """
        return None

    def objection(self, target: Target) -> str | None:  # noqa: ARG002
        """Why this applies to no layer on a target; None where it may."""
        return None


Value = None | bool | int | float | str | tuple[int | float | str, ...]


@dataclass(frozen=True)
class Within:
    """What is known of a number, beside its type in the annotation of a predicate or function: both ends included."""

    low: float
    high: float = math.inf


Natural: TypeAlias = Annotated[int, Within(0)]
Size: TypeAlias = Natural | str | None  # the name of a dynamic size is a text
Share: TypeAlias = Annotated[float, Within(0, 1)]
Positive: TypeAlias = Annotated[float, Within(0)]


@dataclass(frozen=True)
class Predicate:
    """A word of conditions: a function from a layer to a value, None where the layer has no such thing.

    `placed` says that the value depends on where the layer stands or what it is called, and not only on what its
    structural hash covers: operator, attributes, types and neighbours. `operators` are those that can have such a
    thing, where not all can. What the function says that it returns (`Natural | None`) is what `corecast check` knows.
    """

    word: str
    value: Callable[[Layer], Value]
    placed: bool = False
    operators: frozenset[str] | None = None

    @property
    def doc(self) -> str:
        return (self.value.__doc__ or "").strip()


def predicate(value: Callable[[Layer], Value]) -> Predicate:
    """Make the decorated function a word of the same name; equal layers must get equal values."""
    return Predicate(value.__name__, value)


def predicate_of(operators: Iterable[str]) -> Callable[[Callable[[Layer], Value]], Predicate]:
    """The same for a word about something that only these operators have."""
    return lambda value: Predicate(value.__name__, value, operators=frozenset(operators))


def placed_predicate(value: Callable[[Layer], Value]) -> Predicate:
    """The same for a word about a layer's place or name, which tells equal layers apart."""
    return Predicate(value.__name__, value, placed=True)


@dataclass(frozen=True)
class Function:
    """A function of conditions: from the values of a weight to a number, None where the weight has none such."""

    word: str
    value: Callable[[WeightSummary], float | None]

    @property
    def doc(self) -> str:
        return (self.value.__doc__ or "").strip()


def weight_function(value: Callable[[WeightSummary], float | None]) -> Function:
    """Make the decorated function a word of the same name: `max_abs(weight)`."""
    return Function(value.__name__, value)


@dataclass(frozen=True)
class Catalogue:
    """The words that exist: a value, so that a test can build one with two words in it."""

    actions: Mapping[str, type[Action]] = field(default_factory=dict)
    predicates: Mapping[str, Predicate] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    operators: frozenset[str] = OPERATORS
    attributes: frozenset[str] = ATTRIBUTES

    @classmethod
    def of(cls, words: Sequence[tuple[str, Any]]) -> Catalogue:
        """Collect words with their owners (`module or distribution`, word).

        Raises `ExtensionError` that names both owners where a word has two.
        """
        actions: dict[str, type[Action]] = {}
        predicates: dict[str, Predicate] = {}
        functions: dict[str, Function] = {}
        owners: dict[tuple[str, str], tuple[str, Any]] = {}
        for owner, word in words:
            is_action = isinstance(word, type)
            name: str = word.verb if is_action else word.word
            kind = "action" if is_action else type(word).__name__.lower()
            if owners.get((kind, name), (owner, word))[1] is not word:
                raise ExtensionError.taken(f"the {kind} `{name}`", owners[kind, name][0], owner)
            owners[kind, name] = owner, word
            if isinstance(word, Predicate):
                predicates[name] = word
            elif isinstance(word, Function):
                functions[name] = word
            else:
                actions[name] = word
        return cls(actions, predicates, functions)

    def for_model(self, table: LayerTable) -> Catalogue:
        """The same words, and the operators and attributes that only this model has."""
        attributes = frozenset(key for layers in table.by_op.values() for key in layers[0].attributes)
        return replace(self, operators=self.operators | set(table.by_op), attributes=self.attributes | attributes)

    def action(self, verb: str, first: str | None) -> tuple[type[Action], bool] | None:
        """The action behind a verb, and whether its name took the first argument too (`set layout`)."""
        if first is not None and f"{verb} {first}" in self.actions:
            return self.actions[f"{verb} {first}"], True
        return (self.actions[verb], False) if verb in self.actions else None


def unknown(kind: str, word: str, known: Sequence[str] | frozenset[str]) -> str:
    """The help for an unknown word: the closest known ones, or all of them where they are few."""
    if help := nearest(word, known):
        return help
    return f"known {kind}: {', '.join(sorted(known))}" if len(known) <= 40 else f"`corecast layers` lists the {kind}"
