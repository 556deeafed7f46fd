"""A rules text and what its lint found in, the text without what it can do without out; every comment stays."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from corecast.lang import nodes
from corecast.lang.clauses import cut
from corecast.lang.format import format_clause
from corecast.lang.rewrite import rewrite
from corecast.lang.source import Source
from corecast.lint.finding import Place


def fixed(written: nodes.RuleFile, removable: Collection[Place]) -> str:
    """The text of a file without some of its nodes; clauses that lose nothing stay as they were written."""
    text = written.span.source.text
    for start, end, instead in sorted(_edits(written, set(removable)), reverse=True):
        text = text[:start] + instead + text[end:]
    return text


_Edit = tuple[int, int, str]


def _edits(written: nodes.RuleFile, removable: set[Place]) -> Iterator[_Edit]:
    source = written.span.source
    for clause in _clauses(written):
        if Place.of(clause) in removable:
            yield _without(source, clause)
            continue
        changed = rewrite(clause, lambda node: _pruned(node, removable))
        if changed != clause:
            yield clause.span.start, clause.span.end, _written(source, changed)


def _clauses(written: nodes.RuleFile) -> Iterator[nodes.Statement]:
    for item in written.statements:
        if isinstance(item, nodes.Rule):
            yield from item.clauses
        else:
            yield item


def _pruned(node: nodes.Node, removable: set[Place]) -> nodes.Node:
    """A node without what goes inside it; of a join of which one part is left, that part."""

    def goes(inner: nodes.Node | None) -> bool:
        return inner is not None and Place.of(inner) in removable

    match node:
        case nodes.And(parts=parts) | nodes.Or(parts=parts) if any(map(goes, parts)):
            left = tuple(part for part in parts if not goes(part))
            return _pruned(left[0] if len(left) == 1 else replace(node, parts=left), removable)
        case nodes.Filter(selector=selector, condition=condition) if goes(condition):
            return _pruned(selector, removable)
        case nodes.Except(selector=selector, removed=removed) if goes(removed):
            return _pruned(selector, removable)
        case nodes.Request(unless=unless) if goes(unless):
            return _pruned(replace(node, unless=None), removable)
        case nodes.Request(alternatives=alternatives) if any(map(goes, alternatives)):
            return replace(node, alternatives=tuple(item for item in alternatives if not goes(item)))
    return node


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _written(source: Source, clause: nodes.Statement) -> str:
    """The clause anew, at the indent that it had; comments that stood between its lines stand above it."""
    start = clause.span.start
    line = source.text[source.text.rfind("\n", 0, start) + 1 : start]
    indent = line if not line.strip() else ""
    inner = _inner_comments(source, clause)
    return f"\n{indent}".join([*(f"# {text}" for text in inner), *format_clause(clause).split("\n")])


def _inner_comments(source: Source, clause: nodes.Statement) -> tuple[str, ...]:
    """The comments between the lines of a clause: the last of those that are said to stand above it."""
    [found] = [item for item in cut(source).clauses if item.span == clause.span]
    pieces = zip(found.span.text.split("\n"), found.code.split("\n"), strict=True)
    count = sum(text.rstrip() != code.rstrip() for text, code in pieces)
    return found.above[len(found.above) - count :]


def _without(source: Source, clause: nodes.Statement) -> _Edit:
    """Take a clause away, with the comma before or behind it and its line where nothing is left on that."""
    text, (start, end) = source.text, (clause.span.start, clause.span.end)
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end) if "\n" in text[end:] else len(text)
    behind = text[end:line_end]
    if behind.lstrip().startswith(","):
        end += len(behind) - len(behind.lstrip()) + 1
        end += len(text[end:line_end]) - len(text[end:line_end].lstrip())
        return start, end, ""
    before = text[line_start:start]
    if before.rstrip().endswith(","):
        return line_start + len(before.rstrip()) - 1, end, ""
    if not before.strip() and not behind.strip():
        return line_start, min(line_end + 1, len(text)), ""
    return start, end + len(behind) - len(behind.lstrip()), ""
