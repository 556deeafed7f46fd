"""A conversion in, an ONNX file out that appears whole or not at all, and back.

What was decided and where the original lies stands in the model's own metadata, so that the file can be checked
wherever it goes: `corecast.plan` is the plan as YAML, `corecast.report` the rest as JSON. Weights are in the file; in
one beside it, `NAME.data`, where the original had them so, or where they are more than one file can hold.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx import ModelProto, TensorProto, numpy_helper
from pydantic import BaseModel, ConfigDict, ValidationError

from corecast.adapters.agreement import Realised, RealisedError
from corecast.adapters.bundle import corecast_version
from corecast.adapters.door import realised
from corecast.adapters.onnx.apply import Conversion
from corecast.adapters.onnx.load import load
from corecast.adapters.onnx.model import Model, is_external, without
from corecast.adapters.onnx.survey import survey
from corecast.adapters.source import ModelError, Origin
from corecast.adapters.whole import whole_files
from corecast.lang.problems import CorecastError, Problem
from corecast.model.files import FormatVersion, first_objection
from corecast.plan import Plan, Prediction, format_plan
from corecast.plan.file import parse_plan

PLAN, REPORT = "corecast.plan", "corecast.report"

# A protobuf message holds two gibibytes; the graph needs some of them.
MOST_BYTES_IN_ONE_FILE = 2**31 - 2**26

# Smaller tensors stay in the model, where shape inference finds them; larger ones begin at a page, to be mapped.
_SMALL = 1024
_PAGE = 4096


class ModelFileError(CorecastError):
    """A file that was not written by corecast, or that stands where one should be written."""


class Report(BaseModel):
    """What a converted model says of itself beside its plan; the path of `origin` starts from the folder it lies in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corecast_onnx: FormatVersion = 1
    corecast: str
    onnx: str
    model: str
    fingerprint: str
    origin: Origin | None
    predicted: Prediction
    realised: Realised


@dataclass(frozen=True)
class Converted:
    """A converted model that was read: its graph, the plan that it was made by, and its report."""

    path: Path
    plan: Plan
    model: Model
    report: Report


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
        save(conversion.converted, draft / path.name, _metadata(conversion, path))
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


def _metadata(conversion: Conversion, path: Path) -> dict[str, str]:
    original = conversion.original
    origin = original.origin() if original.origin else None
    if origin:
        place = os.path.relpath(Path(origin.path).resolve(), path.parent.resolve())
        origin = origin.model_copy(update={"path": Path(place).as_posix()})
    report = Report(
        corecast=corecast_version(),
        onnx=onnx.__version__,
        model=original.name,
        fingerprint=conversion.before.fingerprint,
        origin=origin,
        predicted=conversion.plan.predicted,
        realised=conversion.realised,
    )
    return {PLAN: format_plan(conversion.plan), REPORT: report.model_dump_json()}


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
    path = Path(path)
    model = load(path)
    told = {prop.key: prop.value for prop in model.proto.metadata_props}
    if PLAN not in told or REPORT not in told:
        help = "make one with `corecast apply RULES MODEL.onnx -o OUT.onnx`"
        message = f"{path} does not say what it was converted from: corecast did not write it"
        raise ModelFileError(Problem("not-converted", message, help=help))
    plan = parse_plan(told[PLAN], f"the plan in {path}")
    try:
        report = Report.model_validate_json(told[REPORT])
    except ValidationError as error:
        message = f"what {path} says of its conversion is damaged: {first_objection(error)}"
        raise ModelFileError(Problem("damaged-report", message, help="make it anew")) from error
    return Converted(path, plan, model, report)


def original_of(converted: Converted, path: str | Path | None = None) -> Model:
    """Load the model that a converted one was made from, with the weight fill and the shapes that were used.

    Args:
        converted: what `read_model` returned.
        path: where the original lies now, if it was moved.

    Raises:
        ModelFileError: where the model does not say, or where the file is another one.
        ModelError: where the file cannot be read.
    """
    origin = converted.report.origin
    if origin is None:
        message = f"{converted.path} does not say where its original lies"
        help = "it was converted in memory; verify it there, with `corecast.adapters.onnx.verify_models`"
        raise ModelFileError(Problem("no-original", message, help=help))
    place = Path(path) if path is not None else converted.path.parent / origin.path
    model = load(place, weights=origin.weights, shapes=origin.shapes)
    if model.origin is None or model.origin().sha256 != origin.sha256:
        message = f"{place} is not the file that {converted.path} was made from"
        help = f"its digest should be {origin.sha256}"
        raise ModelFileError(Problem("another-original", message, help=help))
    return model
