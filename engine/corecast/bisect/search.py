"""A function from what is kept of a set to an error in, the few members without which it stays within a tolerance out.

Pure: what is measured, and how long that takes, is the caller's. An error may be infinite. No subset is measured twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

U = TypeVar("U", bound=Hashable)

Outcome = Literal["passes", "fails-anyway", "culprits", "together"]

# How many errors a ranking has at most: of larger sets, those of groups.
MOST_RANKED = 64


@dataclass(frozen=True)
class Found(Generic[U]):
    """What a search found.

    `passes` says that all may be kept; `fails-anyway` that nothing kept fails too; `culprits` that each of `left_out`
    was seen to fail by itself; `together` that it takes many, or several whose errors add up or need each other:
    `left_out` is then what weighs most. `rest` is the error without `left_out`, which is within the tolerance in the
    last two. `ranking` has the errors of single members, or of groups where there are many, each alone, the largest
    first; only where it was needed.
    """

    outcome: Outcome
    whole: float
    nothing: float | None = None
    left_out: tuple[U, ...] = ()
    rest: float | None = None
    ranking: tuple[tuple[tuple[U, ...], float], ...] = ()


def search(
    members: Sequence[U],
    error: Callable[[frozenset[U]], float],
    tolerance: float,
    group: Callable[[U], Sequence[Hashable]] = lambda _: (),
) -> Found[U]:
    """Find what has to be left out for the rest to stay within a tolerance.

    Nothing is kept at first, and halves are put back for as long as that passes: about twice the binary logarithm of
    the number of members for a single culprit. Where the first that cannot be put back is within the tolerance by
    itself, and where culprits are many, each is measured alone, and the smallest head of that ranking is left out.

    Args:
        members: in an order in which neighbours belong together; those of a group stand side by side.
        error: measured with these members kept; smaller is better, and what is not at most the tolerance fails.
        tolerance: what the error may be.
        group: the groups of a member, from coarse to fine, at whose borders sets are divided first.
    """
    return _Search(members, error, tolerance, group).found()


@dataclass
class _Search(Generic[U]):
    members: Sequence[U]
    error: Callable[[frozenset[U]], float]
    tolerance: float
    group: Callable[[U], Sequence[Hashable]]
    measured: dict[frozenset[U], float] = field(default_factory=dict)

    def found(self) -> Found[U]:
        whole = self.kept(self.members)
        if whole <= self.tolerance:
            return Found("passes", whole)
        nothing = self.kept(())
        if not nothing <= self.tolerance:
            return Found("fails-anyway", whole, nothing)
        left_out = self._culprits()
        ranking: Sequence[tuple[Sequence[U], float]] = ()
        if left_out is None:
            ranking = self._ranking()
            left_out = self._head([part for part, _ in ranking])
        return Found(
            "culprits" if all(map(self._fails_alone, left_out)) else "together",
            whole,
            nothing,
            tuple(member for member in self.members if member in left_out),
            self.without(left_out),
            tuple((tuple(part), alone) for part, alone in ranking),
        )

    # ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────

    def kept(self, kept: Collection[U]) -> float:
        key = frozenset(kept)
        if key not in self.measured:
            found = self.error(key)
            self.measured[key] = found if found == found else float("inf")  # NaN is no order to search by
        return self.measured[key]

    alone = kept

    def without(self, left_out: Collection[U]) -> float:
        return self.kept([member for member in self.members if member not in left_out])

    def passes_without(self, left_out: Collection[U]) -> bool:
        return self.without(left_out) <= self.tolerance

    def _fails_alone(self, member: U) -> bool:
        """Whether a member was seen to fail by itself; of a group that was ranked as one, none was."""
        return self.measured.get(frozenset([member]), 0.0) > self.tolerance

    # ── culprits ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _culprits(self) -> frozenset[U] | None:
        """Put back what can be; None where what is left is not a few members that fail by themselves."""
        # A few culprits take no more probes than that; for many, a ranking takes less.
        most = len(self.measured) + 16 + 4 * len(self.members).bit_length()
        left_out = frozenset(self.members)
        blocks = [self.members]
        while blocks:
            if len(self.measured) > most:
                return None
            block = blocks.pop()
            if self.passes_without(left_out - set(block)):
                left_out -= set(block)
            elif len(block) > 1:
                first, second = self._halves(block)
                blocks += [second, first]
            elif self.alone(block) <= self.tolerance:
                return None
        return self._needed(left_out)

    def _needed(self, left_out: frozenset[U]) -> frozenset[U]:
        """Without what can be put back after all: it could not be while others were still left out."""
        for member in sorted(left_out, key=self.members.index):
            if len(left_out) > 1 and self.passes_without(left_out - {member}):
                return self._needed(left_out - {member})
        return left_out

    def _halves(self, block: Sequence[U]) -> tuple[Sequence[U], Sequence[U]]:
        """Two parts of about one size, which share no group if they can."""
        groups = [tuple(self.group(member)) for member in block]
        places: Sequence[int] = range(1, len(block))
        for level in range(len(groups[0])):
            borders = [place for place in places if groups[place - 1][: level + 1] != groups[place][: level + 1]]
            if borders:
                places = borders
                break
        place = min(places, key=lambda place: abs(2 * place - len(block)))
        return block[:place], block[place:]

    # ── errors that add up ───────────────────────────────────────────────────────────────────────────────────────────

    def _ranking(self) -> list[tuple[Sequence[U], float]]:
        """The error of each part alone, the largest first; where there are many, what weighs most is divided first."""
        parts: list[Sequence[U]] = [[member] for member in self.members]
        if len(parts) > MOST_RANKED:
            parts = [self.members]
            while len(parts) < MOST_RANKED:
                heaviest = max((part for part in parts if len(part) > 1), key=self.alone)
                place = parts.index(heaviest)
                parts[place : place + 1] = self._halves(heaviest)
        return sorted(((part, self.alone(part)) for part in parts), key=lambda item: -item[1])

    def _head(self, ranked: Sequence[Sequence[U]]) -> frozenset[U]:
        """The members of the shortest head of a ranking without which it passes, or those of its last part alone."""
        heads = [frozenset(member for part in ranked[:count] for member in part) for count in range(len(ranked) + 1)]
        fails, passes = 0, len(ranked)
        while passes - fails > 1:
            middle = (fails + passes) // 2
            fails, passes = (fails, middle) if self.passes_without(heads[middle]) else (middle, passes)
        # Where it takes several to fail, none of them weighs anything, and the one that completes them is enough.
        last = frozenset(ranked[passes - 1])
        return last if self.passes_without(last) else heads[passes]
