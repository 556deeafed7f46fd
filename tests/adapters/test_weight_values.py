"""What is known of a weight's values is what numpy says of them; each weight is looked at once, and only if asked."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from corecast.adapters import weight_values
from corecast.adapters.weight_values import summarise
from corecast.api import Source, plan, read_recipe
from corecast.model import LayerTable, Operand, TensorType, WeightSummary
from corecast.model.layer import Call

VALUES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    elements=st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, -2.5, math.inf]),
)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(1, 4), st.booleans())
def test_a_weight_is_what_numpy_says_piece_by_piece(array: Any, piece: int, turned: bool) -> None:
    """In pieces of any size, in any order of axes; NaN counts for nothing but its share."""
    array = array.T if turned else array
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_values, "_PIECE", piece)
        found = summarise(array)
    numbers = array[~np.isnan(array)].astype(np.float64)
    assert found.min == (numbers.min() if numbers.size else None)
    assert found.max == (numbers.max() if numbers.size else None)
    if array.size:
        assert found.zeros == (numbers == 0).sum() / array.size
        assert found.nans == np.isnan(array).mean()
    else:
        assert (found.zeros, found.nans) == (None, None)
    with np.errstate(invalid="ignore"):
        for mean, wanted in ((found.mean, numbers), (found.mean_abs, abs(numbers))):
            if not numbers.size or math.isnan(wanted.mean()):
                assert mean is None
            else:
                assert mean == pytest.approx(wanted.mean(), rel=1e-9, abs=1e-12 * abs(numbers).max())


@pytest.mark.parametrize("dtype", [np.int8, np.bool_, np.float16, ml_dtypes.bfloat16, ml_dtypes.int4])
def test_weights_of_every_dtype_have_values(dtype: type) -> None:
    """Also those that numpy knows by another package only."""
    found = summarise(np.array([[0, 1], [1, 1]]).astype(dtype))
    assert found == WeightSummary(min=0, max=1, mean=0.75, mean_abs=0.75, zeros=0.25, nans=0)


def test_each_weight_is_looked_at_once_and_only_if_a_rule_comes_to_it() -> None:
    """Fifty questions about one weight are one look; what another condition rules out is not looked at."""
    tensor = TensorType(dtype="float32", shape=(1, 8))
    calls = [
        Call(
            op="nn.dense",
            operands=(
                Operand(type=tensor, argument="x"),
                Operand(type=TensorType(dtype="float32", shape=(8, 8)), parameter=name),
            ),
            results=(tensor,),
        )
        for name in ("a", "b", "c", "b")
    ]
    looked: list[str] = []

    def look(name: str) -> WeightSummary:
        looked.append(name)
        return summarise(np.ones((8, 8), np.float32))

    returns = (Operand(type=tensor, layer=3),)
    table = LayerTable.of(calls, model="m", ir="none", arguments={"x": tensor}, returns=returns).looking(look)
    asked = " and ".join(f"max_abs(weight) < {number + 2} and zeros(weight) == 0" for number in range(50))
    rules = f'match nn.dense where {asked} and name != "c", keep'
    plan(read_recipe(Source("many.rules", rules), table), table)
    assert sorted(looked) == ["a", "b"]
