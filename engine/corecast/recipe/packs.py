"""Folders and installed distributions in, packs out: a pack is a folder with `pack.yaml` and the recipe of its name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from corecast.lang.problems import Problem, RulesError, nearest
from corecast.lang.source import Source, Span
from corecast.model.record import Record
from corecast.recipe.document import Document, read_document
from corecast.recipe.versions import as_bounds, as_licence, as_version, installed_outside, within

PACK_FILE = "pack.yaml"
SUFFIX = ".rules"
BESIDE = "beside the rules"


def _version(text: str) -> str:
    try:
        return as_version(text)
    except ValueError:
        raise ValueError(f"{text} is no version; write it as in 1.0") from None


def _bounds(text: str) -> str:
    try:
        return as_bounds(text)
    except ValueError:
        raise ValueError(f"{text} is no version bound; write it as in >=1.0,<2") from None


def _licence(text: str) -> str:
    try:
        return as_licence(text)
    except ValueError:
        help = "write an SPDX expression such as Apache-2.0, or LicenseRef- and a name of your own"
        raise ValueError(f"{text} is no licence that is known; {help}") from None


PACK_NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*"
PackName = Annotated[str, Field(pattern=f"^{PACK_NAME}$")]
VersionText = Annotated[str, AfterValidator(_version)]
Bounds = Annotated[str, AfterValidator(_bounds)]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Requirements(Record):
    """The versions that a pack needs: of Corecast, of TVM, and of the packs that it uses."""

    corecast: Bounds | None = None
    tvm: Bounds | None = None
    packs: dict[PackName, Bounds] = Field(default_factory=dict)


class Validation(Record):
    """A model that the recipe was proven on: what was measured, and with what.

    `recipe` is the digest of what the recipe said then; one that says something else is not proven by it. `error` is
    the largest difference in units of the largest value, as `corecast verify` prints it; `seconds` is one run of the
    converted model on the target.
    """

    model: str
    fingerprint: Digest
    recipe: Digest
    target: str
    tvm: VersionText
    error: Annotated[float, Field(ge=0)]
    seconds: Annotated[float, Field(gt=0)] | None = None


class PackInfo(Record):
    """What `pack.yaml` says."""

    name: PackName
    version: VersionText
    description: Annotated[str, Field(min_length=1, pattern=r"^[^\n]+$")]
    licence: Annotated[str, AfterValidator(_licence)]
    requires: Requirements = Field(default_factory=Requirements)
    validated_with: tuple[Validation, ...] = ()


@dataclass(frozen=True)
class Pack:
    """A pack: its folder, what its `pack.yaml` says, and where it comes from.

    `where` is the folder as messages cite it, or None for a pack whose files lie where nobody would look for them: they
    are cited as `resnet.rules` and `resnet/pack.yaml`.
    """

    folder: Path
    document: Document[PackInfo]
    origin: str
    where: Path | None

    @property
    def info(self) -> PackInfo:
        return self.document.value

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def main(self) -> Path:
        return self.folder / f"{self.name}{SUFFIX}"

    def place(self, *path: str | int) -> Span:
        """Where `pack.yaml` says something."""
        return self.document.place(*path)

    def read(self, path: Path) -> Source:
        """A file of the pack. Raises `OSError` and `UnicodeDecodeError`."""
        return _read(self.folder, path, self.name, self.where)


def read_pack(folder: Path, name: str, origin: str, where: Path | None) -> Pack:
    """Read the pack that is expected under a name. Raises `RulesError` with what is wrong with its `pack.yaml`."""
    try:
        source = _read(folder, folder / PACK_FILE, name, where)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RulesError(Problem("no-pack", f"cannot read {folder / PACK_FILE}: {reason}")) from error
    document = read_info(source)
    if document.value.name != name:
        message = f"this pack is called `{document.value.name}`, and it stands where `{name}` is looked for"
        help = "a folder of a pack, or its entry point, has the pack's name"
        raise RulesError(Problem("pack-name", message, document.place("name"), help))
    return Pack(folder, document, origin, where)


def read_info(source: Source) -> Document[PackInfo]:
    """Read the text of a `pack.yaml`. Raises `RulesError` with every problem of it."""
    return read_document(source, PackInfo)


def _read(folder: Path, path: Path, name: str, where: Path | None) -> Source:
    if not path.resolve().is_relative_to(folder.resolve()):
        message = f"{path.name} of the pack `{name}` is a link out of its folder, to {path.resolve()}"
        raise RulesError(Problem("leaves-pack", message, help="a pack holds its own files"))
    inner = path.relative_to(folder).as_posix()
    short = inner if inner == f"{name}{SUFFIX}" else f"{name}/{inner}"
    return Source(str(where / inner) if where else short, path.read_text(encoding="utf-8-sig"), path)


def pack_problems(pack: Pack, library: Library) -> Iterator[Problem]:
    """What a pack requires and does not find: a version of Corecast or TVM, another pack."""
    requires = pack.info.requires
    for package, bounds in (("corecast", requires.corecast), ("tvm", requires.tvm)):
        if bounds and (installed := installed_outside(package, bounds)):
            message = f"the pack `{pack.name}` requires {package} {bounds}, and {installed} is installed"
            yield Problem("requires-not-met", message, pack.place("requires", package))
    for name, bounds in requires.packs.items():
        place = pack.place("requires", "packs", name)
        try:
            other = library.find(name)
        except RulesError:
            continue  # told where it is used
        if other is None:
            message = f"`{pack.name}` requires the pack `{name}`, which is not here"
            yield Problem("no-pack", message, place, nearest(name, library.names))
        elif not within(other.info.version, bounds):
            message = f"`{pack.name}` requires {name} {bounds}, and {other.info.version} is here"
            note = (f"its version, found {other.origin}", other.place("version"))
            yield Problem("version-clash", message, place, notes=(note,))


# ── where packs stand ────────────────────────────────────────────────────────────────────────────────────────────────


class Shelf(Protocol):
    """A place where packs stand."""

    def find(self, name: str) -> Pack | None:
        """The pack of a name. Raises `RulesError` where its `pack.yaml` is wrong."""

    def names(self) -> Iterator[str]:
        """The names of all packs that stand here."""


@dataclass(frozen=True)
class FolderShelf:
    """A folder whose sub-folders are packs; `shown` is how messages cite it, None where they shorten what is in it."""

    folder: Path
    origin: str
    shown: Path | None

    def find(self, name: str) -> Pack | None:
        folder = self.folder / name
        if not (folder / PACK_FILE).is_file():
            return None
        return read_pack(folder, name, self.origin, None if self.shown is None else self.shown / name)

    def names(self) -> Iterator[str]:
        if self.folder.is_dir():
            yield from sorted(path.parent.name for path in self.folder.glob(f"*/{PACK_FILE}"))


@dataclass(frozen=True)
class OnePackShelf:
    """A folder that is a pack itself, by the folder's name; `shown` is how messages cite it."""

    folder: Path
    origin: str
    shown: Path

    def find(self, name: str) -> Pack | None:
        is_it = name == self.folder.resolve().name and (self.folder / PACK_FILE).is_file()
        return read_pack(self.folder, name, self.origin, self.shown) if is_it else None

    def names(self) -> Iterator[str]:
        if (self.folder / PACK_FILE).is_file():
            yield self.folder.resolve().name


