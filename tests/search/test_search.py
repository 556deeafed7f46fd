"""Assignments chosen by made-up noise: what is taken, what is measured, and how far from the best it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from math import inf, log10

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import LayerTable, find_target, parse_table
from corecast.plan import Plan, trial
from corecast.recipe import read_bound
from corecast.search import BudgetError, Candidates, Found, RequestError, Tried, candidates, rate_of, search
from corecast.verify import Measured

TARGET = find_target("cuda:sm_90a")
REQUESTS = ("cast float8_e4m3", "cast float16")
BUDGET = read_bound("snr >= 20 dB")  # a hundredth of the signal may be noise


def network(layers: int) -> LayerTable:
    """A chain of convolutions, the later ones with ever more to multiply."""
    lines = ["x0: float32 1x8x16x16"]
    for number in range(layers):
        source = f"nn.conv2d#{number - 1}" if number else "x0"
        kernel = f"%block{number // 2}.w{number}: float32 8x8x{1 + 2 * (number % 3)}x{1 + 2 * (number % 3)}"
        pad = number % 3
        lines.append(
            f"{'nn.conv2d'}#{number}({source}, {kernel}) padding=[{pad}, {pad}, {pad}, {pad}] -> float32 1x8x16x16"
        )
    return parse_table("\n".join([*lines, f"return nn.conv2d#{layers - 1}"]))


def choices(table: LayerTable, *requests: str) -> Candidates:
    def planned(text: str) -> Plan:
        return trial(read_recipe(Source("case.rules", text), table), table, TARGET)[0]

    return candidates(table, TARGET, requests or REQUESTS, planned)


Noise = Mapping[tuple[str, str], float]
"""By layer and dtype, the noise that it adds, over the signal."""


def measuring(noise: Noise, together: Callable[[set[str]], float] = lambda _: 0.0) -> Callable[[Plan], Measured]:
    """Noise that adds up; and more of it where layers meet."""

    def measure(plan: Plan) -> Measured:
        edits = plan.decided("dtype")
        total = sum(noise[layer, edit.dtype] for layer, edit in edits.items()) + together(set(edits))
        if total == inf:
            return Measured(error=inf, reason="10 of 10 values are NaN")
        ratio = -10 * log10(total) if total else inf
        return Measured(error=BUDGET.spent(ratio), told=f"snr {BUDGET.spell(ratio)}", snr_db=ratio)

    return measure


def found(choice: Candidates, measure: Callable[[Plan], Measured], tries: list[Tried] | None = None) -> Found:
    seen = [] if tries is None else tries
    return search(choice, [BUDGET], measure, seed=0, compared=lambda: "outputs", on_try=seen.append)


def requests_of(result: Found) -> dict[str, str | None]:
    return {item.layer: item.request for item in result.chosen}


def noise_of(table: LayerTable, values: dict[str, tuple[float, float]]) -> Noise:
    """Of float8 and of float16 in each layer."""
    short = {layer.id: values.get(layer.id, (0.0, 0.0)) for layer in table.layers}
    return {
        (layer, dtype): pair[place]
        for layer, pair in short.items()
        for place, dtype in enumerate(("float8_e4m3fn", "float16"))
    }


def test_where_the_cheapest_of_everything_keeps_the_budget_nothing_else_is_measured() -> None:
    """Two probes: the model as it is, and that."""
    table = network(3)
    tries: list[Tried] = []
    result = found(choices(table), measuring(noise_of(table, {"nn.conv2d#1": (0.009, 0)})), tries)
    assert set(requests_of(result).values()) == {"cast float8_e4m3"}
    assert (result.probes, len(tries), result.sensitivities) == (2, 2, ())
    assert result.cost == pytest.approx(0.25)


def test_the_layer_that_cannot_be_short_gets_what_it_can() -> None:
    """And the numbers of each candidate alone are there for whoever asks why."""
    table = network(3)
    result = found(choices(table), measuring(noise_of(table, {"nn.conv2d#1": (0.02, 0.001)})))
    assert requests_of(result) == {
        "nn.conv2d#0": "cast float8_e4m3",
        "nn.conv2d#1": "cast float16",
        "nn.conv2d#2": "cast float8_e4m3",
    }
    assert len(result.sensitivities) == 6
    told = next(item for item in result.sensitivities if item.layer == "nn.conv2d#1")
    assert told.text.startswith("cast float8_e4m3 alone: snr 17.0 dB; saves")
    assert result.whole.error <= 1


def test_a_candidate_without_numbers_is_none() -> None:
    """Overflow in one layer costs that layer and no other."""
    table = network(3)
    result = found(choices(table), measuring(noise_of(table, {"nn.conv2d#2": (inf, inf)})))
    assert requests_of(result)["nn.conv2d#2"] is None
    assert requests_of(result)["nn.conv2d#0"] == "cast float8_e4m3"


def test_what_is_measured_decides_and_not_what_should_add_up() -> None:
    """Two layers that are harmless alone and break the model together are not taken together."""
    table = network(4)
    pair = {"nn.conv2d#1", "nn.conv2d#2"}
    measure = measuring(noise_of(table, {}), lambda changed: 1.0 if pair <= changed else 0.0)
    result = found(choices(table), measure)
    changed = {layer for layer, request in requests_of(result).items() if request}
    assert result.whole.error <= 1
    assert len(changed) == 3


def test_a_budget_that_the_model_does_not_keep_as_it_is_ends_the_search() -> None:
    """Before anything is measured of layers."""
    table = network(2)
    with pytest.raises(BudgetError, match="as it is"):
        found(choices(table), lambda _: Measured(error=2.0))


def test_a_target_that_is_native_in_nothing_leaves_nothing_to_choose() -> None:
    """And says for each request why."""
    with pytest.raises(BudgetError, match="int4"):
        found(choices(network(2), "cast int4"), lambda _: Measured(error=0.0))


def test_two_requests_in_one_text_are_refused() -> None:
    """The later one would decide, under the name of both, and no rules could be written of it."""
    with pytest.raises(RequestError, match="more than one request"):
        choices(network(2), "cast float8_e4m3, cast float16")


def test_the_same_measurements_give_the_same_answer() -> None:
    """Whatever Python hashes first; ties go by the order of the model."""
    table = network(6)
    noise = noise_of(table, {f"nn.conv2d#{number}": (0.004, 0.001) for number in range(6)})
    results = [found(choices(table), measuring(noise)).model_dump_json() for _ in range(3)]
    assert len(set(results)) == 1


@pytest.mark.parametrize("seed", range(30))
def test_the_cost_is_near_the_best_that_an_exact_solver_finds(seed: int) -> None:
    """Where noise adds up exactly: within a twentieth of all cost, and never beyond the budget."""
    draw = random.Random(seed)
    table = network(12)
    noise = noise_of(
        table,
        {
            layer.id: (short := 10 ** draw.uniform(-5, -1.5), short * 10 ** draw.uniform(-3, -0.5))
            for layer in table.layers
        },
    )
    choice = choices(table)
    result = found(choice, measuring(noise))
    assert result.whole.error <= 1
    assert result.cost <= exact(choice, noise) + 0.05


def exact(choice: Candidates, noise: Noise) -> float:
    """The lowest cost with at most so much noise: one candidate or none for each layer, by integer programming."""
    items = [(layer, item) for layer, found in choice.of.items() for item in found]
    saves = np.array([choice.as_it_was[layer] - item.cost for layer, item in items])
    noises = np.array([noise[layer, item.edit.dtype] for layer, item in items])
    once = np.array([[float(layer == other) for layer, _ in items] for other in choice.of])
    limits = LinearConstraint(np.vstack([noises, once]), ub=[0.01, *np.ones(len(choice.of))])
    solved = milp(-saves, constraints=limits, integrality=np.ones(len(items)), bounds=Bounds(0, 1))
    assert solved.success
    return 1 + solved.fun / choice.cost({})


def test_whoever_watches_may_end_it() -> None:
    """What the watcher raises comes out, and nothing more is measured."""
    measured = []

    def measure(plan: Plan) -> Measured:
        measured.append(plan)
        return Measured(error=0.0 if not plan.layers else 2.0, snr_db=10.0)

    def stop(tried: Tried) -> None:
        if tried.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(choices(network(3)), [BUDGET], measure, seed=0, compared=lambda: "outputs", on_try=stop)
    assert len(measured) == 3


def test_rates_are_those_of_the_table_or_as_elements_are_narrower() -> None:
    """An H200 was measured in float16 and int8; of float8 no number is known, of an A100 none at all."""
    hopper, ampere = find_target("cuda:sm_90a"), find_target("cuda:sm_80")
    assert (rate_of(hopper, "float16"), rate_of(hopper, "int8")) == (640, 1280)
    assert rate_of(hopper, "float8_e4m3fn") == 1280
    assert (rate_of(ampere, "float32"), rate_of(ampere, "bfloat16"), rate_of(ampere, "int8")) == (1, 2, 4)
