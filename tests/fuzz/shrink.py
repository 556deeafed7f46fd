"""A failing case in, a smaller one that fails alike out: steps, results and rules are taken away greedily."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from typing import Any

from tvm import relax, tirx

from fuzz.grow import read_names
from fuzz.network import Network, Step, Tensor, build, leaves
from fuzz.rules import Ruleset

# Whether a case fails in the way that is looked for.
Fails = Callable[[Network, Ruleset], bool]


def shrink(net: Network, rules: Ruleset, fails: Fails, seconds: float = 60.0) -> tuple[Network, Ruleset]:
    """Take away what can go while the case goes on failing."""
    until = monotonic() + seconds
    while monotonic() < until:
        for fewer, less in _smaller(net, rules):
            if monotonic() > until:
                break
            if _fails(fails, fewer, less):
                net, rules = fewer, less
                break
        else:
            break
    return net, rules


def _fails(fails: Fails, net: Network, rules: Ruleset) -> bool:
    """A case that cannot even be built does not fail in the wanted way."""
    try:
        return fails(net, rules)
    except Exception:
        return False


def _smaller(net: Network, rules: Ruleset) -> Iterator[tuple[Network, Ruleset]]:
    for less in rules.smaller():
        yield net, less
    for fewer in smaller(net):
        yield fewer, rules


def smaller(net: Network) -> Iterator[Network]:
    """The network with one thing less."""
    # Everything behind a step goes, and the step is the result.
    for place in range(len(net.steps) - 1):
        yield live(replace(net, steps=net.steps[: place + 1], returns=net.steps[place].name))
    names = leaves(net.returns)
    if len(names) > 1:
        for name in dict.fromkeys(names):
            yield live(replace(net, returns=name))
        for place in range(len(names)):
            yield live(replace(net, returns=tuple(names[:place] + names[place + 1 :])))
    elif not isinstance(net.returns, str):
        yield replace(net, returns=names[0])
    # What a step made is replaced by one of its operands; where that is not of the same type, the case cannot be built.
    for place, step in enumerate(net.steps):
        for name in dict.fromkeys(read_names(step.operands)):
            rest = [_reading(step.name, name, later) for later in net.steps[place + 1 :]]
            returns = _renamed(net.returns, step.name, name)
            yield live(replace(net, steps=(*net.steps[:place], *rest), returns=returns))
    # What came before a step is replaced by an argument.
    types = _types(net)
    for place, step in enumerate(net.steps):
        if place and step.name in types:
            arguments = {**net.arguments, f"cut_{step.name}": types[step.name]}
            steps = tuple(_reading(step.name, f"cut_{step.name}", later) for later in net.steps[place + 1 :])
            returns = _renamed(net.returns, step.name, f"cut_{step.name}")
            yield live(replace(net, arguments=arguments, steps=(*net.steps[:place], *steps), returns=returns))
    for name, tensor in net.weights.items():
        if tensor.constant:
            yield replace(net, weights={**net.weights, name: replace(tensor, constant=False)})
    if not net.is_dataflow:
        yield replace(net, is_dataflow=True)


def _types(net: Network) -> dict[str, Tensor]:
    """The types of the steps that make a float32 tensor of static shape."""
    bindings = build(net)["main"].body.blocks[0].bindings
    types = {}
    for step, binding in zip(net.steps, bindings, strict=True):
        ty = binding.var.ty
        if isinstance(ty, relax.TensorType) and ty.dtype == "float32" and isinstance(ty.shape, relax.ShapeExpr):
            sizes = list(ty.shape.values)
            if all(isinstance(size, tirx.IntImm) for size in sizes):
                types[step.name] = Tensor(tuple(map(int, sizes)))
    return types


def _reading(old: str, new: str, step: Step) -> Step:
    return replace(step, operands=_renamed(step.operands, old, new))


def _renamed(nest: Any, old: str, new: str) -> Any:
    if isinstance(nest, tuple):
        return tuple(_renamed(part, old, new) for part in nest)
    return new if nest == old else nest


def live(net: Network) -> Network:
    """The network without what nobody reads."""
    read = set(leaves(net.returns))
    steps = []
    for step in reversed(net.steps):
        if step.name in read:
            steps.append(step)
            read.update(read_names(step.operands))
    arguments = {name: tensor for name, tensor in net.arguments.items() if name in read} or dict(net.arguments)
    weights = {name: tensor for name, tensor in net.weights.items() if name in read}
    return replace(net, arguments=arguments, weights=weights, steps=tuple(reversed(steps)))
