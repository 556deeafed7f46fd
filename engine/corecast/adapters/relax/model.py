"""The model as this adapter holds it: a Relax module without weights, and the weights as numpy arrays beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from corecast.adapters.source import ModelError, Origin
from corecast.adapters.weights_file import Array

__all__ = ["FEW", "MAIN", "Array", "Model", "ModelError", "Origin"]

# Constants up to this many elements stay in the module: epsilons, bounds, small shapes. Larger ones are weights.
FEW = 16

# What the function that is converted is called here, whatever its module calls it.
MAIN = "main"


@dataclass(frozen=True)
class Model:
    """A module whose `main` takes the real inputs first and then one argument for each parameter, in their order.

    The attribute `num_input` of `main` counts the real inputs. Binding variables carry the source model's node names.
    `module` holds `main` and what it calls; `function` is what `main` was called in the module that it came from, and
    `others` are the functions of that module which stay as they are.
    """

    module: IRModule
    parameters: Mapping[str, Array]
    name: str
    origin: Origin | None = None
    function: str = MAIN
    others: IRModule | None = None

    @property
    def main(self) -> relax.Function:
        return self.module[MAIN]

    @property
    def inputs(self) -> tuple[relax.Var, ...]:
        """The variables of the real inputs; each has a name and a type (`ty`)."""
        return tuple(self.main.params[: len(self.main.params) - len(self.parameters)])

    @property
    def weights(self) -> tuple[relax.Var, ...]:
        """The variables of the parameters."""
        return tuple(self.main.params[len(self.main.params) - len(self.parameters) :])

    @property
    def weights_digest(self) -> str:
        """`sha256:...` over the names, dtypes, shapes and bytes of all parameters."""
        digest = hashlib.sha256()
        for name, array in self.parameters.items():
            digest.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return f"sha256:{digest.hexdigest()}"

    def with_main(self, main: relax.Function, parameters: Mapping[str, Array]) -> Model:
        """The same model with another `main`; other functions of the module stay."""
        module = self.module.clone()
        module.update_func(module.get_global_var(MAIN), main)
        return replace(self, module=module, parameters=parameters)
