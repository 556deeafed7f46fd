"""Where packs are looked for: folders, installed distributions, and the shared recipes that come with Corecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import corecast
from corecast.lang import Problem, RulesError, Source
from corecast.lang.problems import nearest
from corecast.recipe import ExtensionError, FolderShelf, Library, OnePackShelf, Pack, PackShelf, installed
from corecast.recipe.packs import PACK_FILE, SUFFIX

GROUP = "corecast.recipes"
OURS = "comes with corecast"


def recipe_root() -> Path:
    """The shared recipes: `corecast/recipes` in a wheel, `rules/` in a checkout."""
    packaged = (Path(root) / "recipes" for root in corecast.__path__)
    return next((path for path in packaged if path.is_dir()), Path(__file__).parents[3] / "rules")


def library(packs: Sequence[str | Path] = ()) -> Library:
    """Where packs are looked for: the given folders, installed distributions, the shared recipes, in this order.

    Args:
        packs: folders of packs, or packs themselves.

    Raises:
        RulesError: where a folder is not there, and where two distributions provide one pack.
    """
    folders = [_shelf(Path(folder)) for folder in packs]
    return Library((*folders, PackShelf(installed_packs()), FolderShelf(recipe_root(), OURS, None)))


def _shelf(folder: Path) -> FolderShelf | OnePackShelf:
    if not folder.is_dir():
        help = "name a folder of packs, or a pack"
        raise RulesError(Problem("no-pack", "there is no such folder", help=help, place=str(folder)))
    if (folder / PACK_FILE).is_file():
        return OnePackShelf(folder, f"in {folder}", folder)
    return FolderShelf(folder, f"in {folder}", folder)


@cache
def installed_packs() -> Mapping[str, tuple[Path, str]]:
    """The packs of installed distributions, with their folders; found without importing, and so running, anything.

    A distribution names each of its packs by an entry point `corecast.recipes`: the pack's name, and the package whose
    folder it is (`acme-resnet = "acme_recipes.acme-resnet"`; Python need not be able to import it).
    """
    packs: dict[str, tuple[Path, str]] = {}
    for owner, point in installed(GROUP):
        if point.name in packs:
            raise ExtensionError.taken(f"the pack `{point.name}`", packs[point.name][1], owner)
        packs[point.name] = (_folder_of(point.value), owner)
    return packs


def _folder_of(package: str) -> Path:
    """The folder of a package, which need not exist; only the top of its name is looked up, which imports nothing."""
    top, *inner = package.split(".")
    spec = find_spec(top)
    roots = (spec.submodule_search_locations if spec else None) or [top]
    folders = [Path(root, *inner) for root in roots]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def find_recipe(name: str | Path, shelves: Library) -> tuple[Source, Pack | None]:
    """A recipe by the path of its file, by the folder of its pack, or by the name of a pack.

    Raises `RulesError` where there is none, and where it is not UTF-8 text.
    """
    path = Path(name)
    try:
        if path.is_file() or path.suffix == SUFFIX:
            return Source.read(path), pack_in(path.parent, path.parent)
        pack = pack_in(path, path) or shelves.find(str(name))
        if pack:
            return pack.read(pack.main), pack
        reason = "it is a folder without pack.yaml" if path.is_dir() else "No such file or directory"
    except OSError as error:
        name, reason = error.filename or name, error.strerror or "it cannot be read"
    except UnicodeDecodeError as error:
        raise _not_text(name, error) from error
    help = nearest(str(name), shelves.names) or f"known packs: {', '.join(sorted(shelves.names))}"
    raise RulesError(Problem("no-rules", f"it cannot be read: {reason}", help=help, place=str(name)))


def read_text(path: Path) -> Source:
    """A text file. Raises `OSError`, and `RulesError` where it is not UTF-8."""
    try:
        return Source.read(path)
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from error


def _not_text(name: str | Path, error: UnicodeDecodeError) -> RulesError:
    message = f"this is not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}"
    return RulesError(Problem("not-text", message, help="save it as UTF-8", place=str(name)))


def pack_in(folder: Path, shown: Path) -> Pack | None:
    """The pack that a folder is, or None; messages cite the folder as `shown`."""
    return OnePackShelf(folder, f"in {shown}", shown).find(folder.resolve().name)
