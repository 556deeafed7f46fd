"""The networks of `torch_networks` twice: as programs of `torch.export`, and through `torch.onnx.export`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from models.specimen import Specimen

# What TVM cannot import, by the word that the refusal must name.
_REFUSED = {
    ("spectrum", "torch.export"): "_fft_r2c.default",
    ("spectrum", "torch.onnx"): "DFT",
    ("BERT-mini, open batch", "torch.onnx"): "(Reshape)",
}


def specimens() -> list[Specimen]:
    from models.torch_networks import NETWORKS

    both = (("torch.export", program), ("torch.onnx", _onnx))
    return [
        Specimen(name, source, partial(make, name), layout=_layout(place, source), refused=_REFUSED.get((name, source)))
        for source, make in both
        for place, name in enumerate(NETWORKS)
    ]


def _layout(place: int, source: str) -> str:
    """Each network goes through NHWC from one source and through HWNC from the other."""
    return "nhwc" if (place % 2 == 0) == (source == "torch.export") else "hwnc"


def program(name: str, folder: Path) -> Path:
    """A network by its name, exported and saved."""
    import torch
    from models.torch_networks import make

    traced = make(name)
    path = folder / "model.pt2"
    torch.export.save(
        torch.export.export(traced.module, (), traced.inputs, dynamic_shapes=traced.open_sizes or None), path
    )
    return path


def _onnx(name: str, folder: Path) -> Path:
    import torch
    from models.torch_networks import make

    traced = make(name)
    path = folder / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(
            traced.module,
            kwargs=traced.inputs,
            f=str(path),
            dynamo=True,
            verbose=False,
            dynamic_shapes=traced.open_sizes or None,
        )
    return path
