"""A model's path in, its bytes and where they came from out; what a model cannot be read for is one kind of error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from corecast.lang.problems import CorecastError, Problem


class ModelError(CorecastError):
    """A model that cannot be read, or that the compiler's frontend does not take."""

    @classmethod
    def of(cls, slug: str, message: str, help: str | None = None) -> ModelError:
        return cls(Problem(slug, message, help=help))


class Origin(BaseModel):
    """Where a model came from, so that the same model can be loaded again.

    `sha256` covers the file and those in which it keeps weights; `weights` is the fill, `shapes` what was given,
    `function` the one of the file's functions that was taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str
    weights: str | None = None
    shapes: dict[str, tuple[int, ...]] | None = None
    function: str | None = None

    @classmethod
    def of(
        cls,
        path: Path,
        content: bytes,
        weights: str | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        function: str | None = None,
    ) -> Origin:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        plain = {name: tuple(map(int, shape)) for name, shape in shapes.items()} if shapes else None
        return cls(path=str(path), sha256=digest, weights=weights, shapes=plain, function=function)


def read_content(path: Path) -> bytes:
    """The bytes of a model's file. Raises `ModelError`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError.of("no-model", "there is no such file", "check the path of the model") from None
    except OSError as error:
        message, help = f"it cannot be read: {error.strerror}", "name a file that you may read"
        raise ModelError.of("no-model", message, help) from None


def last_line(error: BaseException) -> str:
    """What TVM says at the end of its long messages."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
