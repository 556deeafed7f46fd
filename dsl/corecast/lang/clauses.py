"""A rules text in, its clauses out: cut at the newlines and commas outside brackets, with the comments set aside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from corecast.lang.problems import Problem
from corecast.lang.source import Source, Span


@dataclass(frozen=True, slots=True)
class ClauseText:
    """One clause as text: `code` is the span with its comments blanked out, so that places in both agree."""

    span: Span
    code: str
    above: tuple[str, ...]
    beside: str | None
    damaged: bool  # a problem was found in it already; reading it would only repeat that

    @property
    def first_word(self) -> str:
        """The word that says what kind of clause this is, or `""` where it begins with something else."""
        word = _WORD.match(self.code)
        return word.group() if word else ""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a text was cut into: its clauses, the comments after the last one, and what could not be cut."""

    clauses: tuple[ClauseText, ...]
    below: tuple[str, ...]
    problems: tuple[Problem, ...]


def too_deep(span: Span) -> Problem:
    """The problem of a clause that is nested deeper than its readers can follow."""
    help = "name a part of it with `let`, or write several rules"
    return Problem("too-deep", f"this clause is nested deeper than {DEEPEST} levels", span, help)


def cut(source: Source) -> Cut:
    """Cut a text into clauses; a clause goes on where the next line begins with one of the continuation words."""
    return _Cutter(source).run()


