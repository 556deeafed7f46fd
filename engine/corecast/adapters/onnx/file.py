"""The bytes of an ONNX file in, its protobuf out, and what lies beside it: read alike by both adapters that take one.

Errors say what is wrong and not where: `of_its_file` puts the file in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import GraphProto, ModelProto

from corecast.adapters.onnx.model import is_external
from corecast.adapters.source import ModelError, Origin


def parse(content: bytes) -> ModelProto:
    """The model in the bytes of a file. Raises `ModelError`."""
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        help = "corecast reads ONNX files, exported programs (.pt2) and Relax modules saved as JSON"
        raise ModelError.of("not-a-model", "this is no ONNX file, or only a part of one", help) from None
    if not model.graph.node:
        raise ModelError.of("not-a-model", "this holds no graph", "the file may be empty or cut off")
    if any(isinstance(name, bytes) for name in _names(model.graph)):
        raise ModelError.of("damaged-model", "this is a damaged model: a name in it is no text", "export it again")
    return model


def _names(graph: GraphProto) -> Iterator[str | bytes]:
    """Everything in a graph that is called something; protobuf gives what is no UTF-8 as bytes."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
    for item in (*graph.initializer, *graph.input, *graph.output):
        yield item.name


def refuse_old(model: ModelProto) -> None:
    """Raise `ModelError` for a form of ONNX that nobody here reads."""
    if model.ir_version < 3:
        message = f"ONNX IR version {model.ir_version} is too old"
        raise ModelError.of("old-model", message, "convert the model to version 3 or later")


def external_files(model: ModelProto, path: Path) -> list[Path]:
    """The files in which a model keeps weights, in the order of their names. Raises `ModelError`."""
    entries = (entry for tensor in model.graph.initializer if is_external(tensor) for entry in tensor.external_data)
    return [_beside(path, name) for name in sorted({entry.value for entry in entries if entry.key == "location"})]


def _beside(path: Path, name: str) -> Path:
    place = (path.parent / name).resolve()
    if path.parent.resolve() not in place.parents:
        raise ModelError.of("no-weights", f"it names weights outside its own folder: {name}")
    try:
        place.open("rb").close()
    except OSError as error:
        help = "copy the file to where the model is"
        raise ModelError.of("no-weights", f"its weights in {name} are missing: {error.strerror}", help) from None
    return place


def origin(
    path: Path,
    content: Any,
    files: Iterable[Path],
    weights: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Origin:
    """Where a model comes from, with a digest of its file and of those beside it, which are read a piece at a time.

    `content` is what hashlib made of the file's own bytes when it was read: it may be another one by now.
    """
    digest = content.copy()
    for file in files:
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    plain = {name: tuple(map(int, shape)) for name, shape in shapes.items()} if shapes else None
    return Origin(path=str(path), sha256=f"sha256:{digest.hexdigest()}", weights=weights, shapes=plain)
