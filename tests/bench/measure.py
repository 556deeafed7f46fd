"""`python -m bench.measure convert 1000 10`: one measurement in this process, seconds and MiB as JSON.

Seconds are of processor time: all of it runs in one thread, so on an idle machine they are those of the clock, and on a
busy one they tell more. `network` is the memory of the process once the network stands, `peak` the most that it had.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

Numbers = dict[str, float]


class Clock:
    """The numbers of one measurement, in the making."""

    def __init__(self) -> None:
        self.numbers: Numbers = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = process_time()
        yield
        self.numbers[name] = process_time() - start

    def memory(self, name: str) -> None:
        gc.collect()
        self.numbers[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def convert(clock: Clock, operators: str, count: str) -> None:
    """Every step from a module to a converted model, with a recipe of so many rules."""
    from bench.networks import residual
    from bench.rules import rules
    from corecast.adapters.relax import apply, compile_plan, prepare, survey
    from corecast.api import plan, read_recipe

    loaded = residual(int(operators))
    read_recipe(rules(1))  # the grammar is built once for a process, whatever the network
    clock.memory("network")
    with clock("prepare"):
        model = prepare(loaded)
    del loaded
    with clock("survey"):
        table = survey(model)
    with clock("plan"):
        decided = plan(read_recipe(rules(int(count)), table), table)
    with clock("compile"):
        str(compile_plan(decided))
    with clock("apply"):
        apply(decided, model)


def plan(clock: Clock, operators: str, count: str) -> None:
    """Planning alone, on a layer table that was read from its file; and the files of tables and plans."""
    from bench.networks import residual
    from bench.rules import rules
    from corecast.adapters.relax import survey
    from corecast.api import plan, read_recipe
    from corecast.model import LayerTable
    from corecast.plan import format_plan, parse_plan

    table = survey(residual(int(operators)))
    read_recipe(rules(1))
    with clock("write table"):
        text = table.model_dump_json()
    with clock("read table"):
        table = LayerTable.model_validate_json(text)
    del text
    clock.memory("network")
    with clock("resolve"):
        recipe = read_recipe(rules(int(count)), table)
    with clock("plan"):
        decided = plan(recipe, table)
    clock.memory("planned")
    with clock("write plan"):
        text = format_plan(decided)
    with clock("read plan"):
        parse_plan(text)


def llama(clock: Clock, blocks: str) -> None:
    """The graph of Llama 70B, through every step that needs no weights."""
    from bench.networks import Llama
    from bench.rules import LLAMA
    from corecast.adapters.relax import compile_plan, survey
    from corecast.api import plan, read_recipe

    module = Llama(int(blocks)).module()
    read_recipe(LLAMA)
    clock.memory("network")
    with clock("survey"):
        table = survey(module)
    with clock("plan"):
        decided = plan(read_recipe(LLAMA, table), table)
    with clock("compile"):
        passes = compile_plan(decided)
    with clock("apply"):
        passes.sequential()(module)
    clock.numbers["operators"] = len(table.layers)
    clock.numbers["layers planned"] = len(decided.layers)


def ours(clock: Clock, operators: str, request: str) -> None:
    """One rule as one pass: surveyed, planned, converted, read back."""
    from bench.networks import residual
    from corecast.adapters.relax import recipe_pass
    from corecast.api import read_recipe
    from corecast.lang import Source

    module = residual(int(operators)).module
    step = recipe_pass(read_recipe(Source("one.rules", f"match nn.conv2d, {request}")))
    clock.memory("network")
    with clock("seconds"):
        step(module)


def rival(clock: Clock, operators: str, name: str) -> None:
    """The same by TVM's own means."""
    from bench import rivals
    from bench.networks import residual

    module = residual(int(operators)).module
    clock.memory("network")
    with clock("seconds"):
        getattr(rivals, name)(module)


def memory(clock: Clock, operators: str, channels: str) -> None:
    """What converting takes beside weights of many megabytes, every one of which is put in another order."""
    from bench.networks import residual
    from corecast.adapters.relax import apply, prepare, survey
    from corecast.api import plan, read_recipe
    from corecast.lang import Source

    recipe = read_recipe(Source("one.rules", "match nn.conv2d, set layout HWNC"))
    clock.memory("before")
    loaded = residual(int(operators), int(channels))
    clock.numbers["weights"] = sum(array.nbytes for array in loaded.parameters.values()) / 2**20
    clock.memory("network")
    model = prepare(loaded)
    del loaded
    with clock("apply"):
        apply(plan(recipe, survey(model)), model)


