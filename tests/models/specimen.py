"""What a model of the zoo is: a name, where it comes from, how to make it, and the recipes that it goes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tvm.ir import IRModule

from corecast.adapters.relax import Model, load


@dataclass(frozen=True)
class Specimen:
    """A model of the zoo.

    Attributes:
        name: what it is called in the table.
        source: where its graph comes from.
        make: writes the model under a folder and gives its path, or gives a module in memory.
        layout: the layout recipe that it goes through, beside `float16`.
        weights: the fill of its weights, where it comes without any.
        function: the function to take, where it has several.
        refused: for a model that must be refused, what the reason names.
        cheap: whether it is tried at every push.
    """

    name: str
    source: str
    make: Callable[[Path], Path | IRModule]
    layout: str = "nhwc"
    weights: str | None = None
    function: str | None = None
    refused: str | None = None
    cheap: bool = False

    @property
    def recipes(self) -> tuple[str, str]:
        return (self.layout, "float16")

    def load(self, folder: Path) -> Model:
        """The model as it comes, made anew. Raises `ModelError` for one that is refused."""
        return load(self.make(folder), weights=self.weights, function=self.function)

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"
