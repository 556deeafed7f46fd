"""A program of `torch.export` in; the module as TVM imports it out, and a name for what each of its nodes became.

The only file that needs PyTorch. A binding is called after the module that computed it (`encoder.layers.0.conv`), and
where the program does not say, after the node of its graph. What TVM's importer computes in float32 whatever the
program says (products and convolutions) is rounded to the dtype that the node has in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvm import relax
from tvm.ir import Call, IRModule, Var

from corecast.adapters.relax.importer import binding_names
from corecast.adapters.relax.model import MAIN, ModelError
from corecast.adapters.relax.one_builder import ONE_BUILDER
from corecast.adapters.relax.tensors import dtype_of
from corecast.adapters.source import last_line


def is_exported(source: Any) -> bool:
    """Whether this is a program in memory; asked without PyTorch, which is there if it is one."""
    return any((base.__module__, base.__name__) == _PROGRAM for base in type(source).__mro__)


_PROGRAM = ("torch.export.exported_program", "ExportedProgram")


def read_exported(path: Path) -> Any:
    """The program in a `.pt2` file. Raises `ModelError`."""
    try:
        import torch
    except ImportError:
        help = "pip install 'corecast[torch]'"
        raise ModelError.of(
            "needs-torch", f"{path} is an exported program, and PyTorch is not installed", help
        ) from None
    try:
        return torch.export.load(path)
    except Exception as error:  # PyTorch raises whatever its reader met
        message = f"{path} is no program that this PyTorch reads: {_reason(error)}"
        raise ModelError.of("not-a-model", message, "export it again with this PyTorch") from error


def import_exported(program: Any) -> tuple[IRModule, dict[Var, str]]:
    """The module of a program, and names for its bindings. Raises `ModelError`."""
    from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

    try:
        program = program.run_decompositions()
    except Exception as error:
        message = f"PyTorch cannot decompose this program: {_reason(error)}"
        raise ModelError.of("not-a-model", message, "export it again with this PyTorch") from error
    labels: dict[Any, str] = {}
    at = ["its inputs"]

    class Importer(ExportedProgramImporter):  # type: ignore[misc]
        """TVM's importer, looked at while it works."""

        @property
        def block_builder(self) -> relax.BlockBuilder:
            return self._builder

        @block_builder.setter
        def block_builder(self, builder: relax.BlockBuilder | None) -> None:
            self._builder = builder and RoundingBuilder()

        def create_convert_map(self) -> dict[str, Any]:
            return {op: self._named(op, convert) for op, convert in super().create_convert_map().items()}

        def _named(self, op: str, convert: Callable[..., Any]) -> Callable[..., Any]:
            def converted(node: Any, *others: Any) -> Any:
                at[0] = f"{op} (node `{node.name}`)"
                result = convert(node, *others)
                if isinstance(result, Var):
                    labels.setdefault(result, _name_of(node))
                return result

            return converted

        def refuse_unknown(self, nodes: Any) -> None:
            called = (node.target.__name__ for node in nodes if node.op == "call_function")
            if unknown := sorted({name for name in called if name not in self.convert_map}):
                message = f"TVM's PyTorch frontend does not take {', '.join(unknown)}"
                raise ModelError.of("unsupported-operators", message, "export the model with other operators")

    try:
        importer = Importer()
        importer.refuse_unknown(program.graph.nodes)
        with ONE_BUILDER:
            module = importer.from_exported_program(
                program,
                keep_params_as_input=True,
                unwrap_unit_return_tuple=False,
                no_bind_return_tuple=False,
                custom_convert_map=None,
            )
    except ModelError:
        raise
    except Exception as error:
        message = f"TVM's PyTorch frontend fails at {at[0]}: {_reason(error)}"
        raise ModelError.of(
            "import", message, "an unusual form of an operator can often be exported otherwise"
        ) from error
    return module, binding_names(module[MAIN], labels)


class RoundingBuilder(relax.BlockBuilder):  # type: ignore[misc]
    """A block builder for TVM's importer, which asks for float32 as the result of every product and convolution.

    They do sum in float32, and what they hand on is rounded to the dtype of their operands, as PyTorch does.
    """

    def emit(self, expr: Any, name_hint: str = "") -> Var:
        result = super().emit(expr, name_hint)
        if not isinstance(expr, Call) or getattr(expr.attrs, "out_dtype", None) != "float32":
            return result
        dtype = dtype_of(expr.args[0].ty)
        return super().emit(relax.op.astype(result, dtype)) if dtype in {"float16", "bfloat16"} else result


def _name_of(node: Any) -> str:
    """The path of the module that a node stands for, if the program still says so."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path or str(node.name)


def _reason(error: Exception) -> str:
    """The end of a message: where TVM prints an operator in full before it says what it wants of it, without that."""
    return last_line(error).rpartition(") requires ")[2]
