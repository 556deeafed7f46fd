"""The harness sees what it is for: planted faults are found, shrunk to their core, and printed with their seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from fuzz.campaign import campaign, case
from fuzz.network import Network, Step, Tensor
from fuzz.rules import Rule, Ruleset
from fuzz.shrink import shrink

# The modules: their packages have functions of the same names.
fold = import_module("corecast.adapters.relax.fold")
recast = import_module("corecast.adapters.relax.recast")
decide = import_module("corecast.plan.decide")


def found(seeds: range) -> dict[str, Any]:
    """The findings of some seeds, by kind."""
    return {finding.kind: finding for finding in campaign(seeds, None, sample=0, seconds=10).findings}


def test_a_wrong_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight that is transposed the wrong way round, where both ways have one shape."""
    right = fold.EVALUATE["relax.permute_dims"]

    def wrong(call: Any, array: np.ndarray) -> np.ndarray:
        result = right(call, array)
        return result[::-1] if result.ndim == 4 and result.shape[0] > 1 else result

    monkeypatch.setitem(fold.EVALUATE, "relax.permute_dims", wrong)
    finding = found(range(20))["numbers"]
    assert len(finding.script.split("R.nn.conv2d(")) == 2, "shrunk to one convolution"
    assert finding.rules.count("set layout") == 1, "and to one request"
    assert str(finding).startswith("seed ")


def test_a_cast_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that stays in the dtype that it had."""
    monkeypatch.setattr(recast, "_computing_in", lambda attributes, _accumulator: attributes)
    assert any("Type annotations" in kind for kind in found(range(60))), "the IR says otherwise"


def test_a_plan_that_depends_on_chance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planned twice, and not alike."""
    lines = iter(range(10**6))
    right = decide.Decision

    def wrong(**fields: Any) -> Any:
        return right(**{**fields, "line": next(lines)})

    monkeypatch.setattr(decide, "Decision", wrong)
    assert "planned twice" in found(range(5))


def test_shrinking_keeps_what_a_failure_needs() -> None:
    """Of four steps and two rules, the ones that the failure depends on."""
    steps = (
        Step("a", "nn.relu", ("x",)),
        Step("b", "sigmoid", ("a",)),
        Step("c", "add", ("b", "w")),
        Step("d", "tanh", ("c",)),
    )
    net = Network({"x": Tensor((2, 3))}, {"w": Tensor((2, 3))}, steps, ("d", "b"))
    rules = Ruleset(("skip add",), (Rule("r0", "add", ("keep",)), Rule("r1", "nn.relu", ("keep", "optional"))))

    def fails(net: Network, rules: Ruleset) -> bool:
        return any(step.op == "add" for step in net.steps) and "r1" in str(rules)

    small, less = shrink(net, rules, fails, seconds=20)
    assert [step.op for step in small.steps] == ["add"]
    assert str(less) == "\nrule r1\n  match nn.relu\n"


def test_a_seed_gives_the_same_case_everywhere() -> None:
    """Whatever the hash seed of the process."""
    code = "import json; from fuzz.campaign import case; print(json.dumps([str(case(s)) for s in range(30)]))"
    paths = os.pathsep.join(path for path in sys.path if path)
    texts = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for seed in ("1", "2")
    ]
    assert texts[0] == texts[1] == [str(case(seed)) for seed in range(30)]
