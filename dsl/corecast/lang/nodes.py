"""The syntax tree of a rules file: what `parse` makes and `format` prints; it knows shapes, never what a word means.

Every node carries the `span` it was read from. Spans take no part in equality, so that two files which say the same
thing compare equal wherever they say it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeVar

from corecast.lang.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Anything that was read from a place in a source."""

    span: Span = field(compare=False, repr=False)


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """`$trials`: the value of a `param`, wherever a value can stand."""

    name: str


_Value = TypeVar("_Value")


def settled(value: _Value | Parameter) -> _Value:
    """A value of a tree in which every parameter has given way to its value (`corecast.recipe.flatten`)."""
    assert not isinstance(value, Parameter), f"nobody gave ${value.name} its value"
    return value


# ── selectors: which layers ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Ordinal(Node):
    """`#0`, `#-1`, `#2..5` (both ends included); `last` is None for a single place."""

    first: int | Parameter
    last: int | Parameter | None = None

    @property
    def ends(self) -> tuple[int, int]:
        """First and last place, as they were written."""
        first = settled(self.first)
        return first, first if self.last is None else settled(self.last)


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """`nn.conv2d`, `nn.*`, `*`, a `let` name or `skipped`; with `#0` an `ordinal`, with `#k` a `binding`."""

    name: str
    ordinal: Ordinal | None = None
    binding: str | None = None


@dataclass(frozen=True, slots=True)
class Union(Node):
    """`A or B`."""

    parts: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Intersection(Node):
    """`A and B`."""

    parts: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Filter(Node):
    """`A where condition`."""

    selector: Selector
    condition: Expression


@dataclass(frozen=True, slots=True)
class Except(Node):
    """`A except B`."""

    selector: Selector
    removed: Selector


@dataclass(frozen=True, slots=True)
class Step(Node):
    """One step of a chain, with the name that captures it: `r: nn.relu`."""

    selector: Selector
    capture: str | None = None


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """`c: nn.conv2d -> add -> nn.relu`, or a single captured step; as a set it stands for its first steps."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Complement(Node):
    """`not A`: every layer of the model that `A` does not name."""

    selector: Selector


@dataclass(frozen=True, slots=True)
class Pick(Node):
    """`first 3 of A`, `largest 5 by flops of A`: so many of the layers of a set, by their place or by a value."""

    end: Literal["first", "last", "largest", "smallest"]
    count: int | Parameter
    selector: Selector
    key: Expression | None = None


Selector = Reference | Union | Intersection | Filter | Except | Chain | Complement | Pick

# ── expressions: conditions on one layer ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A number, a quoted string, `true` or `false`."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Name(Node):
    """An attribute of the layer, a binding, or `capture.attribute`."""

    name: str


@dataclass(frozen=True, slots=True)
class Range(Node):
    """`3..5` inside braces, both ends included."""

    first: int | Parameter
    last: int | Parameter

    @property
    def ends(self) -> tuple[int, int]:
        return settled(self.first), settled(self.last)


@dataclass(frozen=True, slots=True)
class Braces(Node):
    """`{0, 3..5, -1, "x", NCHW}`: the set on the right of `in`; bare words in it are strings."""

    items: tuple[Constant | Parameter | Range, ...]


@dataclass(frozen=True, slots=True)
class Listed(Node):
    """`[2, 2]`: a list, as attributes have them; bare words in it are strings."""

    items: tuple[Constant | Parameter, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`function(argument, ...)`."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """`-x`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`left operator right`."""

    operator: Literal["+", "-", "*", "/", "//", "%"]
    left: Expression
    right: Expression


Comparator = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`a < b`, or a chain `a <= b < c`, which holds where every link does."""

    operands: tuple[Expression, ...]
    operators: tuple[Comparator, ...]


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """`x in {...}` or `x not in {...}`."""

    operand: Expression
    items: Braces
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like(Node):
    """`x like "glob"` or `x ~ /regular expression/`; both must match the whole text."""

    operand: Expression
    pattern: str | Parameter
    kind: Literal["like", "~"]


