"""A module of several functions in; the one to convert under the name `main`, and all the others beside it.

The functions that it calls are written out in it, so that their layers are layers of the model. The others stay as they
are, and come back into one module with it at the end (`joined`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tvm import relax
from tvm.ir import BaseFunc, GlobalVar, IRModule

from corecast.adapters.relax.model import MAIN, Model, ModelError
from corecast.lang.problems import nearest

# A function with one of these is compiled as a whole, perhaps by another compiler: its body is none of ours.
_CLOSED = ("Codegen", "Composite", "Primitive")

Functions = Mapping[GlobalVar, BaseFunc]


class Separated(NamedTuple):
    """A function's name, a module of it (as `main`) and of what it calls, and one of all that is left, or None."""

    function: str
    module: IRModule
    others: IRModule | None


def separate(module: IRModule, wanted: str | None = None) -> Separated:
    """Take one function out of a module.

    Args:
        module: any Relax module; it is not changed.
        wanted: the function's name; without one, `main`, or the only public function that there is.

    Raises:
        ModelError: where the function cannot be chosen, calls itself, or is called by another one.
    """
    functions = dict(module.functions_items())
    chosen = _chosen(functions, wanted)
    name = chosen.name_hint
    if callers := sorted(var.name_hint for var, function in functions.items() if chosen in _calls(function)):
        message = f"`{name}` is called by `{'`, `'.join(callers)}`, which does not pass its weights"
        raise ModelError.of("called-function", message, f"convert the caller: `--function {callers[0]}`")
    main = _written_out(chosen, functions)
    if len(functions) == 1 and name == MAIN:
        return Separated(name, module, None)
    before, now = _reachable([functions[chosen]], functions), _reachable([main], functions)
    public = [var for var, function in functions.items() if var != chosen and _is_public(function)]
    elsewhere = {*public, *_reachable([functions[var] for var in public], functions)}
    # What only the chosen function called, and what is written out in it now, goes with it.
    others = {var: functions[var] for var in functions if var != chosen and (var in elsewhere or var not in before)}
    own = {GlobalVar(MAIN): main.with_attr("global_symbol", MAIN), **{var: functions[var] for var in now}}
    return Separated(name, _module(own, module), _module(others, module) if others else None)


def others_of(model: Model) -> list[str]:
    """The names of the public functions that are left as they are."""
    others = model.others.functions_items() if model.others is not None else ()
    return sorted(var.name_hint for var, function in others if _is_public(function))


def joined(model: Model) -> IRModule:
    """One module again: the function under its own name, and the others as they were."""
    if model.others is None and model.function == MAIN:
        return model.module
    functions = dict(model.others.functions_items()) if model.others is not None else {}
    for var, function in model.module.functions_items():
        if var.name_hint == MAIN:
            functions[GlobalVar(model.function)] = function.with_attr("global_symbol", model.function)
        else:
            functions[var] = function
    return _module(functions, model.module)


def _chosen(functions: Functions, wanted: str | None) -> GlobalVar:
    choice = {var.name_hint: var for var, function in functions.items() if isinstance(function, relax.Function)}
    public = [name for name, var in choice.items() if _is_public(functions[var])]
    listed = f"its functions are {', '.join(f'`{name}`' for name in sorted(public))}" if public else "it has none"
    if wanted is not None and wanted not in choice:
        help = nearest(wanted, choice) or listed
        raise ModelError.of("no-function", f"the module has no Relax function `{wanted}`", help)
    if wanted is None and MAIN not in choice and len(public) != 1:
        help = f"{listed}: choose one with `--function NAME`" if public else listed
        raise ModelError.of("no-main", "the module has no Relax function `main`", help)
    return choice[wanted or (MAIN if MAIN in choice else public[0])]


def _written_out(chosen: GlobalVar, functions: Functions) -> relax.Function:
    """The function with the bodies of the Relax functions that it calls, and of those that they call."""
    main = functions[chosen]
    while bodies := {var: functions[var] for var in _calls(main) if _is_open(functions[var])}:
        for var, body in bodies.items():
            if var in _reachable([body], functions) or chosen in _calls(body):
                message = f"`{var.name_hint}` calls itself, and a loop has no layers that could be counted"
                raise ModelError.of("recursive", message)
        main = main.inline_functions(bodies)
    return main


def _is_open(function: BaseFunc) -> bool:
    attributes = function.attrs or {}
    return isinstance(function, relax.Function) and not any(mark in attributes for mark in _CLOSED)


def _is_public(function: BaseFunc) -> bool:
    return isinstance(function, relax.Function) and bool(function.attrs) and "global_symbol" in function.attrs


def _reachable(roots: list[BaseFunc], functions: Functions) -> set[GlobalVar]:
    found: set[GlobalVar] = set()
    waiting = list(roots)
    while waiting:
        for var in _calls(waiting.pop()):
            if var in functions and var not in found:
                found.add(var)
                waiting.append(functions[var])
    return found


def _calls(function: BaseFunc) -> set[GlobalVar]:
    """The functions of the module that a function calls or hands on."""
    return set(relax.analysis.all_global_vars(function)) if isinstance(function, relax.Function) else set()


def _module(functions: Functions, source: IRModule) -> IRModule:
    return IRModule(functions, attrs=source.attrs, global_infos=source.global_infos)
