"""A module and the layers to tune in, tuning tasks out: one for each distinct kernel that those layers end up in.

A layer is named by its binding variable (`n168`). After fusion that name is gone wherever two kernels are equal, as TVM
keeps one of them. So the wanted layers are marked first, each with a kernel of its own, in a copy that is fused in the
same way; what the marks ended up in is then looked up among the kernels of the module as it will be built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tvm import relax, tirx
from tvm.ir import Call, IRModule
from tvm_ffi import structural_equal

from corecast.backends.build import try_each_layer
from corecast.backends.calls import called, called_kernel, kernels
from corecast.backends.pipeline import BuildError, fused, grouped, legalized, unrunnable
from corecast.backends.workloads import Workload, is_static, workloads
from corecast.lang.problems import CorecastError, Problem
from corecast.model import Target
from corecast.recipe import Tune
from corecast.report.activity import doing, one_by_one

# An attribute that keeps TVM from taking two equal kernels for one.
_MARK = "corecast.layer"


class TaskError(CorecastError):
    """A layer that shall be tuned and is no kernel in the compiled module."""


@dataclass(frozen=True)
class Task:
    """One kernel to tune, the layers that asked, and how often a run calls it.

    `runs` counts every call, also those of layers that did not ask: they get the same schedule. `trials` is the most
    that any layer asked for, or None where the tuner's own number will do.
    """

    workload: Workload
    layers: tuple[str, ...]
    runs: int
    trials: int | None

    @property
    def name(self) -> str:
        """The kernel's name in the built module."""
        return self.workload.name

    @property
    def function(self) -> tirx.PrimFunc:
        """What TVM made of it."""
        return self.workload.function


def tasks(module: IRModule, wanted: Mapping[str, Tune], target: Target) -> list[Task]:
    """Find the kernels that layers end up in.

    Args:
        module: as it will be built.
        wanted: the layers by their binding variables, with what they ask for.
        target: where the kernels shall run.

    Returns:
        One task for each distinct kernel, in the order in which the layers stand in the module.

    Raises:
        TaskError: where a layer has no kernel, or one of dynamic shape; it names every such layer.
        BuildError: where the module cannot be compiled for the target.
    """
    if problem := unrunnable(module, target):
        raise BuildError(problem)
    with doing("compiling", divisible=True):
        if one_by_one():
            try_each_layer(module, target)
        legal = legalized(module, target)
        built = fused(grouped(legal))
        known = workloads(module, legal)
    functions, runs = kernels(built), Counter(called(built["main"]))
    names = {layer: _name_of(function, functions) for layer, function in _kernels_of(legal, wanted)}
    if problems := [problem for layer in wanted if (problem := _objection(layer, names.get(layer), functions))]:
        raise TaskError(problems)
    layers_of: dict[str, list[str]] = {}
    for layer, name in names.items():
        layers_of.setdefault(str(name), []).append(layer)
    return [
        Task(known[name], tuple(layers), runs[name], _most_trials(wanted[layer] for layer in layers))
        for name, layers in layers_of.items()
    ]


def _kernels_of(legal: IRModule, wanted: Container[str]) -> Iterator[tuple[str, tirx.PrimFunc]]:
    """Each wanted layer that is a call of a kernel, with the kernel that it is part of after fusion."""
    copy, marks = marked(legal, wanted)
    groups = grouped(copy)
    group_of = {
        mark: group.name_hint
        for group, function in groups.functions_items()
        if isinstance(function, relax.Function) and group.name_hint != "main"
        for mark in called(function)
    }
    functions = kernels(fused(groups))
    for mark, layer in marks.items():
        yield layer, functions[group_of.get(mark, mark)].without_attr(_MARK)


def marked(legal: IRModule, wanted: Container[str]) -> tuple[IRModule, dict[str, str]]:
    """The module with a kernel of its own for each wanted layer, and the layers by the names of these kernels."""
    main, builder, marks = legal["main"], relax.BlockBuilder(legal), {}

    def mark(binding: relax.Binding) -> relax.Binding:
        kernel = called_kernel(binding.value)
        if kernel is None or binding.var.name not in wanted:
            return binding
        own = builder.add_func(legal[kernel].with_attr(_MARK, binding.var.name), kernel.name_hint)
        marks[own.name_hint] = binding.var.name
        call = binding.value
        return relax.VarBinding(binding.var, Call(call.op, [own, *call.args[1:]], call.attrs, call.ty_args))

    blocks = [type(block)([mark(binding) for binding in block.bindings]) for block in main.body.blocks]
    body = relax.SeqExpr(blocks, main.body.body)
    module = builder.get()
    module.update_func(
        module.get_global_var("main"), relax.Function(main.params, body, main.ret_ty, main.is_pure, main.attrs)
    )
    return relax.transform.Normalize()(module), marks  # without types on the new calls, TVM's fusion fails a check


def _name_of(function: tirx.PrimFunc, built: Mapping[str, tirx.PrimFunc]) -> str | None:
    """The name that an equal kernel has in the module as it is built."""
    return next((name for name, other in built.items() if structural_equal(function, other)), None)


def _most_trials(edits: Iterable[Tune]) -> int | None:
    return max((edit.trials for edit in edits if edit.trials is not None), default=None)


def _objection(layer: str, name: str | None, functions: Mapping[str, tirx.PrimFunc]) -> Problem | None:
    if name is None:
        help = "it may have been folded into a constant, or be no layer of this module"
        return Problem("no-task", f"`{layer}` cannot be tuned: the compiled module has no kernel for it", help=help)
    if not is_static(functions[name]):
        help = "load the model with static shapes"
        return Problem("no-task", f"`{layer}` cannot be tuned: its shapes are not static", help=help)
    return None