@dataclass(frozen=True)
class PackShelf:
    """Packs by name, each with its folder and where it comes from; messages shorten the names of their files."""

    packs: Mapping[str, tuple[Path, str]]

    def find(self, name: str) -> Pack | None:
        if name not in self.packs:
            return None
        folder, origin = self.packs[name]
        return read_pack(folder, name, origin, None)

    def names(self) -> Iterator[str]:
        yield from sorted(self.packs)


@dataclass(frozen=True)
class Library:
    """Where packs are looked for: the first shelf that has a name is asked for it, so that a name means one pack."""

    shelves: Sequence[Shelf] = ()

    def find(self, name: str) -> Pack | None:
        """The pack of a name, or None. Raises `RulesError` where its `pack.yaml` is wrong."""
        if not re.fullmatch(PACK_NAME, name):
            return None
        return next(filter(None, (shelf.find(name) for shelf in self.shelves)), None)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for shelf in self.shelves for name in shelf.names()))

    def beside(self, path: Path, shown: Path) -> Library:
        """This library, with what stands beside a rules file in front; beside its pack too, where it belongs to one.

        `shown` is how messages cite the file's folder.
        """
        near = [FolderShelf(path.parent, BESIDE, shown)]
        if (path.parent / PACK_FILE).is_file():
            near.append(FolderShelf(path.parent / os.pardir, BESIDE, Path(os.path.normpath(shown / os.pardir))))
        return Library((*near, *self.shelves))
