"""Modules of TVM itself: saved as JSON and in memory, several functions, weights as constants and as parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tvm
from models.specimen import Specimen
from tvm import relax
from tvm.ir import IRModule
from tvm.relax.frontend import nn


class Residual(nn.Module):
    """A stem, four residual blocks and a classifier, in TVM's own `nn`."""

    def __init__(self, channels: int = 32, blocks: int = 4, classes: int = 10) -> None:
        self.stem = nn.Conv2D(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList([_Block(channels) for _ in range(blocks)])
        self.head = nn.Linear(channels * 16, classes)

    def forward(self, image: nn.Tensor) -> nn.Tensor:
        data = nn.relu(self.stem(image))
        for block in self.blocks:
            data = block(data)
        return self.head(nn.reshape(data, (image.shape[0], -1)))

    def features(self, image: nn.Tensor) -> nn.Tensor:
        """The first half alone: a second public function with weights of its own."""
        return nn.relu(self.stem(image))


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        self.wide = nn.Conv2D(channels, 2 * channels, 3, padding=1)
        self.narrow = nn.Conv2D(2 * channels, channels, 1)

    def forward(self, data: nn.Tensor) -> nn.Tensor:
        return nn.relu(data + self.narrow(nn.silu(self.wide(data))))


def _module(*names: str, dtype: str = "float32") -> IRModule:
    """The network with a function for each name and seeded weights attached to each."""
    network = Residual()
    network.to(dtype)
    image = {"image": nn.spec.Tensor([1, 3, 4, 4], dtype)}
    module, parameters = network.export_tvm(spec=dict.fromkeys(names, image))
    random = np.random.default_rng(0)
    values = {name: _values(random, variable.shape) for name, variable in parameters}
    for name in names:
        function = module[name]
        attached = [tvm.runtime.tensor(values[var.name].astype(dtype)) for var in function.params[1:]]
        module.update_func(
            module.get_global_var(name), function.with_attr("params", attached).with_attr("num_input", 1)
        )
    return module


def _values(random: np.random.Generator, shape: list[int]) -> np.ndarray:
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 400
    return random.standard_normal(shape) / np.sqrt(fan_in)


def _with_constants() -> IRModule:
    """The same with its weights inside, as `BindParams` leaves it."""
    module = _module("forward")
    function = module["forward"]
    bound = dict(zip(function.params[1:], function.attrs["params"], strict=True))
    plain = function.without_attr("params").without_attr("num_input").with_attr("global_symbol", "main")
    return relax.transform.BindParams("main", bound)(IRModule({"main": plain}))


def _saved(folder: Path) -> Path:
    path = folder / "module.json"
    path.write_text(tvm.ir.save_json(_module("forward", "features")))
    return path


def specimens() -> list[Specimen]:
    return [
        Specimen("weights as constants", "IRModule", lambda _: _with_constants(), cheap=True),
        Specimen("weights as parameters", "IRModule", lambda _: _module("forward"), layout="hwnc", cheap=True),
        Specimen("one of two functions", "Relax JSON", _saved, function="forward", cheap=True),
        Specimen("float16 throughout", "IRModule", lambda _: _module("forward", dtype="float16"), cheap=True),
    ]
