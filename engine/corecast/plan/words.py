"""A layer table and the words of a catalogue in, columns of values out: each value is found once, for all rules.

With a hundred thousand layers and fifty rules, what is done for each layer and rule is what planning costs. So columns
are read by `map` over a bound `__getitem__`, which stays inside the interpreter, and not by a loop over layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from corecast.model import Layer, LayerTable
from corecast.recipe import Catalogue, Value
from corecast.recipe.scope import WEIGHT


class UnknownWeightError(Exception):
    """A rule asks for the values of a weight, and nobody knows them."""


class Words:
    """What words say about the layers of a table: words of the catalogue, and attributes.

    Layers of one structural hash are looked at once, but for the words that tell them apart.
    """

    def __init__(self, catalogue: Catalogue, table: LayerTable):
        self.table = table
        self._predicates = catalogue.predicates
        self._functions = catalogue.functions
        self._values: dict[str, _Values] = {}
        self.weights_read: dict[str, str] = {}  # the weights whose values were asked for, with a digest of them

    def is_placed(self, word: str) -> bool:
        """Whether a word tells layers apart that are equal but for their place and their name."""
        return word in self._predicates and self._predicates[word].placed

    def column(self, word: str, layers: Sequence[int]) -> list[Value]:
        """The values of a word for these layers."""
        if word not in self._values:
            self._values[word] = _Values(self.table, self._meaning(word))
        return list(map(self._values[word].__getitem__, layers if self.is_placed(word) else self.kinds(layers)))

    def called(self, function: str, layers: Sequence[int]) -> list[Value]:
        """The values of a function of weights for these layers. Raises `UnknownWeightError` with a weight's name."""
        word = f"{function}({WEIGHT})"
        if word not in self._values:
            self._values[word] = _Values(self.table, self._of_weights(function))
        return list(map(self._values[word].__getitem__, layers))

    def _of_weights(self, function: str) -> Callable[[Layer], Value]:
        value = self._functions[function].value

        def of(layer: Layer) -> Value:
            if layer.name is None:
                return None
            summary = self.table.weight(layer.name)
            if summary is None:
                raise UnknownWeightError(layer.name)
            self.weights_read[layer.name] = summary.digest
            return value(summary)

        return of

    def _meaning(self, word: str) -> Callable[[Layer], Value]:
        if word in self._predicates:
            return self._predicates[word].value
        return lambda layer: layer.attributes.get(word)

    def kinds(self, layers: Sequence[int]) -> list[int]:
        """For each of these layers the first of the table that equals it."""
        return list(map(self.table.kinds.__getitem__, layers))

    def ordinals(self, layers: Sequence[int]) -> list[int]:
        """Their places among the calls of their operators."""
        return list(map(self._ordinals.__getitem__, layers))

    @cached_property
    def _ordinals(self) -> list[int]:
        return [layer.ordinal for layer in self.table.layers]

    @cached_property
    def consumers(self) -> list[tuple[int, ...]]:
        """For each layer those that read its results."""
        return [layer.consumers for layer in self.table.layers]

    @cached_property
    def producers(self) -> list[tuple[int, ...]]:
        """For each layer those whose results it reads."""
        return [layer.producers for layer in self.table.layers]

    @cached_property
    def followers(self) -> list[int]:
        """For each layer the one that alone reads its results; -1 where there is none."""
        alone = [readers[0] if len(readers) == 1 else -1 for readers in self.consumers]
        for operand in self.table.returns:
            if operand.layer is not None:
                alone[operand.layer] = -1
        return alone


class _Values(dict[int, Value]):
    """The values of one word by layer, each found when it is first asked for."""

    def __init__(self, table: LayerTable, value: Callable[[Layer], Value]):
        super().__init__()
        self._layers = table.layers
        self._value = value

    def __missing__(self, index: int) -> Value:
        value = self[index] = self._value(self._layers[index])
        return value
