"""Prints the table of docs/onnx.md: `python docs/float16.py [MODEL]...`; the exports need the zoo's PyTorch."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import float16_converters as converters
from models import light
from models.zoo import has_torch

from corecast.adapters.onnx import Model

EXPORTED = {"BERT-mini": "BERT-mini, tied weights", "Llama, 2 blocks": "Llama, 2 blocks"}

HEADER = ["model", "in float16", "casts", "largest difference", "rms difference", "checker", "ONNX Runtime"]


def main() -> None:
    warnings.simplefilter("ignore")  # the converter tells every value that it clips
    chosen = sys.argv[1:]
    print(line(HEADER), line(["---", "---", *["---:"] * 3, "---", "---"]), sep="\n")
    for name, read in models().items():
        if not chosen or name in chosen:
            for row in rows(name, read()):
                print(line(row), flush=True)


def models() -> dict[str, Callable[[], Model]]:
    found = {
        item.name: lambda item=item: converters.model_of(item.make(Path()), "random:0") for item in light.specimens()
    }
    if has_torch():
        found.update({name: lambda known=known: exported(known) for name, known in EXPORTED.items()})
    return found


def exported(name: str) -> Model:
    from models.exported import specimens

    (specimen,) = (item for item in specimens() if (item.name, item.source) == (name, "torch.onnx"))
    with tempfile.TemporaryDirectory() as folder:
        return converters.model_of(specimen.make(Path(folder)))


def rows(name: str, model: Model) -> Iterator[list[str]]:
    """One for each block list; both converters in a cell, Corecast's number first."""
    for what, blocked in converters.block_lists(model.proto).items():
        pair = [convert(model, blocked) for convert in (converters.ours, converters.theirs)]
        yield [
            name,
            what,
            both(str(item.casts) for item in pair),
            both("-" if item.largest is None else f"{item.largest:.1e}" for item in pair),
            both("-" if item.rms is None else f"{item.rms:.2e}" for item in pair),
            both("refuses" if item.invalid else "takes" for item in pair),
            both("stops" if item.stopped else "runs" for item in pair),
        ]


def both(texts: Iterator[str]) -> str:
    return " / ".join(texts)


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
