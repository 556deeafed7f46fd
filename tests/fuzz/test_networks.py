"""A thousand random networks through random recipes: on every push, in pieces that the test workers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fuzz.campaign import campaign
from fuzz.twin import Twin

COUNT, PIECE = 1000, 25


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    process = Twin()
    yield process
    process.close()


@pytest.mark.parametrize("first", range(0, COUNT, PIECE))
def test_random_networks_through_random_recipes(first: int, twin: Twin) -> None:
    """`make fuzz` runs as many more as one likes. A failure prints the seed, the smallest network and the rules."""
    tally = campaign(range(first, first + PIECE), twin)
    assert not tally.findings, "\n\n".join(map(str, tally.findings))
    # Else nothing was compared: recipes were refused, or networks give the same whatever their weights.
    assert tally.outcomes["telling"] >= PIECE // 5, tally.outcomes
