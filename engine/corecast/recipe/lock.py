"""A flattened recipe in, the digests of the packs that it uses out; and what changed in them since."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from corecast.lang import format, nodes, parse_readable
from corecast.lang.problems import Problem
from corecast.lang.rewrite import rewrite
from corecast.lang.source import Source, Span
from corecast.lang.spell import format_selector
from corecast.model.record import Record
from corecast.recipe.document import read_document
from corecast.recipe.flatten import Flat, Part

SUFFIX = ".lock"


class LockedFile(Record):
    """The digest of a file of a pack, and those of its statements, by which a change can be told in its own words."""

    sha256: str
    statements: dict[str, str] = Field(default_factory=dict)


class LockedPack(Record):
    """The version of a pack, and the files of it that are used."""

    version: str
    files: dict[str, LockedFile]


class Lock(Record):
    """What `corecast lock` writes beside a rules file: every pack that it uses, directly or through others."""

    corecast_lock: Literal["1"] = "1"
    packs: dict[str, LockedPack] = Field(default_factory=dict)


def lock_of(flat: Flat) -> Lock:
    """Pin the packs that a recipe uses; its own is not among them."""
    files: defaultdict[str, dict[str, LockedFile]] = defaultdict(dict)
    versions: dict[str, str] = {}
    for part in _foreign(flat):
        assert part.pack, "a foreign part belongs to a pack"
        files[part.pack.name][_file(part)] = _locked(part.source)
        versions[part.pack.name] = part.pack.info.version
    return Lock(packs={name: LockedPack(version=versions[name], files=files[name]) for name in sorted(files)})


def format_lock(lock: Lock, rules: str) -> str:
    """Print a lock as YAML."""
    import yaml  # which who only plans never needs

    head = f"# The packs that {rules} was locked to; a changed one is refused. `corecast lock {rules}` accepts it.\n"
    return head + yaml.safe_dump(lock.model_dump(), sort_keys=False, width=120)


def lock_problems(flat: Flat, path: Path, source: Source) -> Iterator[Problem]:
    """What a recipe uses that is not what its lock says. Raises `RulesError` where `source` is no lock."""
    document = read_document(source, Lock)
    locked, found = document.value.packs, lock_of(flat).packs
    for name, pack in found.items():
        known = locked.get(name)
        if pack != known:
            changes = "; ".join(_changes(known, pack)) if known else f"{source.name} does not have it"
            message = f"the pack `{name}` is not the one that {source.name} was made with: {changes}"
            notes = (("locked here", document.place("packs", name)),) if known else ()
            yield Problem("locked", message, _first_use(flat, name), _accept(path), notes=notes)
    for name in sorted(locked.keys() - found.keys()):
        yield Problem("locked", f"`{name}` is locked, and not used", document.place("packs", name), _accept(path))


def _first_use(flat: Flat, name: str) -> Span | None:
    """Where a pack is used by another: the clause that brought its recipe in, not those of its own files."""
    uses = [part.use for part in _foreign(flat) if part.pack and part.pack.name == name]
    return next((use.span for use in uses if use and not use.is_file), None)


def _accept(path: Path) -> str:
    return f"`corecast lock {path}` accepts what is there now"


def _foreign(flat: Flat) -> Iterator[Part]:
    own = flat.parts[-1].pack
    for part in flat.parts:
        if part.pack and (own is None or part.pack.folder.resolve() != own.folder.resolve()):
            yield part


def _file(part: Part) -> str:
    assert part.pack, "a foreign part belongs to a pack"
    assert part.source.path, "the files of packs are read from somewhere"
    return part.source.path.relative_to(part.pack.folder).as_posix()


def _locked(source: Source) -> LockedFile:
    file, _ = parse_readable(source)
    statements = {_name(item): _digest(_bare(item))[:16] for item in file.statements}
    return LockedFile(sha256=_digest(source.text), statements=statements)


def digest_of(flat: Flat) -> str:
    """A digest of what a recipe says with all that it uses, whatever its comments, spacing and versions."""
    said = (_bare(item) for item in flat.file.statements if not isinstance(item, nodes.Header))
    return f"sha256:{_digest(''.join(said))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _bare(statement: nodes.FileStatement) -> str:
    """A statement without its comments, in the house style."""

    def bare(node: nodes.Node) -> nodes.Node:
        return replace(node, above=(), beside=None) if isinstance(node, nodes.Statement) else node

    return format(nodes.RuleFile(span=statement.span, statements=(rewrite(statement, bare),)))


def _name(statement: nodes.FileStatement) -> str:
    match statement:
        case nodes.Rule():
            return f"rule {statement.label}"
        case nodes.Let() | nodes.Param():
            return f"{'let' if isinstance(statement, nodes.Let) else 'param'} {statement.name}"
        case nodes.Skip():
            return f"skip {format_selector(statement.selector)}"
        case nodes.Expectation():
            return f"expect {statement.metric.value}"
        case nodes.Use():
            return f"use {statement.recipe}"
        case nodes.Requires():
            return f"requires {statement.package}"
        case nodes.Header():
            return "recipe"


def _changes(before: LockedPack, now: LockedPack) -> Iterator[str]:
    if before.version != now.version:
        yield f"version {before.version} became {now.version}"
    for name in sorted(before.files.keys() | now.files.keys()):
        if name not in now.files:
            yield f"{name} is no longer used"
        elif name not in before.files:
            yield f"{name} is new"
        elif before.files[name] != now.files[name]:
            yield f"in {name}, {_statements(before.files[name].statements, now.files[name].statements)}"


def _statements(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [f"`{name}` changed" for name in before if name in now and now[name] != before[name]]
    gone = [f"`{name}` is gone" for name in before if name not in now]
    new = [f"`{name}` is new" for name in now if name not in before]
    return ", ".join(changed + gone + new) or "only comments, order or spacing changed"
