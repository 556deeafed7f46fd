"""A conversion in, an ONNX file out that appears whole or not at all, and back.

What was decided and where the original lies stands in the model's own metadata (`corecast.adapters.converted`). Weights
are in the file; in one beside it, `NAME.data`, where the original had them so, or where they are more than one file can
hold.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO, TypeAlias

import onnx
from onnx import ModelProto, TensorProto, numpy_helper

from corecast.adapters import converted as files
from corecast.adapters.agreement import RealisedError
from corecast.adapters.converted import ModelFileError
from corecast.adapters.onnx.apply import Conversion, realised
from corecast.adapters.onnx.load import load, origin_of
from corecast.adapters.onnx.model import Model, is_external, without
from corecast.adapters.onnx.survey import survey
from corecast.adapters.source import ModelError
from corecast.adapters.whole import whole_files
from corecast.lang.problems import Problem

Converted: TypeAlias = files.Converted[Model]

# A protobuf message holds two gibibytes; the graph needs some of them.
MOST_BYTES_IN_ONE_FILE = 2**31 - 2**26

# Smaller tensors stay in the model, where shape inference finds them; larger ones begin at a page, to be mapped.
_SMALL = 1024
_PAGE = 4096


def write_model(conversion: Conversion, path: str | Path) -> Path:
    """Write a converted model as a new file, once onnx.checker takes it and it says what was decided.

    Raises:
        ModelFileError: where something stands at `path` already.
        ModelError: where ONNX's checker takes neither the original.
        RealisedError: where it takes the original only: a fault of ours.
        OSError: where the disk is full or not ours to write; nothing is left behind then.
    """
    path = Path(path)
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_files(path) as draft:
        save(conversion.converted, draft / path.name, conversion.told(path))
        check(draft / path.name, conversion)
    return path


def refuse_existing(path: Path) -> None:
    """Raise `ModelFileError` where something stands at `path` or where its weights would: ask before converting."""
    for place in (path, data_file(path)):
        if os.path.lexists(place):  # a link that leads nowhere is something too
            help = "name another file, or remove this one first; corecast overwrites nothing"
            raise ModelFileError(Problem("output-exists", f"{place} exists already", help=help))


def data_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


def save(model: Model, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a model, one weight in memory at a time where they go into a file of their own."""
    proto: ModelProto = without(model.proto, "graph", *(["metadata_props"] if metadata else []))
    proto.graph.CopyFrom(without(model.proto.graph, "initializer"))
    for prop in model.proto.metadata_props if metadata else ():
        if prop.key not in (metadata or {}):
            proto.metadata_props.append(prop)
    for key, text in (metadata or {}).items():
        proto.metadata_props.add(key=key, value=text)
    tensors = model.proto.graph.initializer
    if any(map(is_external, tensors)) or sum(_bytes(model, tensor) for tensor in tensors) > MOST_BYTES_IN_ONE_FILE:
        with data_file(path).open("wb") as stream:
            for tensor in tensors:
                proto.graph.initializer.append(_put_beside(_whole(model, tensor), stream, data_file(path).name))
    else:
        proto.graph.initializer.extend(_whole(model, tensor) for tensor in tensors)
    path.write_bytes(proto.SerializeToString())


def _bytes(model: Model, tensor: TensorProto) -> int:
    kind = model.type_of(tensor.name)
    return (kind.bytes if kind else None) or 0


def _whole(model: Model, tensor: TensorProto) -> TensorProto:
    """The tensor with its values in it."""
    if tensor.name not in model.late and not is_external(tensor):
        return tensor
    return numpy_helper.from_array(model.array(tensor.name), tensor.name)


def _put_beside(tensor: TensorProto, stream: BinaryIO, location: str) -> TensorProto:
    """Write the values of a tensor to a stream, and return one that says where they are."""
    if tensor.data_type == TensorProto.STRING or tensor.ByteSize() < _SMALL:
        return tensor
    raw = tensor if tensor.HasField("raw_data") else numpy_helper.from_array(numpy_helper.to_array(tensor))
    stream.write(b"\0" * (-stream.tell() % _PAGE))
    places = {"location": location, "offset": str(stream.tell()), "length": str(len(raw.raw_data))}
    stream.write(raw.raw_data)
    reference = TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    reference.data_location = TensorProto.EXTERNAL
    for key, text in places.items():
        reference.external_data.add(key=key, value=text)
    return reference


def check(path: Path, conversion: Conversion) -> None:
    """Have ONNX check a written model, and read back that it is what was decided. Raises as `write_model` does."""
    problem = _objection(path)
    if problem is None:
        realised(conversion.plan, conversion.before, survey(load(path)))
        return
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder, "original.onnx")
        save(conversion.original, original)
        if (own := _objection(original)) is not None:
            message = f"onnx.checker does not take {conversion.original.name} as it is: {own}"
            raise ModelError.of("damaged-model", message, "export it anew, or mend what the checker names")
    message = f"onnx.checker does not take the converted model: {problem}"
    raise RealisedError(Problem("invalid-model", message, help="this is a fault of corecast; please report it"))


def _objection(path: Path) -> str | None:
    """What onnx.checker says against a file, or None."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # what its C++ code raises has no class of its own
        return str(error).strip()
    return None


def read_model(path: str | Path) -> Converted:
    """Read a model that `write_model` wrote. Raises `ModelFileError`, and `ModelError` where it is no model at all."""
    model = load(path)
    return files.Converted.of(Path(path), model, told(model))


def told(model: Model) -> dict[str, str]:
    """What a model says in its metadata."""
    return {prop.key: prop.value for prop in model.proto.metadata_props}


def original_of(converted: Converted, path: str | Path | None = None) -> Model:
    """Load the model that a converted one was made from, or from `path`, where it lies now.

    Raises as `corecast.adapters.converted.Converted.load_original` does.
    """
    return converted.load_original(load, origin_of, path)
