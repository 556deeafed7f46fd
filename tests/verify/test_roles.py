"""What whole-number inputs are read as, and the values that they get for it."""

from __future__ import annotations

import numpy as np

from corecast.model import parse_table
from corecast.verify import inputs_for
from corecast.verify.roles import Index, Mask, roles

BERT = parse_table(
    """
tokens: int64 4x16
kinds: int64 4x16
mask: int64 4x16
count: int64 4
take#0(%words: float32 30x8, tokens) axis=0 -> float32 4x16x8
reshape#0(kinds) -> int64 64
take#1(%kinds: float32 2x8, reshape#0) axis=0 -> float32 64x8
expand_dims#0(mask) -> int64 4x1x16
astype#0(expand_dims#0) -> float32 4x1x16
add#0(count, %one: int64 4) -> int64 4
return take#0, take#1, astype#0, add#0
"""
)


def test_what_is_looked_up_is_an_index_below_the_length_of_its_table() -> None:
    """Also through views; the smallest table counts."""
    found = roles(BERT)
    assert (found["tokens"], found["kinds"]) == (Index(30), Index(2))


def test_what_becomes_a_float_or_a_truth_value_is_a_mask() -> None:
    """A sum of whole numbers is neither."""
    found = roles(BERT)
    assert found["mask"] == Mask()
    assert "count" not in found


def test_an_input_that_is_both_is_an_index() -> None:
    """Padding is often told from a token by comparing tokens."""
    table = parse_table(
        """
tokens: int64 1x8
take#0(%words: float32 30x8, tokens) axis=0 -> float32 1x8x8
astype#0(tokens) -> bool 1x8
return take#0, astype#0
"""
    )
    assert roles(table) == {"tokens": Index(30)}


def test_values_suit_the_roles() -> None:
    """Indices use their whole table; masks hide something, and never a whole row."""
    inputs = inputs_for(BERT, 0)
    assert inputs["tokens"].max() > 15
    assert inputs["tokens"].max() < 30
    assert set(np.unique(inputs["kinds"])) == {0, 1}
    assert set(np.unique(inputs["mask"])) == {0, 1}
    assert (inputs["mask"][:, 0] == 1).all()
