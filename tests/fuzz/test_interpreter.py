"""The reference interpreter agrees with what TVM compiles, operator by operator, and tells what it does not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import IRModule

from fuzz import network
from fuzz.campaign import case
from fuzz.interpreter import KERNELS, NoMeaning, evaluate, rounded
from fuzz.network import Network
from fuzz.properties import different, rounding
from fuzz.samples import flat
from fuzz.shrink import live

FORMS = {"item", "tuple", "alias"}


def alone() -> dict[str, Network]:
    """For each operator, the shortest way to it in the first networks."""
    found: dict[str, Network] = {}
    for seed in range(600):
        net, _ = case(seed)
        for place, step in enumerate(net.steps):
            short = live(replace(net, steps=net.steps[: place + 1], returns=step.name))
            known = found.get(step.op)
            if step.op not in FORMS and (known is None or len(short.steps) < len(known.steps)):
                found[step.op] = short
    return found


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    return alone()


@pytest.fixture(scope="module")
def machine(networks: dict[str, Network]) -> Any:
    """All of them compiled as one module, a function for each operator."""
    functions = {}
    for number, net in enumerate(networks.values()):
        main = network.build(net)["main"].without_attr("params")
        functions[f"f{number}"] = main.with_attr("global_symbol", f"f{number}")
    return relax.VirtualMachine(tvm.compile(IRModule(functions), "llvm"), tvm.cpu())


def test_every_operator_of_the_moves_means_what_tvm_compiles(networks: dict[str, Network], machine: Any) -> None:
    """Each operator once; all disagreements together."""
    assert len(networks) > 70
    disagreements = {}
    for number, (op, net) in enumerate(networks.items()):
        module = network.build(net)
        weights = [value.numpy() for value in module["main"].attrs["params"]]
        arrays = [*network.arguments(net, seed=1), *weights]
        result = machine[f"f{number}"](*map(tvm.runtime.tensor, arrays))
        if found := different(evaluate(module["main"], arrays), flat(result), 1e-4 * rounding(op)):
            disagreements[op] = found
    assert not disagreements


def test_what_no_kernel_knows_is_told() -> None:
    """An unknown operator is no silent zero."""
    x = relax.Var("x", relax.TensorType([4], "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.op.median(x)))
    assert "relax.median" not in KERNELS
    with pytest.raises(NoMeaning, match=r"relax\.median"):
        evaluate(builder.get()["main"], [np.zeros(4)])


def test_rounding_is_that_of_the_dtype() -> None:
    """To the nearest in floats, towards zero in integers; what does not fit wraps around, or is told."""
    assert rounded(np.array([1 / 3, 1e6]), "float16").tolist() == [0.333251953125, np.inf]
    assert rounded(np.array([-1.9, 1.9, 9.0]), "int4").tolist() == [-1, 1, -7]
    assert rounded(np.array([200]), "uint8").tolist() == [200]
    with pytest.raises(NoMeaning, match="int4 cannot hold"):
        rounded(np.array([9.0]), "int4", wraps=False)
