"""Programs of `torch.export`: converted like any other model; skipped where PyTorch is not installed."""

from __future__ import annotations

import builtins
import zipfile

import numpy as np
import pytest

from corecast.adapters.relax import ModelError, apply, load, prepare, survey
from corecast.api import Source, plan, read_recipe


def test_an_exported_program_is_converted_and_computes_the_same(tmp_path, assert_agree):
    """Weights keep the names that torch gave them; batch norm goes into the convolution."""
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra: pip install 'corecast[torch]'")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = torch.nn.Conv2d(3, 16, 3, padding=1)
            self.norm = torch.nn.BatchNorm2d(16)
            self.body = torch.nn.Conv2d(16, 32, 3, padding=1)

        def forward(self, image):
            return self.body(torch.relu(self.norm(self.stem(image)))).mean((2, 3))

    torch.manual_seed(0)
    program = torch.export.export(Network().eval(), (torch.randn(2, 3, 16, 16),))
    torch.export.save(program, tmp_path / "network.pt2")
    original = load(tmp_path / "network.pt2")
    prepared = prepare(original)
    table = survey(prepared)
    assert [layer.name for layer in table.by_op["nn.conv2d"]] == ["p_stem_weight", "p_body_weight"]
    assert "nn.batch_norm" not in table.by_op
    recipe = read_recipe(Source("case.rules", "match nn.conv2d, set layout HWNC"), table)
    conversion = apply(plan(recipe, table), prepared)
    assert_agree(original, conversion.converted)
    assert np.isfinite(conversion.converted.parameters["p_stem_weight"]).all()


def test_without_pytorch_the_extra_is_named(tmp_path, monkeypatch):
    """Everything else works without it."""
    path = tmp_path / "network.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("version", "0")
    original = builtins.__import__

    def without_torch(name, *rest):
        if name == "torch":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(ModelError, match=r"corecast\[torch\]"):
        load(path)
