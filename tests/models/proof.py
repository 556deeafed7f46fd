"""The shared recipes and real networks in, docs/recipes.md and `validated_with` out.

    python tests/models/proof.py [NAME...]

Names limit it to the networks and recipes that hold one of them; what was measured of the others stays as it is. The
first network of each family is one that was published as a graph, where there is one.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.light import specimens as published
from models.specimen import Specimen

from corecast.adapters.relax import prepare, survey
from corecast.api import read_recipe
from corecast.api.library import library, recipe_root
from corecast.api.proving import Proof, prove, with_validation
from corecast.api.recipes import read_flat
from corecast.lang import CorecastError
from corecast.model import Layer, LayerTable
from corecast.plan import Plan, Selection
from corecast.plan.partial import Misses
from corecast.recipe import ChangeDType, ChangeLayout, Recipe

DOCUMENT = Path(__file__).parents[2] / "docs" / "recipes.md"
START, END = "<!-- the table -->", "<!-- the end of the table -->"

# By recipe the networks that it is proven on: published graphs, then exported programs.
FAMILIES: dict[str, tuple[str, ...]] = {
    "resnet": ("resnet50", "ResNet-18"),
    "vgg": ("vgg19", "VGG-11"),
    "densenet": ("densenet121", "DenseNet-169"),
    "inception": ("inception_v1", "inception_v2"),
    "squeezenet": ("squeezenet", "SqueezeNet 1.0"),
    "mobilenet": ("MobileNetV2", "MobileNetV1", "EfficientNet-B0"),
    "convnext": ("ConvNeXt-tiny", "ConvNeXtV2-tiny"),
    "transformer": ("ViT-tiny", "BERT-mini", "DistilBERT, 2 layers"),
    "llama": ("Llama, 2 blocks", "Mistral, 2 blocks"),
}

COLUMNS = (
    "recipe",
    "network",
    "source",
    "layers",
    "in another layout",
    "in another dtype",
    "products left as they are",
    "transposes",
    "casts",
    "parameters, MiB",
    "difference",
    "verdict",
    "seconds",
)

Key = tuple[str, str]


def networks() -> dict[str, Specimen]:
    """Everything that a recipe is proven on, by name."""
    from models.exported import program
    from models.families import SECOND

    found = {specimen.name: specimen for specimen in published()}
    exported = {name for names in FAMILIES.values() for name in names if name not in found}
    assert SECOND.keys() <= exported, "every network of `families` is there for a recipe"
    return {**found, **{name: Specimen(name, "torch.export", partial(program, name)) for name in exported}}


def main(words: list[str]) -> None:
    known = networks()
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    old, _, after = rest.partition(END)
    rows = dict(_rows_of(old))
    keys = [(recipe, name) for recipe, names in FAMILIES.items() for name in names]
    for recipe, name in keys:
        if not words or any(word.lower() in f"{recipe} {name}".lower() for word in words):
            rows[recipe, name] = _measure(recipe, known[name])
            print(rows[recipe, name], flush=True)
            table = "\n".join([*_head(), *(rows[key] for key in keys if key in rows)])
            DOCUMENT.write_text(f"{before}{START}\n{table}\n{END}{after}", encoding="utf-8")


def _measure(recipe: str, specimen: Specimen) -> str:
    """The row of one network, after its entry in pack.yaml was written."""
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        original = specimen.load(Path(folder))
        prepared = prepare(original)
        table = survey(prepared)
        resolved = read_recipe(recipe, table)
        try:
            proof = prove(original, prepared, table, resolved)
        except CorecastError as error:
            raise SystemExit(f"{recipe} on {specimen}: {error}") from error
    if proof.verification.verdict != "pass":
        raise SystemExit(f"{recipe} on {specimen}: {proof.verification}")
    pack = library().find(recipe)
    assert pack is not None
    validation = proof.validation(str(specimen), read_flat(recipe)[0])
    text = with_validation(pack.document, validation)
    (recipe_root() / recipe / "pack.yaml").write_text(text, encoding="utf-8")
    measured = [f"{validation.error:.1e}", proof.verification.verdict, f"{perf_counter() - start:.0f}"]
    return f"| {' | '.join([*_cells(recipe, specimen, proof, resolved), *measured])} |"


def _rows_of(table: str) -> Iterator[tuple[Key, str]]:
    for line in table.strip().splitlines()[2:]:
        recipe, network, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        yield (recipe, network), line


def _head() -> list[str]:
    return [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]


def _cells(recipe: str, specimen: Specimen, proof: Proof, resolved: Recipe) -> Iterator[str]:
    conversion = proof.conversion
    plan, before = conversion.plan, conversion.before
    layouts = sum(isinstance(edit, ChangeLayout) for edit in plan.decided("layout").values())
    dtypes = Counter(edit.dtype for edit in plan.decided("dtype").values() if isinstance(edit, ChangeDType))
    own, now = (len(table.by_op.get("permute_dims", ())) for table in (before, conversion.after))
    bytes_before = plan.predicted.parameter_bytes or 0
    yield from (recipe, specimen.name, specimen.source, str(len(before.layers)), str(layouts))
    yield ", ".join(f"{count} {dtype}" for dtype, count in dtypes.items()) or "none"
    yield "; ".join(f"{count}: {why}" for why, count in _left(before, plan, resolved).items()) or "none"
    yield f"{own}, {own + 2 * layouts}, {now}"
    yield str(conversion.realised.casts)
    yield f"{bytes_before / 2**20:.1f}, {(conversion.realised.parameter_bytes or 0) / 2**20:.1f}"


def _left(table: LayerTable, plan: Plan, recipe: Recipe) -> dict[str, int]:
    """The layers that multiply matrices and are neither cast nor laid out otherwise, counted by the reason."""
    layouts, dtypes = plan.decided("layout"), plan.decided("dtype")
    products = [layer for layer in table.layers if layer.operator or layer.op == "matmul"]
    casts = any(isinstance(edit, ChangeDType) for edit in dtypes.values())
    changed = [
        isinstance(dtypes.get(layer.id), ChangeDType) if casts else isinstance(layouts.get(layer.id), ChangeLayout)
        for layer in products
    ]
    left = [layer for layer, is_changed in zip(products, changed, strict=True) if not is_changed]
    return dict(Counter(_why(layer, table, plan, recipe) for layer in left).most_common())


def _why(layer: Layer, table: LayerTable, plan: Plan, recipe: Recipe) -> str:
    planned = plan.by_id.get(layer.id)
    if planned and planned.dtype:
        return f"`{planned.dtype.rule}`"
    misses = Misses(Selection(recipe, table))
    found = [misses.of(rule.match.selector, layer.index) for rule in recipe.rules]
    nearest = max(filter(None, found), key=lambda miss: miss.reached)
    return nearest.failed.partition(": ")[0] if nearest.held else "no rule names it"


if __name__ == "__main__":
    main(sys.argv[1:])
