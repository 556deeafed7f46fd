"""A layer table in, everything that a selector may say about it out: selectors to copy, each with how many it names.

Words whose values are many numbers are told by thresholds; names and nodes by their scopes too. What no condition can
say, such as a text of several lines, is told apart. Of the values of weights there is what is known.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from glob import escape
from math import isfinite

from corecast.lang import RulesError, Source, parse
from corecast.lang.spell import quoted, spell_number
from corecast.model import Layer, LayerTable, WeightSummary
from corecast.model.record import Record
from corecast.plan.conditions import show
from corecast.plan.select import Selection
from corecast.recipe import Catalogue, Recipe, Value
from corecast.recipe.scope import WEIGHT

# Words that every layer has another value of are told by thresholds: as many values as a reader looks through.
MOST_VALUES = 16

# What a name is cut at: `layer3.0.conv2`, `gpu_0/res2_0_branch2a_w_0`.
_SCOPE = re.compile(r"[./]")


class Named(Record):
    """A selector, and how many layers of the model it names."""

    selector: str
    layers: int


class Names(Record):
    """What may be said under one heading; `untold` names what the model has there and no condition can say."""

    heading: str
    selectors: tuple[Named, ...]
    untold: tuple[str, ...] = ()


def names(table: LayerTable, catalogue: Catalogue, recipe: Recipe | None = None) -> tuple[Names, ...]:
    """Everything that a selector may say about the layers of a model, and the sets of a recipe, where one is given."""
    by_word = {word: partial(_values, table, item.value) for word, item in catalogue.predicates.items()}
    headings = [
        _heading("operators", _operators(table)),
        _heading("places among the calls of an operator", _ordinals(table)),
        _heading("so many of them", _picks(table)),
        _heading("neighbours", _neighbours(table)),
        *(_of_word(word, "*", value()) for word, value in sorted(by_word.items()) if word != "op"),
        *_weights(table, catalogue),
        *(_attributes(op, layers, set(by_word)) for op, layers in sorted(table.by_op.items())),
    ]
    if recipe:
        headings.append(_heading(f"sets of {recipe.name}", _sets(Selection(recipe, table))))
    return tuple(item for item in headings if item.selectors or item.untold)


def format_names(found: Iterable[Names]) -> str:
    """The selectors as a page, each with its number as a comment behind it: every line can stand behind `match`."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Iterable[Names]) -> Iterator[str]:
    for number, names in enumerate(found):
        if number:
            yield ""
        yield f"# {names.heading}"
        width = min(72, max((len(item.selector) for item in names.selectors), default=0))
        yield from (f"{item.selector:<{width}}  # {item.layers}" for item in names.selectors)
        if names.untold:
            yield f"# no condition can say: {', '.join(names.untold)}"


def _heading(heading: str, selectors: Iterable[tuple[str, int]]) -> Names:
    return Names(heading=heading, selectors=tuple(Named(selector=text, layers=count) for text, count in selectors))


# ── operators, places, neighbours, sets ──────────────────────────────────────────────────────────────────────────────


def _operators(table: LayerTable) -> Iterator[tuple[str, int]]:
    yield "*", len(table.layers)
    counts = {op: len(layers) for op, layers in table.by_op.items()}
    families = Counter[str]()
    for op, count in counts.items():
        if "." in op:
            families[op.partition(".")[0]] += count
    yield from ((f"{family}.*", count) for family, count in sorted(families.items()))
    yield from sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _ordinals(table: LayerTable) -> Iterator[tuple[str, int]]:
    for op, layers in sorted(table.by_op.items()):
        yield f"{op} #0", 1
        if len(layers) > 1:
            yield f"{op} #-1", 1
            yield f"{op} #0..{len(layers) - 1}", len(layers)


def _picks(table: LayerTable) -> Iterator[tuple[str, int]]:
    """The first, the last and the costliest layers of operators that have a weight."""
    for op, layers in sorted(table.by_op.items()):
        count = min(3, sum(layer.flops is not None for layer in layers))
        if layers[0].operator and count > 1:
            yield f"first {count} of {op}", count
            yield f"last {count} of {op}", count
            yield f"largest {count} by flops of {op}", count


def _neighbours(table: LayerTable) -> Iterator[tuple[str, int]]:
    feeds, fed_by, chains = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    returned = {operand.layer for operand in table.returns}
    for layer in table.layers:
        readers = [table.layers[index].op for index in layer.consumers]
        makers = [table.layers[index].op for index in layer.producers]
        feeds.update((layer.op, op) for op in set(readers))
        fed_by.update((layer.op, op) for op in set(makers))
        if len(readers) == 1 and layer.index not in returned:
            chains[layer.op, readers[0]] += 1
    yield from ((f"{op} -> {other}", count) for (op, other), count in sorted(chains.items()))
    yield from ((f"{op} where feeds {other}", count) for (op, other), count in sorted(feeds.items()))
    yield from ((f"{op} where fed_by {other}", count) for (op, other), count in sorted(fed_by.items()))