DEEPEST = 100
"""How deep a clause may be nested, in brackets and in nodes: every reader of the tree may then walk it by recursion."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*")
CONTINUATION = re.compile(r"(?:where|except|unless|and|or|else)(?![A-Za-z0-9_.]|-[A-Za-z0-9_])")
"""A word that cannot begin a clause: at the beginning of a line it goes on with the clause before it."""

# ── items: the little that can be told without the grammar ───────────────────────────────────────────────────────────

_ITEM = re.compile(
    r"""
      (?P<comment>     (?<!\S) \# (?! -?[0-9] | \$?[^\W\d_] | \$_ ) [^\n]* )
    | (?P<ordinal>     \# )
    | (?P<string>      "(?:[^"\\\n]|\\[^\n])*" | '(?:[^'\\\n]|\\[^\n])*' )
    | (?P<open_string> ["'] [^\n]* )
    | (?P<regex>       ~[ \t]*/ (?:[^/\\\n]|\\[^\n])* / )
    | (?P<open_regex>  ~[ \t]*/ [^\n]* )
    | (?P<newline>     \n )
    | (?P<comma>       , )
    | (?P<opening>     [({\[] )
    | (?P<closing>     [)}\]] )
    | (?P<blank>       [ \t\r\f]+ )
    | (?P<text>        [^\s"'~,(){}\[\]\#]+ | . )
    """,
    re.VERBOSE,
)
_REST_OF_LINE = re.compile(r"[^\n]*")
_CLOSING = {"(": ")", "{": "}", "[": "]"}  # square ones mean nothing yet, but a comma in them is no end
_OPENING = {closing: opening for opening, closing in _CLOSING.items()}


class _Item(NamedTuple):
    kind: str
    start: int
    end: int


def _items(text: str) -> Iterator[_Item]:
    """The text in pieces. A line that begins with `#word` is a comment without its space: its quotes are none."""
    position, depth, fresh = 0, 0, True
    while position < len(text):
        match = _ITEM.match(text, position)
        assert match, "the last alternative takes any character"
        kind, end = match.lastgroup or "text", match.end()
        if kind == "ordinal" and fresh and depth == 0:
            kind, end = "bare_comment", _line_end(text, position)
        depth = max(0, depth + (kind == "opening") - (kind == "closing"))
        fresh = kind in ("newline", "comma") or (fresh and kind in ("blank", "comment"))
        yield _Item(kind, position, end)
        position = end


def _line_end(text: str, position: int) -> int:
    rest = _REST_OF_LINE.match(text, position)
    return rest.end() if rest else position


def _unmatched_brackets(text: str, items: list[_Item]) -> set[int]:
    """Where brackets stand that have no partner: an opening one must not swallow the lines that follow."""
    unmatched: set[int] = set()
    open_places: list[int] = []
    open_count = dict.fromkeys(_CLOSING, 0)
    for item in items:
        if item.kind == "opening":
            open_places.append(item.start)
            open_count[text[item.start]] += 1
        elif item.kind == "closing":
            partner = _OPENING[text[item.start]]
            if not open_count[partner]:
                unmatched.add(item.start)
                continue
            while text[place := open_places.pop()] != partner:
                unmatched.add(place)
                open_count[text[place]] -= 1
            open_count[partner] -= 1
    return unmatched.union(open_places)


# ── clauses ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Draft:
    """A clause while it is read."""

    start: int
    end: int
    above: list[_Item]
    inner: list[_Item] = field(default_factory=list)
    beside: _Item | None = None
    damaged: bool = False


class _Cutter:
    def __init__(self, source: Source):
        self.source = source
        self.text = source.text
        self.items = list(_items(source.text))
        self.unmatched = _unmatched_brackets(source.text, self.items)
        self.depth = 0
        self.draft: _Draft | None = None
        self.ended_by: str | None = None  # the kind of item after which the draft may be over
        self.floating: list[_Item] = []  # comments since the last piece of code: whose they are, the next piece tells
        self.clauses: list[ClauseText] = []
        self.problems: list[Problem] = []

    def run(self) -> Cut:
        for item in self.items:
            self.take(item)
        self.close()
        return Cut(tuple(self.clauses), tuple(map(self.comment, self.floating)), tuple(self.problems))

    def take(self, item: _Item) -> None:
        if item.kind == "blank":
            return
        if item.kind == "comment":
            self.floating.append(item)
        elif item.kind == "bare_comment":
            self.complain_of_comment(item)
        elif item.kind == "newline" or (item.kind == "comma" and self.depth == 0):
            self.end(item)
        else:
            self.add_code(item)

    def end(self, item: _Item) -> None:
        if self.depth == 0 and self.ended_by != "comma":
            self.ended_by = item.kind

    def add_code(self, item: _Item) -> None:
        goes_on = self.ended_by == "newline" and CONTINUATION.match(self.text, item.start)
        if self.ended_by and not goes_on:
            self.close()
        if self.draft is None:
            self.draft = _Draft(item.start, item.end, self.floating)
        else:
            self.draft.inner += self.floating
            self.draft.end = item.end
        self.ended_by = None
        self.floating = []
        self.check(item, self.draft)
        self.count_depth(item)

    def count_depth(self, item: _Item) -> None:
        if item.start not in self.unmatched:
            self.depth += (item.kind == "opening") - (item.kind == "closing")

    def close(self) -> None:
        draft, self.draft = self.draft, None
        self.ended_by = None
        if draft is None:
            return
        if self.floating and "\n" not in self.text[draft.end : self.floating[0].start]:
            draft.beside = self.floating.pop(0)
        self.clauses.append(
            ClauseText(
                span=Span(self.source, draft.start, draft.end),
                code=self.code(draft),
                above=tuple(map(self.comment, draft.above + draft.inner)),
                beside=self.comment(draft.beside) if draft.beside else None,
                damaged=draft.damaged,
            )
        )

    def code(self, draft: _Draft) -> str:
        """The draft's text with its comments as blanks."""
        pieces, position = [], draft.start
        for comment in draft.inner:
            pieces += [self.text[position : comment.start], " " * (comment.end - comment.start)]
            position = comment.end
        return "".join([*pieces, self.text[position : draft.end]])

    def comment(self, item: _Item) -> str:
        return self.text[item.start + 1 : item.end].strip()

    # ── problems ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, item: _Item, draft: _Draft) -> None:
        if draft.damaged:
            return
        if item.kind == "open_string":
            self.complain(
                "unclosed-string",
                "this string has no closing quote",
                item,
                'a string ends on the line it begins on; a quote inside one is written \\"',
            )
        elif item.kind == "open_regex":
            self.complain(
                "unclosed-regex",
                "this regular expression has no closing `/`",
                item,
                "a regular expression ends on the line it begins on; a slash inside one is written \\/",
            )
        elif item.kind == "opening" and item.start in self.unmatched:
            bracket = self.text[item.start]
            self.complain(
                "unclosed-bracket",
                f"this `{bracket}` is never closed",
                item,
                f"add the `{_CLOSING[bracket]}` that belongs to it",
            )
        elif item.kind == "opening" and self.depth >= DEEPEST:
            self.problems.append(too_deep(Span(self.source, item.start, item.end)))
        else:
            return
        draft.damaged = True

    def complain_of_comment(self, item: _Item) -> None:
        first = self.text[item.start : item.end].split()[0]
        self.complain(
            "comment-needs-space",
            f"`{first}` reads as a place among operators, and no clause begins with one",
            item,
            "a comment needs a space after its `#`",
        )

    def complain(self, slug: str, message: str, item: _Item, help: str) -> None:
        stretch = self.text[item.start : item.end].rstrip()
        self.problems.append(Problem(slug, message, Span(self.source, item.start, item.start + len(stretch)), help))
