"""What the lint says of a recipe holds on every model: here, on those that hypothesis makes up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import event, given, settings
from hypothesis import strategies as st
from made_up import rules, tables

from corecast.api.catalogue import standard_catalogue
from corecast.api.checking import Checker
from corecast.api.recipes import read_recipe
from corecast.lang import Problem, Source, nodes
from corecast.lint import Finding
from corecast.lint.kinds import returned
from corecast.lint.values import exactly
from corecast.model import LayerTable
from corecast.plan import Selection, trial
from corecast.recipe import PROPERTIES, Recipe
from corecast.recipe.scope import operands

QUICK = settings(max_examples=80, deadline=None, derandomize=True)
CHECKER = Checker({}, (), None, None)


WORDS = st.sampled_from(["ordinal", "groups", "in_channels", "flops", "max_abs(weight)"])
COMPARISONS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
NUMBERS = st.sampled_from([0, 1, 2, 4])
BOUNDS = st.tuples(WORDS, COMPARISONS, NUMBERS)
MEMBERS = st.tuples(WORDS, st.sampled_from(["in {0, 1}", "not in {1..4}", "in {4}"]))
OTHERS = st.sampled_from(["feeds add", "depthwise", 'op == "add"', 'name like "a.*"', 'dtype == "float32"', "users"])
ATOMS = BOUNDS.map("{0[0]} {0[1]} {0[2]}".format) | MEMBERS.map(" ".join) | OTHERS
# Two that touch, overlap, hold one another or exclude each other.
PAIRS = ["{0} <= {1} & {0} >= {1}", "{0} > {1} & {0} < {2}", "{0} >= {1} & {0} > {2}", "{0} != {1} & {0} < {2}"]
PAIRS += ["{0} == {1} & {0} in {{1, 4}}", "{0} not in {{0..2}} & not {0} < {1}", "{0} >= 0 & {0} <= {1}"]
CONDITIONS = st.builds("{}{}".format, st.sampled_from(["", "", "not "]), ATOMS)


@st.composite
def guards(draw: st.DrawFn) -> str:
    """Rules with two or three conditions, as often as not on one word."""
    lines = []
    for number in range(draw(st.integers(1, 4))):
        word, bound = draw(WORDS), draw(BOUNDS)
        shape = draw(st.sampled_from(["{} and {}", "{} and {}", "{} or {}", "({} or {}) and {}", "not ({} and {})"]))
        first, second = draw(st.sampled_from(PAIRS)).format(word, draw(NUMBERS), draw(NUMBERS)).split(" & ")
        atoms = [first, draw(st.sampled_from([second, second, draw(CONDITIONS)])), "{} {} {}".format(*bound)]
        over = draw(st.sampled_from(["nn.conv2d", "*", "nn.relu or add", "nn.conv2d #0..1"]))
        lines += [f"rule r{number}", f"  match {over} where {shape.format(*atoms)}", "  optional", "  keep"]
    return "\n".join(lines) + "\n"


@st.composite
def ladders(draw: st.DrawFn) -> str:
    """Rules on wider and narrower sets, in any order, that are after the same properties."""
    steps = ["*", "nn.conv2d", "nn.conv2d", "nn.conv2d #0", "nn.conv2d #0..1", "nn.conv2d where groups == 1", "some"]
    steps += ["nn.conv2d except nn.conv2d #0", "some and nn.conv2d", "nn.conv2d where groups == 1 and ordinal >= 1"]
    sets = st.sampled_from([*steps, "some except nn.conv2d #1", "nn.conv2d and not some"])
    modifiers = ["", "", " unless nn.conv2d #0", " unless some", " unless skipped", " even if skipped"]
    requests = ["set layout HWNC", "keep layout", "keep layout", "set layout NCHW16c else NHWC", "keep"]
    lines = [f"let some = nn.conv2d where {draw(st.just('ordinal >= 1') | CONDITIONS)}"]
    lines += [f"skip {draw(sets)}" for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2])))]
    for number in range(draw(st.sampled_from([2, 2, 2, 3]))):
        lines += [f"rule r{number}", f"  match {draw(sets)}", "  optional"]
        lines += [f"  skip {draw(sets)}" for _ in range(draw(st.sampled_from([0, 0, 0, 1])))]
        lines += [f"  {draw(st.sampled_from(requests))}{draw(st.sampled_from(modifiers))}"]
    return "\n".join(lines) + "\n"


TEXTS = guards() | guards() | ladders() | rules()


@QUICK
@given(tables(), TEXTS)
def test_what_no_layer_can_be_no_layer_is(table: LayerTable, text: str) -> None:
    """Where a guard is said never to pass, the set that it guards is empty."""
    source = Source("made-up.rules", text)
    found = [item for item in CHECKER.lint(source) if item.problem.slug == "never-true" and not item.removable]
    recipe = read_recipe(source, table)
    for finding in found:
        for selection, selector in guarded(recipe, table, finding.problem):
            assert not selection.layers(selector), (finding.problem, selector.span.text)
    event(f"{min(2, len(found))} or more guards that no layer passes")


@QUICK
@given(tables(), TEXTS)
def test_a_fixed_recipe_decides_as_it_did(table: LayerTable, text: str) -> None:
    """Conditions that always hold, choices that never do, exceptions, guards, sets, skips: it goes without them."""
    source = Source("made-up.rules", text)
    fixed, left, count = CHECKER.fixed(source)
    assert not any(item.removable for item in left)
    assert decisions(fixed, table) == decisions(source, table), fixed.text
    assert (fixed.text == text) == (count == 0)
    event(f"{min(3, count)} or more fixes")


@QUICK
@given(tables(), ladders() | ladders() | ladders() | rules())
def test_what_never_decides_decides_nothing(table: LayerTable, text: str) -> None:
    """A shadowed rule applies to no layer, nor does a request that never can; a skip in vain stops nothing."""
    source = Source("made-up.rules", text)
    found = CHECKER.lint(source)
    recipe = read_recipe(source, table)
    decided, problems = trial(recipe, table)
    unused = [problem.span.start for problem in problems if problem.slug == "unused-skip" and problem.span]
    told = Counter(item.problem.slug for item in found)
    for rule, outcome in zip(recipe.rules, decided.rules, strict=True):
        for request, result in zip(rule.requests, outcome.requests, strict=True):
            shadows = [problem for problem in of(found, "shadowed-rule") if starts(problem) == rule.match.span.start]
            shadows += [problem for problem in of(found, "shadowed-request") if starts(problem) == request.span.start]
            if len(request.alternatives) == 1:
                place = request.span
                shadows += [item for item in of(found, "never-applies") if place.start <= starts(item) < place.end]
            assert not (shadows and result.applied), (shadows[0], result)
    for problem in of(found, "unused-skip"):
        assert starts(problem) in unused, problem
    for slug in ("shadowed-rule", "shadowed-request", "never-applies", "unused-skip"):
        event(f"{slug}: {min(2, told[slug])} or more")


@QUICK
@given(tables())
def test_words_are_what_they_say_they_are(table: LayerTable) -> None:
    """The annotation of a predicate or a function holds on every layer, and so do the operators that it is of."""
    catalogue = standard_catalogue()
    for layer in table.layers:
        for predicate in catalogue.predicates.values():
            value = predicate.value(layer)
            assert returned(predicate.value) & exactly(value), (predicate.word, value)
            assert predicate.operators is None or layer.op in predicate.operators or value is None, predicate.word
    for summary in table.weights.values():
        for function in catalogue.functions.values():
            assert returned(function.value) & exactly(function.value(summary)), function.word


def test_a_recipe_of_many_rules_is_looked_at_in_no_time() -> None:
    """Two hundred rules of which each could shadow every other one."""
    text = "".join(f"rule r{n}\n  match nn.conv2d where in_channels == {n}\n  keep\n" for n in range(200))
    assert CHECKER.lint(Source("many.rules", text)) == []


# ── what is asked above ──────────────────────────────────────────────────────────────────────────────────────────────


def of(found: list[Finding], slug: str) -> list[Problem]:
    return [item.problem for item in found if item.problem.slug == slug]


def starts(problem: Problem) -> int:
    assert problem.span
    return problem.span.start


def decisions(source: Source, table: LayerTable) -> list[tuple[str, str, object, str]]:
    decided, _ = trial(read_recipe(source, table), table)
    return [
        (layer.id, name, decision.edit, decision.rule.split()[0])
        for layer in decided.layers
        for name in PROPERTIES
        if (decision := layer.decision(name))
    ]


def guarded(recipe: Recipe, table: LayerTable, problem: Problem) -> Iterator[tuple[Selection, nodes.Selector]]:
    """The filters, exceptions and intersections that a finding is about, with what `skipped` means where they stand."""
    plain = Selection(recipe, table)
    by_file = {index for skip in recipe.skips for index in plain.layers(skip.selector)}
    for_file = plain.skipping(by_file)
    selectors = [(plain, skip.selector) for skip in recipe.skips]
    selectors += [(for_file, let.selector) for let in recipe.lets.values()]
    for rule in recipe.rules:
        skipped = by_file | {index for skip in rule.skips for index in for_file.layers(skip.selector)}
        selection = plain.skipping(skipped)
        selectors += [(for_file, skip.selector) for skip in rule.skips]
        selectors += [(selection, rule.match.selector)]
        selectors += [(selection, request.unless) for request in rule.requests if request.unless]
    for selection, selector in selectors:
        for inner in inside(selector):
            blamed = {
                nodes.Filter: getattr(inner, "condition", None),
                nodes.Except: getattr(inner, "removed", None),
                nodes.Intersection: inner,
            }.get(type(inner))
            if blamed and problem.span in spans(blamed):
                yield selection, inner


def spans(node: nodes.Node) -> list[object]:
    """The places of a condition and of its parts; of a set, its own."""
    return [node.span, *(part.span for part in operands(node))]  # type: ignore[arg-type]


def inside(selector: nodes.Selector) -> Iterator[nodes.Selector]:
    yield selector
    inner = [getattr(selector, name, None) for name in ("selector", "removed")]
    inner += list(getattr(selector, "parts", ()))
    inner += [step.selector for step in getattr(selector, "steps", ())]
    for part in inner:
        if part is not None:
            yield from inside(part)
