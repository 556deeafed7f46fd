"""Every model of the zoo, from all of its sources; those of PyTorch only where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

from models import exported, light, relax_modules
from models.specimen import Specimen


def specimens() -> list[Specimen]:
    found = [*light.specimens(), *relax_modules.specimens()]
    return [*found, *exported.specimens()] if has_torch() else found


def has_torch() -> bool:
    return all(find_spec(name) for name in ("torch", "transformers", "onnxscript"))
