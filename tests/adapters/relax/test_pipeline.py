"""`recipe_pass` in pipelines: what it converts, and that it is never left out without a word."""

from __future__ import annotations

import networks
import numpy as np
import pytest
import tvm
from tvm import relax

from corecast.adapters.relax import recipe_pass, survey
from corecast.adapters.relax.pipeline import DisabledPassError
from corecast.api import PlanError, Source, read_recipe

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
        pytest.raises(DisabledPassError, match=r"disables corecast\.ConvertLayout, which case\.rules needs"),
    ):
        recipe_pass(read_recipe(RULES))(module)


@pytest.mark.parametrize("around", [lambda step: step, lambda step: tvm.transform.Sequential([step])])
def test_an_error_comes_out_of_tvm_as_it_was_raised(around) -> None:
    """With its problems and its plan, also where TVM's own passes stand between."""
    step = around(recipe_pass(read_recipe(Source("case.rules", "match nn.conv2d #9, set layout HWNC"))))
    with pytest.raises(PlanError, match="matches no layer") as raised:
        step(networks.model_of(NETWORK).module)
    assert [problem.slug for problem in raised.value.problems] == ["unmatched-rule"]
    assert raised.value.plan.layers == ()


def test_an_error_of_others_is_what_tvm_makes_of_it() -> None:
    """And an old error of ours is not taken for it."""

    @tvm.transform.module_pass(opt_level=0, name="broken")
    def broken(module: tvm.IRModule, context: tvm.transform.PassContext) -> tvm.IRModule:  # noqa: ARG001
        raise ValueError("of another")

    with pytest.raises(PlanError):
        recipe_pass(read_recipe(Source("case.rules", "match nn.conv2d #9, keep")))(networks.model_of(NETWORK).module)
    with pytest.raises(ValueError, match="of another"):
        tvm.transform.Sequential([broken])(networks.model_of(NETWORK).module)


def test_the_default_build_takes_a_recipe_as_its_first_step() -> None:
    """What comes out computes what the model did."""
    model = networks.model_of(NETWORK)
    target = tvm.target.Target("llvm")
    pipeline = tvm.transform.Sequential([recipe_pass(read_recipe(RULES)), relax.get_default_pipeline(target)])
    arguments = [tvm.runtime.tensor(np.ones((1, 3, 8, 8), "float32")), tvm.runtime.tensor(model.parameters["w"])]
    plain, converted = (
        relax.VirtualMachine(executable, tvm.cpu())["main"](*arguments).numpy()
        for executable in (
            tvm.compile(model.module, target),
            tvm.compile(model.module, target, relax_pipeline=pipeline),
        )
    )
    np.testing.assert_allclose(converted, plain, rtol=1e-5, atol=1e-6)
