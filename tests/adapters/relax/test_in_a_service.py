"""Many conversions in one process: by many threads at once, told step by step, and stopped on the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import networks
import pytest

from corecast.adapters.relax import Model, apply, prepare, survey
from corecast.api import Source, plan, read_recipe
from corecast.plan import Progress, format_plan

RULES = Source("case.rules", "match nn.conv2d #k where out_channels == 16, set layout HWNC, cast float16")
STEPS = ["survey", "corecast.ConvertLayout", "corecast.Recast", "corecast.Cleanup"]


def network(channels: int) -> Model:
    return networks.model_of(f"""
        data: float32 1x{channels}x8x8
        nn.conv2d#0(data, %stem: float32 16x{channels}x3x3) -> float32 1x16x6x6 @stem
        nn.relu#0(nn.conv2d#0) -> float32 1x16x6x6 follows
        nn.conv2d#1(nn.relu#0, %body: float32 16x16x3x3) -> float32 1x16x4x4 @body
        return nn.conv2d#1
    """)


def converted(channels: int) -> tuple[str, str]:
    """The plan and the module that a network comes to, as texts."""
    model = prepare(network(channels))
    decided = plan(read_recipe(RULES), survey(model))
    return format_plan(decided), apply(decided, model).converted.module.script(show_meta=True)


def test_threads_convert_as_one_does_alone() -> None:
    """Building, preparing, planning, converting: nothing that one thread does is seen by another."""
    sizes = [*range(1, 9)] * 3
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(converted, sizes))
    assert together == [converted(size) for size in sizes]


def test_each_step_is_told_before_it_begins() -> None:
    model = prepare(network(3))
    told: list[Progress] = []
    apply(plan(read_recipe(RULES), survey(model)), model, progress=told.append)
    assert [progress.step for progress in told] == [*STEPS, "fold weights", "read back"]
    assert [progress.number for progress in told] == [*range(1, 7)]
    assert {progress.total for progress in told} == {6}


@pytest.mark.parametrize("step", [*STEPS, "fold weights", "read back"])
def test_a_conversion_that_is_stopped_leaves_the_model_as_it_was(step: str) -> None:
    model = prepare(network(3))
    before = model.module.script(show_meta=True)
    decided = plan(read_recipe(RULES), survey(model))

    def stop(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(decided, model, progress=stop)
    assert model.module.script(show_meta=True) == before
    apply(decided, model)
