"""The search, beside brute force: on oracles that only get worse with more, and on oracles without any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, combinations
from math import inf, log2, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecast.bisect.search import MOST_RANKED, Found, search

Kept = frozenset[int]
Oracle = Callable[[Kept], float]

LIMIT = 0.5


def subsets(members: range) -> Iterator[Kept]:
    return map(frozenset, chain.from_iterable(combinations(members, size) for size in range(len(members) + 1)))


@st.composite
def broken_together(draw: st.DrawFn) -> tuple[range, Oracle]:
    """It fails where all members of one of a few sets are kept: more is never better."""
    members = range(draw(st.integers(1, 6)))
    causes = draw(st.lists(st.frozensets(st.sampled_from(members)), max_size=4))
    return members, lambda kept: float(any(cause <= kept for cause in causes))


@st.composite
def adding_up(draw: st.DrawFn) -> tuple[range, Oracle]:
    """Each member has an error of its own, and they add up; some are infinite."""
    errors = draw(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.4, 0.6, inf]), min_size=1, max_size=6))
    return range(len(errors)), lambda kept: sum(errors[member] for member in kept)


@st.composite
def without_order(draw: st.DrawFn) -> tuple[range, Oracle]:
    """Any error for any subset, no number at all among them."""
    members = range(draw(st.integers(1, 5)))
    errors = {kept: draw(st.sampled_from([0.0, 0.4, 0.6, 1.0, inf, nan])) for kept in subsets(members)}
    return members, errors.__getitem__


@st.composite
def grouped(draw: st.DrawFn, count: int) -> Callable[[int], tuple[int, ...]]:
    """Rules of neighbours, and requests in them."""
    rules = sorted(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    requests = [draw(st.integers(0, 1)) for _ in range(count)]
    return lambda member: (rules[member], requests[member])


def found(case: tuple[range, Oracle], group: Callable[[int], tuple[int, ...]] = lambda _: ()) -> Found[int]:
    return search(case[0], case[1], LIMIT, group)


@given(st.one_of(broken_together(), adding_up(), without_order()), st.data())
def test_what_it_says_is_so(case: tuple[range, Oracle], data: st.DataObject) -> None:
    """Of any oracle, and however members are grouped: what it says passes does, and its numbers were measured."""
    members, error = case
    result = found(case, data.draw(grouped(len(members))))
    everything = frozenset(members)
    left_out = frozenset(result.left_out)
    if result.outcome == "passes":
        assert error(everything) <= LIMIT
    elif result.outcome == "fails-anyway":
        assert not error(frozenset()) <= LIMIT
    else:
        assert result.rest == error(everything - left_out) <= LIMIT
        assert left_out
        assert all(not error(frozenset([member])) <= LIMIT for member in left_out) == (result.outcome == "culprits")
    for part, alone in result.ranking:
        assert alone == error(frozenset(part)) or alone == inf


@given(st.one_of(broken_together(), adding_up(), without_order()))
def test_the_outcome_is_brute_force_s(case: tuple[range, Oracle]) -> None:
    """All passes, nothing passes, or some subset does."""
    members, error = case
    outcome = found(case).outcome
    assert (outcome == "passes") == (error(frozenset(members)) <= LIMIT)
    if outcome != "passes":
        assert (outcome == "fails-anyway") == (not error(frozenset()) <= LIMIT)


@given(st.one_of(broken_together(), adding_up()))
def test_the_culprits_are_all_that_fail_alone(case: tuple[range, Oracle]) -> None:
    """Where more is never better and leaving these out is enough, there are no others, and each is needed."""
    members, error = case
    result = found(case)
    alone = frozenset(member for member in members if error(frozenset([member])) > LIMIT)
    if result.outcome in ("culprits", "together"):
        enough = error(frozenset(members) - alone) <= LIMIT
        assert (frozenset(result.left_out) == alone) == (result.outcome == "culprits") == enough


@given(without_order())
def test_each_that_is_left_out_is_needed(case: tuple[range, Oracle]) -> None:
    """Without a ranking, each of them fails where it is put back, also where more may be better."""
    members, error = case
    result = found(case)
    if result.outcome == "culprits" and not result.ranking:
        kept = frozenset(members) - frozenset(result.left_out)
        assert all(not error(kept | {member}) <= LIMIT for member in result.left_out)


@given(adding_up())
def test_no_shorter_head_of_the_ranking_is_enough(case: tuple[range, Oracle]) -> None:
    members, error = case
    result = found(case)
    order = [member for part, _ in result.ranking for member in part]
    assert sorted((alone for _, alone in result.ranking), reverse=True) == [alone for _, alone in result.ranking]
    for length in range(len(result.left_out) if order else 0):
        assert not error(frozenset(members) - frozenset(order[:length])) <= LIMIT


@given(st.integers(1, 3000), st.data())
def test_one_culprit_takes_logarithmically_many_probes(count: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, count - 1))
    probes: list[Kept] = []

    def error(kept: Kept) -> float:
        probes.append(kept)
        return float(culprit in kept)

    assert search(range(count), error, LIMIT).left_out == (culprit,)
    assert len(probes) == len(set(probes)), "nothing is measured twice"
    assert len(probes) <= 3 + 2 * (log2(count) + 1)


@pytest.mark.parametrize("errors", [[1 / 500] * 1000, [1.0] * 300, [0.0, 1.0] * 300])
def test_many_culprits_and_none_take_a_bounded_number(errors: list[float]) -> None:
    """Of a thousand that add up, groups are ranked."""
    probes = 0

    def error(kept: Kept) -> float:
        nonlocal probes
        probes += 1
        return sum(errors[member] for member in kept)

    result = search(range(len(errors)), error, LIMIT)
    assert len(result.ranking) == MOST_RANKED
    assert result.rest is not None
    assert result.rest <= LIMIT
    assert probes < 4 * MOST_RANKED


def test_groups_are_looked_at_first() -> None:
    """A border between two rules is where a set is divided, though its middle is elsewhere."""
    probes: list[Kept] = []

    def error(kept: Kept) -> float:
        probes.append(kept)
        return float(9 in kept)

    assert search(range(10), error, LIMIT, lambda member: (member == 9,)).left_out == (9,)
    assert frozenset(range(9)) in probes[:3]
