"""Many conversions in one process: requests in several threads, each told step by step, one of them cancelled.

Nothing of a conversion is kept between calls, so threads share recipes and models as they like. A callback sees each
step before it begins, and stops the work by raising: what was given is unchanged then, and nothing is written.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from corecast.adapters.relax import Conversion, Model, build_model
from corecast.api import Source, apply, plan, prepare, read_recipe, survey
from corecast.model import parse_table
from corecast.plan import Progress

RECIPES = {
    "layout": "match nn.conv2d #k where groups == 1, set layout NHWC\n",
    "half": "match nn.conv2d or nn.relu, cast float16\n",
    "both": "match nn.conv2d, set layout HWNC, cast float16\n",
}


class Cancelled(Exception):  # noqa: N818
    """The client has gone."""


@dataclass
class Job:
    """One request: a model and a recipe; `cancel` may be called from any thread."""

    model: Model
    rules: Source
    steps: list[str] = field(default_factory=list)
    _gone: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        self._gone.set()

    def run(self) -> Conversion | Cancelled:
        try:
            prepared = prepare(self.model)
            table = survey(prepared)
            decided = plan(read_recipe(self.rules, table), table, progress=self.told)
            return apply(decided, prepared, progress=self.told)
        except Cancelled as cancelled:
            return cancelled

    def told(self, progress: Progress) -> None:
        if self._gone.is_set():
            raise Cancelled(f"before `{progress.step}`, step {progress.number} of {progress.total}")
        self.steps.append(progress.step)


def network(width: int) -> Model:
    """Two convolutions of so many channels, with seeded weights."""
    text = f"""
        image: float32 1x3x16x16
        nn.conv2d#0(image, %stem: float32 {width}x3x3x3) -> float32 1x{width}x14x14 @stem
        nn.relu#0(nn.conv2d#0) -> float32 1x{width}x14x14 follows
        nn.conv2d#1(nn.relu#0, %body: float32 {width}x{width}x3x3) -> float32 1x{width}x12x12 @body
        return nn.conv2d#1
    """
    return build_model(parse_table(text, model=f"width-{width}"), seed=0)


def main() -> None:
    models = [network(width) for width in (8, 16, 32)]
    jobs = [Job(model, Source(f"{name}.rules", rules)) for model in models for name, rules in RECIPES.items()]
    jobs[4].cancel()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(Job.run, jobs))
    for job, result in zip(jobs, results, strict=True):
        come = f"cancelled {result}" if isinstance(result, Cancelled) else f"{result.realised.layers} layers changed"
        print(f"{job.model.name:9} {job.rules.name:13} {come}")
    print("steps of the first:", ", ".join(jobs[0].steps))


if __name__ == "__main__":
    main()
