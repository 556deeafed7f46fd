"""A rules file and a library of packs in, one file out in which nothing is used and every parameter has its value.

`use` stands for the text of the recipe that it names: its rules take part in the cascade at that place, its skips hold
for the whole file, and what it expects of the answers does where its user expects nothing of the same metric. A recipe
that is used twice stands where it was used first. Whoever uses it calls its sets and rules by its name
(`tensorcore.stem`); in its own text they keep their plain names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from corecast.lang import nodes, parse_readable
from corecast.lang.nodes import Scalar
from corecast.lang.problems import Problem, RulesError
from corecast.lang.rewrite import rewrite
from corecast.lang.source import Source, Span
from corecast.lang.spell import format_value
from corecast.recipe.packs import PACK_NAME, Library, Pack, pack_problems
from corecast.recipe.parameters import fits, kind_of, misfit, read_value, settle
from corecast.recipe.uses import Used, find_used
from corecast.recipe.versions import bounds_text, same_version, within
from corecast.recipe.words import unknown


@dataclass(frozen=True)
class Part:
    """One of the recipes that a flattened one is made of; the last is the one that uses the others.

    `values` are those of its parameters, `pack` the pack that it belongs to, `use` the clause that used it first.
    """

    name: str
    version: str | None
    source: Source
    values: Mapping[str, Scalar]
    pack: Pack | None
    use: nodes.Use | None = None


@dataclass(frozen=True)
class Flat:
    """A file without `use`, `param` and `$names`, whose nodes keep the places that they were read from."""

    file: nodes.RuleFile
    parts: tuple[Part, ...]

    def has_param(self, name: str, span: Span) -> bool:
        """Whether the recipe that a place lies in has a parameter of this name."""
        return any(name in part.values for part in self.parts if part.source is span.source)


def flatten(
    file: nodes.RuleFile, library: Library, pack: Pack | None = None, given: Mapping[str, Scalar] | None = None
) -> tuple[Flat, list[Problem]]:
    """Put the recipes that a file uses in their places.

    Args:
        file: what `parse_readable` returned.
        library: where packs are looked for.
        pack: the pack that the file belongs to.
        given: values for parameters, `trials` for one of this file's own and `tensorcore.trials` for one of a recipe
            that it uses. A text is read as the parameter's type, as a command line needs it.

    Returns:
        What could be put together, and everything that is wrong with the files, save what `resolve` would find.
    """
    flattener = _Flattener(library, given or {})
    flat = flattener.flat(file, pack)
    return flat, list(dict.fromkeys(flattener.problems))


@dataclass(frozen=True)
class _Unit:
    """A file on its way into a flattened one: `prefix` is what its sets are called by, "" for the outermost."""

    prefix: str
    file: nodes.RuleFile
    pack: Pack | None
    use: nodes.Use | None = None

    @classmethod
    def of(cls, used: Used, use: nodes.Use) -> tuple[_Unit, list[Problem]]:
        file, problems = parse_readable(used.source)
        unit = cls("", file, used.pack, use)
        name = use.recipe if not use.is_file else unit.name
        prefix = name if re.fullmatch(PACK_NAME, name) else re.sub(r"\W+", "_", name, flags=re.ASCII)
        return replace(unit, prefix=prefix), problems

    @property
    def source(self) -> Source:
        return self.file.span.source

    @property
    def key(self) -> Path | int:
        """What tells one file from another."""
        return self.source.path.resolve() if self.source.path else id(self.source)

    @property
    def header(self) -> nodes.Header | None:
        return next((item for item in self.file.statements if isinstance(item, nodes.Header)), None)

    @property
    def name(self) -> str:
        return self.header.name if self.header else PurePath(self.source.name).stem

    @property
    def version(self) -> str | None:
        own = self.header.version if self.header else None
        return own or (self.pack.info.version if self.pack and self.name == self.pack.name else None)

    @property
    def params(self) -> dict[str, nodes.Param]:
        return {item.name: item for item in self.file.statements if isinstance(item, nodes.Param)}

    @property
    def lets(self) -> dict[str, nodes.Let]:
        return {item.name: item for item in self.file.statements if isinstance(item, nodes.Let)}

    @property
    def used_at(self) -> tuple[tuple[str, Span], ...]:
        return (("used here", self.use.span),) if self.use else ()

    @property
    def says_version(self) -> tuple[tuple[str, Span], ...]:
        if self.header and self.header.version:
            return (("its version", self.header.span),)
        return (("its version", self.pack.place("version")),) if self.pack else ()


class _Flattener:
    def __init__(self, library: Library, given: Mapping[str, Scalar]):
        self.library = library
        self.given = dict(given)
        self.known: set[str] = set()  # every name that `given` could have
        self.problems: list[Problem] = []
        self.parts: dict[Path | int, Part] = {}
        self.units: dict[str, _Unit] = {}  # by prefix
        self.strangers: list[nodes.Reference] = []  # names in used recipes that are no sets of theirs

    def flat(self, file: nodes.RuleFile, pack: Pack | None) -> Flat:
        root = _Unit("", file, pack)
        statements = list(self._expand(root, ()))
        for name in sorted(self.given.keys() - self.known):
            help = unknown("parameters", name, sorted(self.known)) if self.known else "this recipe has none"
            self.problems.append(Problem("unknown-param", f"no parameter is called `{name}`", help=help))
        for reference in self.strangers:
            if reference.name in root.lets:
                message = f"`{reference.name}` is a set of {root.source.name}, which a recipe that it uses does not see"
                note = ("defined here", root.lets[reference.name].span)
                self._report("unknown-operator", message, reference.span, notes=(note,))
        self._report_duplicates(statements)
        whole = replace(file, statements=tuple(_whole_first(statements)))
        return Flat(whole, tuple(self.parts.values()))

    def _expand(self, unit: _Unit, trail: tuple[_Unit, ...]) -> Iterator[nodes.FileStatement]:
        self.units[unit.prefix] = unit
        self._check_pack(unit)
        values = self._values(unit)
        own = {item.metric.value for item in unit.file.statements if isinstance(item, nodes.Expectation)}
        for statement in unit.file.statements:
            match statement:
                case nodes.Use():
                    used = self._use(settle(statement, values, self.problems), unit, (*trail, unit))
                    yield from (
                        item for item in used if not (isinstance(item, nodes.Expectation) and item.metric.value in own)
                    )
                case nodes.Param():
                    pass
                case nodes.Header():
                    if not unit.prefix:
                        yield statement
                case _:
                    yield self._named(settle(statement, values, self.problems), unit)
        self.parts[unit.key] = Part(unit.name, unit.version, unit.source, values, unit.pack, unit.use)

    def _use(self, use: nodes.Use, user: _Unit, trail: tuple[_Unit, ...]) -> Iterator[nodes.FileStatement]:
        try:
            used = find_used(use, self.library, user.pack, self.units[""].source.path)
        except RulesError as error:
            self.problems += error.problems
            return
        unit, problems = _Unit.of(used, use)
        cycle = next((trail[place:] for place, above in enumerate(trail) if above.key == unit.key), None)
        if cycle:
            self._report_cycle(use, cycle)
        elif unit.key in self.parts:
            self._check_version(unit, use)
            self._check_same(unit, use, self.parts[unit.key])
        elif other := self.units.get(unit.prefix):
            message = f"two recipes that are used here are called `{unit.prefix}`"
            help = f"give one of them another name: `recipe NAME` in {unit.source.name} or {other.source.name}"
            self._report("name-clash", message, use.span, help, other.used_at)
        else:
            self.problems += problems
            self._check_version(unit, use)
            yield from self._expand(unit, trail)

    def _named(self, statement: nodes.FileStatement, unit: _Unit) -> nodes.FileStatement:
        """Call the sets and rules of a used recipe by its name."""
        if not unit.prefix:
            return statement
        lets = unit.lets

        def named(node: nodes.Node) -> nodes.Node:
            match node:
                case nodes.Reference(name=name) if name in lets:
                    return replace(node, name=f"{unit.prefix}.{name}")
                case nodes.Reference():
                    self.strangers.append(node)
                case nodes.Let(name=name):
                    return replace(node, name=f"{unit.prefix}.{name}")
                case nodes.Rule():
                    return replace(node, name=f"{unit.prefix}.{node.label}")
            return node

        return rewrite(statement, named)

    # ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _values(self, unit: _Unit) -> dict[str, Scalar]:
        """The values of a recipe's parameters: those given from outside, else those of its `use`, else the defaults."""
        params = unit.params
        values = {name: param.default.value for name, param in params.items()}
        for item in unit.use.values if unit.use else ():
            value = nodes.settled(item.value).value
            if item.name not in params:
                help = unknown("parameters", item.name, sorted(params)) if params else "it has none"
                self._report("unknown-param", f"`{unit.name}` has no parameter `{item.name}`", item.span, help)
            elif not fits(value, params[item.name].default.value):
                self.problems.append(misfit(item.name, value, params[item.name], item.span))
            else:
                values[item.name] = value
        for name, param in params.items():
            full = f"{unit.prefix}.{name}" if unit.prefix else name
            self.known.add(full)
            if full in self.given:
                values[name] = self._given(full, param)
        return values

    def _given(self, name: str, param: nodes.Param) -> Scalar:
        value, default = self.given[name], param.default.value
        try:
            read = read_value(value, default) if isinstance(value, str) else value
        except ValueError:
            message = f"`{name}` is {kind_of(default)}, and `{value}` is not"
            self.problems.append(Problem("bad-param", message, notes=(("declared here", param.span),)))
            return default
        if fits(read, default):
            return read
        self.problems.append(misfit(name, read, param, None))
        return default

    # ── what can be wrong ────────────────────────────────────────────────────────────────────────────────────────────

    def _check_pack(self, unit: _Unit) -> None:
        """Whether a pack has what it requires, and its recipe says what its `pack.yaml` says."""
        pack, header = unit.pack, unit.header
        if pack is None:
            return
        self.problems += [replace(item, notes=item.notes + unit.used_at) for item in pack_problems(pack, self.library)]
        if header is None or unit.source.path != pack.main:
            return
        if header.name != pack.name:
            message = f"this recipe is called `{header.name}`, and its pack `{pack.name}`"
            self._report("pack-name", message, header.span, notes=(("the pack's name", pack.place("name")),))
        if header.version and not same_version(header.version, pack.info.version):
            message = f"this recipe says that it is {header.version}, and its pack that it is {pack.info.version}"
            self._report("version-clash", message, header.span, notes=(("the pack's version", pack.place("version")),))

    def _check_version(self, unit: _Unit, use: nodes.Use) -> None:
        if not use.bounds:
            return
        bounds = bounds_text(use.bounds)
        try:
            if unit.version is None:
                help = f'write it there: `recipe {unit.name} "1.0"`'
                self._report("version-clash", f"{unit.source.name} does not say which version it is", use.span, help)
            elif not within(unit.version, bounds):
                message = f"`{unit.name}` {unit.version} is here, and {bounds} is asked for"
                self._report("version-clash", message, use.span, notes=unit.says_version)
        except ValueError:
            self._report("bad-version", f"{bounds} is not a version bound", use.span)

    def _check_same(self, unit: _Unit, use: nodes.Use, part: Part) -> None:
        """A recipe stands once in a flattened one, so every use of it must want the same values."""
        for name, value in self._values(unit).items():
            before = part.values.get(name, value)
            if value != before:
                message = f"`{unit.name}` has {name} = {format_value(value)} here and {format_value(before)} before"
                help = "a recipe stands once, with one set of values: write the same ones in both places"
                self._report("use-clash", message, use.span, help, self.units[unit.prefix].used_at)

    def _report_duplicates(self, statements: Iterable[nodes.FileStatement]) -> None:
        """A name with a dot may be written by hand too, and then be one that a used recipe's set or rule gets."""
        first: dict[tuple[type, str], nodes.Statement] = {}
        for item in statements:
            if isinstance(item, nodes.Let | nodes.Rule) and item.name and "." in item.name:
                earlier = first.setdefault((type(item), item.name), item)
                if earlier is not item:
                    note = ("the other one", earlier.span)
                    self._report("duplicate-name", f"`{item.name}` is there twice", item.span, notes=(note,))

    def _report_cycle(self, use: nodes.Use, cycle: tuple[_Unit, ...]) -> None:
        names = " uses ".join([*(unit.source.name for unit in cycle), cycle[0].source.name])
        notes = tuple(("which is used here", unit.use.span) for unit in cycle[:0:-1] if unit.use)
        self._report("use-cycle", f"a recipe cannot use itself: {names}", use.span, notes=notes)

    def _report(
        self, slug: str, message: str, span: Span, help: str | None = None, notes: tuple[tuple[str, Span], ...] = ()
    ) -> None:
        self.problems.append(Problem(slug, message, span, help, notes=notes))


def _whole_first(statements: list[nodes.FileStatement]) -> Iterator[nodes.FileStatement]:
    """What is said of the whole file stands before the first rule, also where a used recipe's rules come before it."""
    first_rule = next((n for n, item in enumerate(statements) if isinstance(item, nodes.Rule)), len(statements))
    yield from statements[:first_rule]
    yield from (item for item in statements[first_rule:] if isinstance(item, nodes.Skip | nodes.Expectation))
    yield from (item for item in statements[first_rule:] if not isinstance(item, nodes.Skip | nodes.Expectation))
