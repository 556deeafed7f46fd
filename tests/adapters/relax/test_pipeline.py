"""`recipe_pass` in pipelines: what it converts, and that it is never left out without a word."""

from __future__ import annotations

import networks
import pytest
import tvm

from corecast.adapters.relax import recipe_pass, survey
from corecast.api import Source, read_recipe

NETWORK = """
data: float32 1x3x8x8
nn.conv2d#0(data, %w: float32 4x3x3x3) -> float32 1x4x6x6 @conv
return nn.conv2d#0
"""
RULES = Source("case.rules", "match nn.conv2d, set layout HWNC")


@pytest.mark.parametrize("level", range(4))
def test_a_recipe_converts_at_every_optimization_level(level: int) -> None:
    """TVM leaves out passes above the context's level without a word; ours have level 0."""
    with tvm.transform.PassContext(opt_level=level):
        converted = tvm.transform.Sequential([recipe_pass(read_recipe(RULES))])(networks.model_of(NETWORK).module)
    assert survey(converted).layers[-2].data_layout == "HWNC"


def test_a_pass_that_the_context_switched_off_is_an_error() -> None:
    """A plan that was carried out in part is worse than none."""
    module = networks.model_of(NETWORK).module
    with (
        tvm.transform.PassContext(disabled_pass=["corecast.ConvertLayout"]),
        pytest.raises(Exception, match="layout HWNC"),
    ):
        recipe_pass(read_recipe(RULES))(module)
