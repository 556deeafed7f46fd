"""An exception that nobody expected in, the installed distribution whose code was at work out."""

from __future__ import annotations

from traceback import walk_tb
from typing import NamedTuple

from corecast.recipe.installed import installed, our_groups


class Blame(NamedTuple):
    """Whose code Corecast called, what of it, and where that stands."""

    owner: str
    called: str
    place: str


def blame(error: BaseException) -> Blame | None:
    """What of another distribution was called when an exception was raised; None where nothing of any was.

    That is the first of its functions on the way from Corecast to the exception, whoever raised it in the end.
    """
    owners = {point.module.partition(".")[0]: owner for group in our_groups() for owner, point in installed(group)}
    for frame, line in walk_tb(error.__traceback__):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in owners:
            code = frame.f_code
            return Blame(owners[package], code.co_name, f"{code.co_filename}:{line}")
    return None
