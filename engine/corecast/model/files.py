"""What all files that Corecast writes have in common: the version of their form, and how a wrong entry of one is told.

Older versions are read for as long as a release says so; there is one so far. A file of a newer Corecast may say what
this one would misread, so it is refused with both versions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ValidationError


def _known(version: object) -> object:
    if version != 1:
        raise ValueError(f"it is of version {version}, and this corecast reads version 1: install a newer corecast")
    return version


FormatVersion = Annotated[Literal[1], BeforeValidator(_known)]


def first_objection(error: ValidationError) -> str:
    """The first entry that a model refuses, and why: `` `layers.0.hash`: Field required``."""
    first = error.errors(include_url=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"`{'.'.join(map(str, first['loc']))}`: {message}" if first["loc"] else message
