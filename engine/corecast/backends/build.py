"""A module, a target and records in, something that runs on numpy arrays out.

Parameters stay arguments of what runs here: they are loaded once, and no weight is compiled in. Where the code shall go
elsewhere, `compiled` binds them (see `artifact.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.ir import IRModule, Var

from corecast.backends.alone import layers_alone
from corecast.backends.calls import kernels
from corecast.backends.cuda import compiling
from corecast.backends.host import device_of, tvm_target
from corecast.backends.pipeline import BuildError, fused, grouped, legalized, unrunnable, with_threads
from corecast.backends.records import Records
from corecast.backends.schedules import Emitted, placed
from corecast.backends.schedules.stored import code_of
from corecast.backends.workloads import Workload, workloads
from corecast.lang.problems import CorecastError, Problem
from corecast.model import Target
from corecast.report.activity import doing, note, one_by_one

Array = NDArray[np.generic]


class RunError(CorecastError):
    """Inputs or parameters that do not fit the compiled module."""


@dataclass(frozen=True)
class Executable:
    """A module compiled, the arguments that it takes in their order, its kernels, and those scheduled from records."""

    module: IRModule
    code: relax.VMExecutable
    target: Target
    arguments: tuple[Var, ...]
    kernels: tuple[str, ...]
    tuned: tuple[str, ...]


def build(module: IRModule, target: Target, records: Records | None = None) -> Executable:
    """Compile a module.

    Args:
        module: its `main` takes inputs and parameters as arguments.
        target: where it shall run, which is here.
        records: schedules to use for the kernels that they know; the others are TVM's unscheduled loops.

    Raises:
        BuildError: where the module could not run there, said before anything is compiled, or where TVM fails.
    """
    if problem := unrunnable(module, target):
        raise BuildError(problem)
    with doing("compiling", divisible=True):
        if one_by_one():
            try_each_layer(module, target)
        return compiled(module, target, records)


def compiled(
    module: IRModule,
    target: Target,
    records: Records | None = None,
    parameters: Mapping[str, Array] = MappingProxyType({}),
) -> Executable:
    """Compile a module for a target that need not be here, with some of its arguments bound to values.

    They are bound last, so that nothing is folded into kernels that are on record.

    Raises:
        BuildError: with the layer where TVM fails, where that can be found.
    """
    if records is not None and records.target != target:
        message = f"records for {records.target.name} cannot be used for {target.name}"
        raise BuildError(Problem("foreign-records", message, help="tune for this target"))
    try:
        return _compiled(module, target, records, parameters)
    except BuildError as error:
        name = next((name for name, alone in layers_alone(module) if not _compiles(alone, target)), None)
        raise (error.within(f"node {name}") if name else error) from error.__cause__


def _compiled(module: IRModule, target: Target, records: Records | None, parameters: Mapping[str, Array]) -> Executable:
    chip = tvm_target(target)
    try:
        legal = legalized(module, target)
        tuned = {} if records is None else _on_record(workloads(module, legal), records)
        plain = fused(grouped(legal))
        whole = with_threads(placed(plain, tuned, chip), target)
        if parameters:
            whole = relax.transform.BindParams("main", dict(parameters))(whole)
        with compiling(chip):
            code = tvm.compile(whole, chip)
    except CorecastError:
        raise
    except Exception as error:  # TVM raises several kinds, none of them its own
        raise BuildError.from_tvm(error, target) from error
    arguments = tuple(var for var in module["main"].params if var.name not in parameters)
    return Executable(module, code, target, arguments, tuple(kernels(plain)), tuple(tuned))


def _compiles(module: IRModule, target: Target) -> bool:
    try:
        _compiled(module, target, None, {})
    except BuildError:
        return False
    return True


def try_each_layer(module: IRModule, target: Target) -> None:
    """Compile each layer by itself, run it on zeros, and say which it is, for the case that native code dies of it."""
    for name, alone in layers_alone(module):
        with doing(f"layer `{name}` by itself"), suppress(Exception):
            runner = Runner(build(alone, target), {})
            runner(*(np.zeros([int(size) for size in var.ty.shape.values], str(var.ty.dtype)) for var in runner.inputs))


class Runner:
    """A compiled module with its parameters loaded: numpy arrays in, numpy arrays out, as often as one likes."""

    def __init__(self, executable: Executable, parameters: Mapping[str, Array]) -> None:
        """Load the parameters by name; the arguments that are no parameters are the inputs. Raises `RunError`."""
        self._device = device_of(executable.target)
        self._executable = executable
        self._machine = relax.VirtualMachine(executable.code, self._device)
        self._arguments = executable.arguments
        self.tuned = executable.tuned
        if strange := parameters.keys() - {var.name for var in self._arguments}:
            raise RunError(Problem("wrong-inputs", f"the module takes no {', '.join(sorted(strange))}"))
        self._parameters = {
            var.name: self._load(var, parameters[var.name]) for var in self._arguments if var.name in parameters
        }

    @property
    def inputs(self) -> tuple[Var, ...]:
        """The arguments that a run takes, in their order."""
        return tuple(var for var in self._arguments if var.name not in self._parameters)

    def __call__(self, *inputs: Array) -> list[Array]:
        """Run once; a tuple of results comes flat. Raises `RunError` for inputs that do not fit."""
        arguments = self._with_parameters(inputs)
        with doing("running", divisible=True):
            if one_by_one():
                try_each_layer(self._executable.module, self._executable.target)
                self._machine.set_instrument(_note_kernel)
            return list(_arrays(self._machine["main"](*arguments)))

    def seconds(self, *inputs: Array, repeats: int = 5) -> float:
        """The median time of one run over `repeats`, after one that does not count, without copies of inputs."""
        timer = self._machine.time_evaluator("main", self._device, number=1, repeat=repeats)
        return float(timer(*self._with_parameters(inputs)).median)

    def loaded(self, *inputs: Array) -> Callable[[], None]:
        """A function that runs once and waits for the device, on inputs that are loaded once. Raises `RunError`."""
        arguments, main = self._with_parameters(inputs), self._machine["main"]

        def run() -> None:
            main(*arguments)
            self._device.sync()

        return run

    def observed(self, *inputs: Array, instrument: Callable[..., None]) -> Callable[[], None]:
        """The same on a machine of its own, which calls `instrument` before and after each call that it makes."""
        machine = relax.VirtualMachine(self._executable.code, self._device)
        machine.set_instrument(instrument)
        arguments = self._with_parameters(inputs)
        return lambda: machine["main"](*arguments) and None

    def synchronize(self) -> None:
        """Wait until the device has done what it was asked for."""
        self._device.sync()

    def _with_parameters(self, inputs: Sequence[Array]) -> list[Any]:
        if len(inputs) != len(self.inputs):
            names = ", ".join(var.name for var in self.inputs)
            raise RunError(Problem("wrong-inputs", f"{len(inputs)} inputs were given, and the model takes {names}"))
        given = {var.name: self._load(var, array) for var, array in zip(self.inputs, inputs, strict=True)}
        return [(self._parameters | given)[var.name] for var in self._arguments]

    def _load(self, var: Var, array: Array) -> Any:
        if not _fits(array, var.ty):
            message = f"`{var.name}` is {var.ty}, and a {array.dtype} array of {array.shape} was given"
            raise RunError(Problem("wrong-inputs", message))
        # Not `ascontiguousarray`, which makes a vector of a scalar.
        return tvm.runtime.tensor(np.asarray(array, order="C"), self._device)


def _note_kernel(_function: Any, name: str, is_before: bool, *_: Any) -> None:
    if is_before:
        note(f"kernel {name}")


def _fits(array: Array, ty: relax.TensorType) -> bool:
    if ty.dtype is not None and str(array.dtype) != str(ty.dtype):
        return False
    if not isinstance(ty.shape, relax.ShapeExpr):
        return True
    return len(ty.shape.values) == array.ndim and all(
        not isinstance(size, tirx.IntImm) or int(size) == given
        for size, given in zip(ty.shape.values, array.shape, strict=True)
    )


def _arrays(result: Any) -> Iterator[Array]:
    if isinstance(result, tvm.runtime.Tensor):
        yield result.numpy()
    else:
        for part in result:
            yield from _arrays(part)


def _on_record(kernels: Mapping[str, Workload], records: Records) -> dict[str, Emitted]:
    """The code of each kernel that is on record."""
    known = {name: records.find(workload) for name, workload in kernels.items()}
    return {name: code_of(each.schedule, kernels[name], records.target) for name, each in known.items() if each}
