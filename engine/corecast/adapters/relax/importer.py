"""An ONNX model in; what TVM's frontend makes of it out, each binding with the name of the ONNX node that it came from.

Relax has no layer names, so the name of the binding variable is our carrier: it is printed (`n168 = R.nn.conv2d(...)`),
it survives TVM's passes, and the survey reads a layer's `source` from it.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onnx import GraphProto, ModelProto
from tvm import relax
from tvm.ir import Call, IRModule, Var
from tvm.relax.frontend.onnx import onnx_frontend

from corecast.adapters.onnx.file import refuse_old
from corecast.adapters.relax.model import ModelError
from corecast.adapters.relax.one_builder import ONE_BUILDER
from corecast.adapters.relax.operators import OperatorBuilder
from corecast.adapters.relax.rebuild import Names, bindings_of, reads
from corecast.lang.problems import Problem, nearest

# Calls that only change how a tensor is seen: a node is named after what it computes, not after these.
_VIEWS = {f"relax.{op}" for op in ("permute_dims", "reshape", "expand_dims", "squeeze", "astype", "broadcast_to")}


def import_onnx(
    model: ModelProto, shapes: Mapping[str, Sequence[int]]
) -> tuple[IRModule, dict[Var, str], dict[Any, str]]:
    """The module as TVM imports it, a name for each binding variable, and the name of each expression that has one."""
    _check(model, shapes)
    importer = _Importer(model.graph, shapes)
    module = importer.run(_opset(model))
    labels = importer.labels()
    return module, binding_names(module["main"], labels), labels


def _check(model: ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
    refuse_old(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    for name in shapes:
        if name not in inputs:
            raise ModelError.of(
                "unknown-input",
                f"the model has no input `{name}`",
                nearest(name, inputs) or f"its inputs are {', '.join(f'`{known}`' for known in inputs)}",
            )
    unknown = sorted(set(_operators(model.graph)) - onnx_frontend._get_convert_map().keys() - {"If", "Constant"})
    if unknown:
        raise ModelError.of(
            "unsupported-operators",
            f"TVM's ONNX frontend does not take {', '.join(unknown)}",
            "simplify the model or export it with other operators",
        )


def _operators(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _operators(attribute.g)


def _opset(model: ModelProto) -> int:
    return next((int(opset.version) for opset in model.opset_import if opset.domain in {"", "ai.onnx"}), 1)


class _Importer(onnx_frontend.ONNXGraphImporter):  # type: ignore[misc]
    """TVM's importer, held on to: it knows which expression each ONNX value became."""

    def __init__(self, graph: GraphProto, shapes: Mapping[str, Sequence[int]]) -> None:
        super().__init__(
            {name: list(shape) for name, shape in shapes.items()},
            "float32",
            keep_params_in_input=True,
            # Names are ours to keep: TVMScript spells `/` and `.` as `_` when it prints.
            sanitize=False,
        )
        self.bb = OperatorBuilder()
        self._graph = graph
        self._at = ""

    def run(self, opset: int) -> IRModule:
        # The importer prints what went wrong, and warns of much that nobody can act on.
        with ONE_BUILDER, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                module = self.from_onnx(self._graph, opset)
            except Exception as error:
                help = "check the model with onnx.checker; an unusual form of a node can often be simplified away"
                problem = Problem("import", self._reason(error), help=help, place=self._at or None)
                raise ModelError(problem) from error
        for warning in caught:
            if "unknown" in str(warning.message):  # a dynamic input: the reader may want to give its shape
                warnings.warn(str(warning.message), stacklevel=4)
        return module

    def _reason(self, error: Exception) -> str:
        if isinstance(error, KeyError):
            return f"a node reads `{error.args[0]}`, which the graph does not define"
        lines = str(error).strip().splitlines()
        return f"TVM's ONNX frontend fails: {lines[-1] if lines else type(error).__name__}"

    def _convert_operator(self, op_name: str, inputs: Any, attrs: dict[str, Any], opset: int) -> Any:
        self._at = f"node {name} ({op_name})" if (name := attrs["tvm_custom"]["name"]) else f"a node {op_name}"
        if op_name == "Expand":
            # An initializer is an argument of the function, and its values would be taken for an open shape.
            inputs[1] = onnx_frontend.get_constant(inputs[1], [self._nodes, self._params])
        return super()._convert_operator(op_name, inputs, attrs, opset)

    def labels(self) -> dict[Any, str]:
        """For each expression that is an ONNX value, the name of the node that made it."""
        labels: dict[Any, str] = {}
        for node in self._graph.node:
            for output in node.output:
                if output in self._nodes:
                    # An `Identity` shares the expression of its input, which keeps the first name.
                    labels.setdefault(self._nodes[output], node.name or node.output[0])
        return labels


def binding_names(main: relax.Function, labels: Mapping[Any, str]) -> dict[Var, str]:
    """A name for every binding: its node's for the call that does the node's work, with a suffix for the others."""
    groups: dict[str, list[relax.Binding]] = defaultdict(list)
    owners = _owners(main, labels)
    for binding in bindings_of(main):
        groups[owners.get(binding.var, binding.var.name)].append(binding)
    on_data = _on_data(main)
    fresh = Names(var.name for var in main.params)
    chief = {label: _chief(bindings, on_data) for label, bindings in groups.items()}
    names = {binding.var: fresh.fresh(label) for label, binding in chief.items()}
    for label, bindings in groups.items():
        names.update((binding.var, fresh.fresh(label)) for binding in bindings if binding.var not in names)
    return names


def _owners(main: relax.Function, labels: Mapping[Any, str]) -> dict[Var, str]:
    """Each binding belongs to the node whose value it is; else to its first reader's node; else to what it reads.

    The importer binds a node's last call only when it is first read, so places alone do not tell.
    """
    owners: dict[Var, str] = {}
    bindings = list(bindings_of(main))
    for binding in reversed(bindings):
        label = labels.get(binding.var) or labels.get(binding.value) or owners.get(binding.var)
        if label is not None:
            owners[binding.var] = label
            for var in reads(binding.value):
                owners[var] = label
    for binding in bindings:
        if binding.var not in owners and not _is_output_tuple(binding):
            found = next((owners[var] for var in reads(binding.value) if var in owners), None)
            if found is not None:
                owners[binding.var] = found
    return owners


def _is_output_tuple(binding: relax.Binding) -> bool:
    return not isinstance(binding.var, relax.DataflowVar) and not isinstance(binding.value, Call)


def _on_data(main: relax.Function) -> set[Var]:
    """The variables that depend on a real input, and not on weights alone."""
    known = set(main.params[: int(main.attrs["num_input"])])
    for binding in bindings_of(main):
        if any(var in known for var in reads(binding.value)):
            known.add(binding.var)
    return known


def _chief(bindings: Sequence[relax.Binding], on_data: set[Var]) -> relax.Binding:
    """Of a node's bindings the first call that computes on data; else the last, which is the node's value."""
    return next(
        (
            binding
            for binding in bindings
            if isinstance(binding.value, Call)
            and binding.var in on_data
            and getattr(binding.value.op, "name", None) not in _VIEWS
        ),
        bindings[-1],
    )
