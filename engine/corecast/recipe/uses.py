"""A `use` in, the text that it stands for out: a pack by its name, or a file beside the one that uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from corecast.lang import nodes
from corecast.lang.problems import Problem, RulesError, nearest
from corecast.lang.source import Source
from corecast.recipe.packs import SUFFIX, Library, Pack

_STAY = "a recipe uses what stands in its own folder, and other packs by their names"


@dataclass(frozen=True)
class Used:
    """A recipe that was found, and the pack that it belongs to."""

    source: Source
    pack: Pack | None


def find_used(use: nodes.Use, library: Library, pack: Pack | None, outermost: Path | None) -> Used:
    """Find what a `use` names.

    Args:
        use: the clause; a file is looked for beside the file that it stands in.
        library: where packs are looked for.
        pack: the pack that the clause stands in, which a file that it names must belong to.
        outermost: the file that uses all others; without a pack, its folder is what files must not leave.

    Raises:
        RulesError: where there is no such recipe, where it cannot be read, and where its path leaves the pack.
    """
    return _file(use, pack, outermost) if use.is_file else _pack(use, library)


def _pack(use: nodes.Use, library: Library) -> Used:
    try:
        pack = library.find(use.recipe)
    except RulesError as error:
        notes = (("used here", use.span),)
        raise RulesError([replace(item, notes=item.notes + notes) for item in error.problems]) from None
    if pack is None:
        help = nearest(use.recipe, library.names) or f"known packs: {', '.join(sorted(library.names))}"
        beside = use.span.source.path
        if beside and beside.with_name(f"{use.recipe}{SUFFIX}").is_file():
            help = f'a file is used by its name in quotes: `use "{use.recipe}{SUFFIX}"`'
        raise _problem("no-pack", f"there is no pack `{use.recipe}`", use, help)
    _check_inside(use, pack.main, pack.folder)
    return Used(_read(use, lambda: pack.read(pack.main)), pack)


def _file(use: nodes.Use, pack: Pack | None, outermost: Path | None) -> Used:
    user = use.span.source.path
    if user is None:
        help = "save the text as a file, or use a pack by its name"
        raise _problem("no-rules", f"this text stands in no folder where `{use.recipe}` could be", use, help)
    if objection := _objection(use.recipe):
        raise _problem("leaves-pack", f"`{use.recipe}` {objection}", use, _STAY)
    file = user.parent / use.recipe
    _check_inside(use, file, pack.folder if pack else (outermost or user).parent)
    shown = PurePath(use.span.source.name).parent / use.recipe
    return Used(_read(use, lambda: pack.read(file) if pack else Source.read(file, str(shown))), pack)


def _objection(text: str) -> str | None:
    path = PurePosixPath(text)
    if path.is_absolute() or PureWindowsPath(text).anchor:
        return "is an absolute path, which means nothing on other machines"
    if "\\" in text:
        return "is no path: write `/` between folders"
    if ".." in path.parts:
        return "leaves its folder"
    return None if path.suffix == SUFFIX else f"is no {SUFFIX} file"


def _check_inside(use: nodes.Use, path: Path, folder: Path) -> None:
    """Refuse what a link leads out of the folder."""
    if not path.resolve().is_relative_to(folder.resolve()):
        message = f"`{use.recipe}` is a link out of {PurePath(folder)}, to {path.resolve()}"
        raise _problem("leaves-pack", message, use, _STAY)


def _read(use: nodes.Use, read: Callable[[], Source]) -> Source:
    try:
        return read()
    except OSError as error:
        raise _problem("no-rules", f"cannot read {error.filename}: {error.strerror}", use) from error
    except UnicodeDecodeError as error:
        raise _problem("not-text", f"`{use.recipe}` is not UTF-8 text: byte {error.start}", use) from error


def _problem(slug: str, message: str, use: nodes.Use, help: str | None = None) -> RulesError:
    return RulesError(Problem(slug, message, use.span, help))
