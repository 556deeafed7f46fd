"""The table of operators against TVM's registry: nothing that TVM has is left out without a word."""

from __future__ import annotations

import tvm

from corecast.model.following import FOLLOWERS, ORIGINAL, behaviour_of

# Calls for which Relax has no single operator, and the bias of a convolution, which Relay has one for.
OURS = {"call", "if", "match_cast", "nn.bias_add", "nn.dense"}


def relax_operators() -> set[str]:
    return {name.removeprefix("relax.") for name in tvm.ir.Op.list_op_names() if name.startswith("relax.")}


def test_every_operator_of_relax_follows_or_says_why_it_does_not() -> None:
    """An operator that a newer TVM brings is unknown, and fails here."""
    assert {op for op in relax_operators() if behaviour_of(op) == "unknown"} == set()


def test_no_operator_is_listed_twice_or_made_up() -> None:
    """And the table names no operator that there is not."""
    assert not FOLLOWERS.keys() & ORIGINAL.keys()
    assert (FOLLOWERS.keys() | ORIGINAL.keys()) - relax_operators() == OURS


def test_an_operator_that_nobody_knows_is_unknown() -> None:
    """It then keeps the model's order, and explanations say that nobody knows whether it has to."""
    assert behaviour_of("nn.of_next_year") == "unknown"