def _sets(selection: Selection) -> Iterator[tuple[str, int]]:
    for name, let in selection.recipe.lets.items():
        yield name, len(selection.layers(let.selector))


# ── words and attributes ─────────────────────────────────────────────────────────────────────────────────────────────


def _values(table: LayerTable, value: Callable[[Layer], Value]) -> list[Value]:
    return [value(layer) for layer in table.layers]


def _weights(table: LayerTable, catalogue: Catalogue) -> Iterator[Names]:
    known = [table.weight(layer.name) for layer in table.layers if layer.name]
    for word, function in sorted(catalogue.functions.items()):
        value: Callable[[WeightSummary], Value] = function.value
        yield _of_word(f"{word}({WEIGHT})", "*", [value(summary) for summary in known if summary])


def _attributes(op: str, layers: Iterable[Layer], words: set[str]) -> Names:
    """What may be said of the attributes of an operator; a word of the language hides an attribute of its name."""
    values: defaultdict[str, list[Value]] = defaultdict(list)
    for layer in layers:
        for name, value in layer.attributes.items():
            values[name].append(value)
    parts = [_of_word(name, op, found) for name, found in sorted(values.items()) if name not in words]
    return Names(
        heading=f"attributes of {op}",
        selectors=tuple(item for part in parts for item in part.selectors),
        untold=tuple(name for part in parts for name in part.untold),
    )


def _of_word(word: str, what: str, values: Iterable[Value]) -> Names:
    """What may be said about the values of a word, for the layers that `what` names."""
    given = [value for value in values if value is not None]
    said = [value for value in given if _can_be_said(value)] if _is_word(word) else []
    selectors = [Named(selector=f"{what} where {text}", layers=count) for text, count in _conditions(word, said)]
    return Names(heading=word, selectors=tuple(selectors), untold=(word,) if len(said) < len(given) else ())


def _can_be_said(value: Value) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, tuple):
        return all(map(_can_be_said, value))
    return not (isinstance(value, str) and "\n" in value)


def _is_word(word: str) -> bool:
    """Whether the language can name it: an adapter's attributes are called as its IR likes."""
    try:
        parse(Source("names", f"match * where {word} == 0, keep"))
    except RulesError:
        return False
    return True


def _conditions(word: str, values: Sequence[Value]) -> Iterator[tuple[str, int]]:
    """Conditions on a word with how many of the values meet each; values of different kinds never equal each other."""
    flags = [value for value in values if isinstance(value, bool)]
    texts = Counter(value for value in values if isinstance(value, str))
    numbers = sorted(value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
    for flag in sorted(set(flags), reverse=True):
        yield f"{word} == {spell_number(flag)}", flags.count(flag)
    lists = Counter(show(value) for value in values if isinstance(value, tuple))
    yield from ((f"{word} == {text}", count) for text, count in _in_order(lists))
    yield from _scopes(word, texts)
    yield from ((f"{word} == {quoted(text)}", count) for text, count in _in_order(texts))
    counts = Counter(numbers)
    if len(counts) <= MOST_VALUES:
        yield from ((f"{word} == {spell_number(number)}", count) for number, count in counts.items())
    else:
        for bound in dict.fromkeys((numbers[0], numbers[len(numbers) // 2], numbers[-1])):
            yield f"{word} >= {spell_number(bound)}", sum(number >= bound for number in numbers)


def _in_order(texts: Counter[str]) -> list[tuple[str, int]]:
    """As a person counts: `layer2` before `layer10`."""
    return sorted(texts.items(), key=lambda item: _as_counted(item[0]))


def _as_counted(text: str) -> list[tuple[str, int]]:
    parts = re.split(r"(\d+)", text)
    return [(word, int(number)) for word, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)]


def _scopes(word: str, texts: Counter[str]) -> Iterator[tuple[str, int]]:
    """The scopes that hold several of the names: `like "layer3.*"`."""
    found, distinct = Counter[str](), Counter[str]()
    for text, count in texts.items():
        for cut in _SCOPE.finditer(text):
            found[text[: cut.end()]] += count
            distinct[text[: cut.end()]] += 1
    for scope, count in _in_order(found):
        if distinct[scope] > 1:
            yield f"{word} like {quoted(escape(scope) + '*')}", count
