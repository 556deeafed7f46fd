"""A rules text and the decisions that break it in, the text with measured exceptions for them out.

They are a last rule, which keeps what was measured to break; a rule that would decide nothing any more goes instead.
What comes out is planned again, and decides what was measured, or it is not written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count

from corecast.bisect.bisection import Bisection, LeftOut
from corecast.bisect.changes import EXCEPTIONS, Change, changes
from corecast.lang import CorecastError, Problem, Source, parse
from corecast.lang.format import format
from corecast.lang.nodes import Rule, RuleFile
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.plan.naming import naming
from corecast.recipe import PROPERTIES, Property

Replan = Callable[[Source], Plan]
"""Reads a text as the recipe was read, and plans it for the same model. Raises `CorecastError`."""


class ExceptionsError(CorecastError):
    """Exceptions that cannot be written: the recipe with them would not plan, or would decide something else."""

    exit_status = 1


def with_exceptions(source: Source, plan: Plan, bisection: Bisection, table: LayerTable, replan: Replan) -> str:
    """The text with exceptions, as `corecast fmt` prints it.

    Args:
        source: the recipe's text, under the name and at the place where the new one will stand.
        plan: what the recipe decides.
        bisection: what is to be left out of it, and the numbers for the comments.
        table: the layers of the model.
        replan: reads and plans a text.

    Raises:
        ExceptionsError: where the recipe does not keep its own contracts with them, such as an `expect`.
    """
    file = parse(source)
    wanted = _decided(plan, {Change(item.layer, item.property) for item in bisection.left_out})
    gone = _emptied(plan, bisection.left_out) & {item.label for item in file.statements if isinstance(item, Rule)}
    needed = [item for item in bisection.left_out if item.rule not in gone]
    reason = "it would decide something else"
    # Exceptions for what a rule decided that goes are needed where an earlier rule decides there then, and only what
    # insists takes back what insisted.
    for left_out in (needed, bisection.left_out):
        for insisting in (False, True):
            text = _text(file, gone, left_out, bisection, table, insisting)
            try:
                decided = replan(Source(source.name, text, source.path))
            except CorecastError as error:
                reason = error.problems[0].message
                continue
            if _decided(decided) == wanted:
                return text
    message = f"the recipe with these exceptions is not written: {reason}"
    help = "change what stands in their way, an `expect` perhaps; the rule that was to be written is the one above"
    raise ExceptionsError(Problem("no-exceptions", message, help=help, place=source.name))


def exceptions(bisection: Bisection, table: LayerTable) -> str:
    """The exceptions alone, as rules to be put at the end of a recipe."""
    lines = [*_measured(bisection), *_rules(bisection.left_out, table)]
    return format(parse(Source(EXCEPTIONS, "\n".join(lines) + "\n")))


def _decided(plan: Plan, left_out: Collection[Change] = ()) -> tuple[object, ...]:
    """What a plan decides, whoever asks for it."""
    edits = {change: decision.edit for change, decision in changes(plan).items() if change not in left_out}
    return edits, {layer: edit for layer, edit in plan.decided("schedule").items() if edit.kind == "tune"}


def _emptied(plan: Plan, left_out: Iterable[LeftOut]) -> set[str]:
    """The rules that decide nothing but what is left out."""
    changed = {Change(item.layer, item.property) for item in left_out}
    deciding = {
        decision.rule
        for layer in plan.layers
        for name in PROPERTIES
        if (decision := layer.decision(name)) and (layer.id, name) not in changed
    }
    return {item.rule for item in left_out} - deciding


# ── the text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(
    file: RuleFile,
    gone: Collection[str],
    left_out: Sequence[LeftOut],
    bisection: Bisection,
    table: LayerTable,
    insisting: bool,
) -> str:
    statements = [item for item in file.statements if not (isinstance(item, Rule) and item.label in gone)]
    taken = {item.name for item in statements if isinstance(item, Rule)}
    lines = [format(replace(file, statements=tuple(statements))), *_measured(bisection, gone)]
    lines += _rules(left_out, table, taken, insisting)
    return format(parse(Source(EXCEPTIONS, "\n".join(lines) + "\n")))


def _measured(bisection: Bisection, gone: Iterable[str] = ()) -> Iterator[str]:
    """The reasons, as comments, and which rules are gone for them."""
    yield (
        f"# Measured by `corecast bisect` on {bisection.model}: {bisection.whole.text} with all decisions, "
        f"{bisection.rest} without these, {bisection.allowed}."
    )
    yield from (f"# {_remark(item)}" for item in bisection.left_out)
    yield from (f"# The rule {rule} is gone, which decided nothing else." for rule in sorted(gone))


def _rules(
    left_out: Sequence[LeftOut], table: LayerTable, taken: Collection[str | None] = (), insisting: bool = False
) -> Iterator[str]:
    """A rule for the layers whose dtype is kept, one for those whose layout is, one for those of which both are."""
    kept: defaultdict[str, list[Property]] = defaultdict(list)
    for item in left_out:
        kept[item.layer].append(item.property)
    alike: defaultdict[tuple[Property, ...], list[str]] = defaultdict(list)
    for layer, properties in kept.items():
        alike[tuple(properties)].append(layer)
    free = (name for name in (f"{EXCEPTIONS}_{n}" if n > 1 else EXCEPTIONS for n in count(1)) if name not in taken)
    insist = " even if skipped" if insisting else ""
    for (names, layers), rule in zip(alike.items(), free, strict=False):
        yield f"rule {rule}"
        yield f"  match {naming([table.by_id[layer] for layer in layers], table)}"
        yield from (f"  keep {name}{insist}" for name in names)


def _remark(item: LeftOut) -> str:
    name = f" ({item.parameter})" if item.parameter else ""
    alone = f"{item.layer}{name}: {item.edit} by {item.rule}, {item.place}: {item.alone.text} with it alone"
    text = f"{alone}, {item.without} with all others" if item.without else alone
    return " ".join(text.split())  # a name may hold what ends a line