def calibrate(clock: Clock, images: str, method: str) -> None:
    """So many digits through the trained network, which is compiled first."""
    import onnx
    from digits.data import all_images
    from digits.network import onnx_model, weights_of

    from corecast.adapters.relax import load, prepare, survey
    from corecast.api import calibrate, plan, read_recipe

    pixels = all_images().pixels[: int(images)]
    with TemporaryDirectory() as folder:
        path = Path(folder, "digits.onnx")
        onnx.save(onnx_model(weights_of(0), 64), path)
        model = prepare(load(path))
    table = survey(model)
    decided = plan(read_recipe("int8", table), table)
    clock.memory("before")
    with clock("calibrate"):
        calibrate(decided, model, [pixels], method=method)


def calibrate_large(clock: Clock, operators: str, channels: str) -> None:
    """Two samples through a network of many megabytes, which is compiled first."""
    from corecast.api import calibrate
    from corecast.verify import inputs_for

    decided, model, table = _planned(clock, operators, channels)
    with clock("calibrate"):
        calibrate(decided, model, [inputs_for(table, seed) for seed in range(2)], method="min-max")


def quantize(clock: Clock, operators: str, channels: str) -> None:
    """Every convolution of such a network put on integers, by ranges that are there."""
    from corecast.adapters.relax import apply
    from corecast.plan.integers import integers
    from corecast.quantization import CalibratedModel, Calibration, Range

    decided, model, table = _planned(clock, operators, channels)
    names = integers(table, decided.decided("dtype")).to_observe
    ranges = {name: Range(low=-1.0, high=1.0) for name in names}
    found = Calibration(model=CalibratedModel.of(table), method="min-max", samples=1, ranges=ranges)
    with clock("apply"):
        conversion = apply(decided, model, found)
    clock.numbers["after"] = sum(array.nbytes for array in conversion.converted.parameters.values()) / 2**20


def _planned(clock: Clock, operators: str, channels: str) -> tuple[Any, Any, Any]:
    """The plan by the recipe `int8`, the prepared network and its layer table."""
    from bench.networks import residual
    from corecast.adapters.relax import prepare, survey
    from corecast.api import plan, read_recipe

    read_recipe("int8")
    clock.memory("before")
    loaded = residual(int(operators), int(channels))
    for array in loaded.parameters.values():
        array *= 10 / array[0].size ** 0.5  # or a network of this width and depth would overflow
    clock.numbers["parameters"] = sum(array.size for array in loaded.parameters.values()) / 1e6
    clock.numbers["weights"] = sum(array.nbytes for array in loaded.parameters.values()) / 2**20
    model = prepare(loaded)
    table = survey(model)
    with clock("plan"):
        decided = plan(read_recipe("int8", table), table)
    return decided, model, table


def published(clock: Clock, name: str) -> None:
    """From a published graph's file to its layer table, and how many transposes a layout recipe comes to."""
    from models.bound import fewest_transforms
    from models.light import specimens

    from corecast.adapters.relax import load, prepare, survey
    from corecast.api import plan, read_recipe
    from corecast.lang import Source

    specimen = next(specimen for specimen in specimens() if specimen.name == name)
    path = specimen.make(Path())
    with clock("import"):
        loaded = load(path, weights="random:0")
    with clock("prepare"):
        model = prepare(loaded)
    del loaded
    with clock("survey"):
        table = survey(model)
    decided = plan(read_recipe(Source("one.rules", "match nn.conv2d, set layout NHWC"), table), table)
    clock.numbers["operators"] = len(table.layers)
    clock.numbers["transposes"] = decided.predicted.layout_transforms
    clock.numbers["fewest"] = fewest_transforms(table, decided)


def main(what: str, *arguments: str) -> Numbers:
    """Run one of the measurements above."""
    clock = Clock()
    globals()[what](clock, *arguments)
    clock.memory("peak")
    return clock.numbers


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