@dataclass(frozen=True, slots=True)
class Relation(Node):
    """`feeds A`, `fed_by A within 3`, `inside A`: a relation of this layer to a selected one in the graph.

    `within` is the number of steps that may lie between the two; one where nothing is said.
    """

    word: str
    selector: Selector
    within: int | Parameter = 1


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`not x`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And(Node):
    """`x and y`."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or(Node):
    """`x or y`."""

    parts: tuple[Expression, ...]


Expression = (
    Constant | Parameter | Name | Listed | Call | Negative | Arithmetic | Compare | Membership | Like | Relation | Not
    | And | Or
)  # fmt: skip

# ── clauses and statements ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Word(Node):
    """An argument of a request: a bare word, a number, a quoted string or a parameter."""

    value: str | int | float | Parameter
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Alternative(Node):
    """`int8 -> int32`: the words of one alternative of a request, and those after its arrow."""

    words: tuple[Word, ...]
    arrow: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Node):
    """A clause with the comments that stand above it and at the end of its line (without `#` and outer blanks)."""

    above: tuple[str, ...] = ()
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Header(Statement):
    """`recipe resnet-int8 "1.0"`."""

    name: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Requires(Statement):
    """`requires tvm >= 0.27 < 0.28`: a distribution and the bounds of its version."""

    package: str
    bounds: tuple[tuple[Comparator, str], ...]


@dataclass(frozen=True, slots=True)
class Given(Node):
    """`trials = 64` behind `with`: a value for a parameter of the recipe that is used."""

    name: str
    value: Constant | Parameter


@dataclass(frozen=True, slots=True)
class Use(Statement):
    """`use tensorcore >= 1.0 with trials = 64`, `use "blocks.rules"`: another recipe, whose text this stands for."""

    recipe: str
    is_file: bool = False
    bounds: tuple[tuple[Comparator, str], ...] = ()
    values: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Param(Statement):
    """`param trials = 8`: a parameter with its default, which also says of what type its values are."""

    name: str
    default: Constant


@dataclass(frozen=True, slots=True)
class Let(Statement):
    """`let stem = nn.conv2d #0`."""

    name: str
    selector: Selector


@dataclass(frozen=True, slots=True)
class Skip(Statement):
    """`skip A`: at file level for every rule, inside a rule for that rule."""

    selector: Selector


@dataclass(frozen=True, slots=True)
class Match(Statement):
    """`match A`."""

    selector: Selector


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Statement):
    """`cast int4 else int8 -> int32 unless skipped`: a verb, its alternatives in order, and the modifiers."""

    verb: Word
    alternatives: tuple[Alternative, ...]
    unless: Selector | None = None
    even_if_skipped: bool = False
    on: Word | None = None


@dataclass(frozen=True, slots=True)
class Expect(Statement):
    """`expect >= 1`, `expect 16` (which is `==`): of how many layers a rule must be realised."""

    operator: Comparator
    count: int | Parameter


@dataclass(frozen=True, slots=True)
class Expectation(Statement):
    """`expect accuracy drop <= 0.5%`: what must be true of the answers of the whole converted model."""

    metric: Word
    operator: Comparator
    bound: int | float | Parameter
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Optional(Statement):
    """`optional`: the rule may match nothing."""


Clause = Match | Skip | Request | Expect | Optional


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Statement):
    """A named rule, or an anonymous one that begins with its `match`; clauses in the order of the file."""

    name: str | None
    clauses: tuple[Clause, ...]

    @property
    def label(self) -> str:
        """The rule's name, or `line-7` for one without."""
        return self.name or f"line-{self.span.line}"


FileStatement = Header | Requires | Use | Param | Let | Expectation | Skip | Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile(Node):
    """A whole file: its statements in order, and the comments after the last one."""

    statements: tuple[FileStatement, ...]
    below: tuple[str, ...] = ()
