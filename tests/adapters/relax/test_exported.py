"""Programs of `torch.export`: converted like any other model; skipped where PyTorch is not installed."""

from __future__ import annotations

import builtins
import zipfile

import ml_dtypes
import numpy as np
import pytest

from corecast.adapters.relax import ModelError, apply, emulate, load, prepare, survey
from corecast.api import Source, plan, read_recipe
from corecast.backends import Runner, build
from corecast.model import find_target
from corecast.verify import inputs_for


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
    assert [layer.source for layer in table.by_op["nn.conv2d"]] == ["stem", "body"]
    assert "nn.batch_norm" not in table.by_op
    recipe = read_recipe(Source("case.rules", "match nn.conv2d, set layout HWNC"), table)
    conversion = apply(plan(recipe, table), prepared)
    assert_agree(original, conversion.converted)
    assert np.isfinite(conversion.converted.parameters["p_stem_weight"]).all()


def test_a_program_in_memory_is_taken_as_from_its_file(exported):
    """It has no file to be loaded from again, and says so."""
    torch, write = exported
    network = torch.nn.Conv2d(3, 4, 3)
    inputs = (torch.randn(1, 3, 8, 8),)
    from_file = load(write(network, *inputs))
    in_memory = load(torch.export.export(network.eval(), inputs))
    assert survey(in_memory).fingerprint == survey(from_file).fingerprint
    assert in_memory.origin is None
    assert in_memory.parameters.keys() == from_file.parameters.keys()


@pytest.fixture
def exported(tmp_path):
    """Write a module of PyTorch as a program, by example inputs."""
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra: pip install 'corecast[torch]'")

    def write(module, *inputs, **options):
        program = torch.export.export(module.eval(), inputs, **options)
        torch.export.save(program, tmp_path / "program.pt2")
        return tmp_path / "program.pt2"

    return torch, write


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_program_in_half_precision_is_in_half_precision(exported, dtype):
    """TVM's importer asks for float32 as the result of every product; what follows would compute in it, or not fit."""
    torch, write = exported
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 4)
    )
    data = torch.randn(1, 3, 8, 8)
    half = getattr(torch, dtype)
    model = load(write(network.to(half), data.to(half)))
    assert {result.dtype for result in (operand.type for operand in survey(model).returns)} == {dtype}
    expected = network(data.to(half)).detach().float().numpy()
    carried = emulate(model)
    [found] = Runner(build(carried.module, find_target("llvm")), carried.parameters)(as_array(data, dtype))
    np.testing.assert_allclose(found.astype("float32"), expected, rtol=0, atol=2e-2 * np.abs(expected).max())


def as_array(data, dtype: str) -> np.ndarray:
    return data.numpy().astype(getattr(ml_dtypes, dtype, dtype))


def test_an_operator_that_tvm_does_not_take_is_named(exported):
    """All of them, and not the first alone."""
    torch, write = exported

    class Spectrum(torch.nn.Module):
        def forward(self, image):
            return torch.linalg.inv(torch.fft.rfft(image).abs()[..., :8])

    with pytest.raises(ModelError, match=r"_fft_r2c\.default, linalg_inv_ex\.default") as error:
        load(write(Spectrum(), torch.randn(1, 8, 16)))
    assert error.value.problems[0].slug == "unsupported-operators"


def test_an_open_batch_stays_open(exported):
    """In the plan too; a check makes up a size."""
    torch, write = exported
    batch = torch.export.Dim("batch", min=1, max=64)
    path = write(torch.nn.Conv2d(3, 8, 3), torch.randn(2, 3, 8, 8), dynamic_shapes=({0: batch},))
    original = load(path)
    prepared = prepare(original)
    table = survey(prepared)
    assert not isinstance(table.arguments["input"].shape[0], int)
    conversion = apply(
        plan(read_recipe(Source("case.rules", "match nn.conv2d, set layout NHWC"), table), table), prepared
    )
    inputs = inputs_for(table, 0)
    assert inputs["input"].shape == (2, 3, 8, 8)
    found = [
        Runner(build(model.module, find_target("llvm")), model.parameters)(*inputs.values())[0]
        for model in (original, conversion.converted)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)


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
