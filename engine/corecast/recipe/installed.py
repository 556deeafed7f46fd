"""A group of entry points in, what they name out, each with the distribution that it comes with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from corecast.lang.problems import CorecastError, Problem

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

# The owner of what stands in this distribution.
OURS = "corecast"


class ExtensionError(CorecastError):
    """What an installed distribution adds does not fit: its name is taken, or it cannot be loaded."""

    @classmethod
    def taken(cls, what: str, owner: str, other: str) -> ExtensionError:
        """`what` comes with two distributions."""
        message = f"{what} comes with two distributions: {owner} and {other}"
        return cls(Problem("name-clash", message, help="uninstall one of them"))


def installed(group: str) -> Iterator[tuple[str, EntryPoint]]:
    """The entry points of a group, each behind its owner: `acme-corecast 1.0`."""
    from importlib.metadata import entry_points  # which most who only plan never need

    for point in entry_points(group=group):
        yield f"{point.dist.name} {point.dist.version}" if point.dist else point.value, point


def named(what: str, points: Iterable[tuple[str, EntryPoint]]) -> dict[str, tuple[str, EntryPoint]]:
    """Entry points with their owners, by their names, in the same order.

    Raises `ExtensionError` that names both owners where a name has two; `what` is what it names: `the tuner`.
    """
    found: dict[str, tuple[str, EntryPoint]] = {}
    for owner, point in points:
        if point.name in found:
            raise ExtensionError.taken(f"{what} `{point.name}`", found[point.name][0], owner)
        found[point.name] = owner, point
    return found


def our_groups() -> list[str]:
    """Every group of entry points of Corecast's that some distribution adds to."""
    from importlib.metadata import entry_points

    return [group for group in sorted(entry_points().groups) if group.startswith("corecast.")]


def loaded(owner: str, point: EntryPoint) -> Any:
    """What an entry point names. Raises `ExtensionError` where that cannot be imported."""
    try:
        return point.load()
    except Exception as error:  # whatever the other distribution's code met
        message = f"`{point.value}`, which {owner} adds as {point.group} {point.name}, cannot be loaded: {error}"
        raise ExtensionError(Problem("broken-extension", message, help=f"mend or uninstall {owner}")) from error


def made(owner: str, point: EntryPoint, base: type, what: str, *, known_by: str = "name") -> Any:
    """An instance of the class that an entry point names.

    Args:
        owner, point: as `named` gives them.
        base: what the class has to be derived from.
        what: how such a class is called: `tuner`.
        known_by: its attribute that has to be the entry point's name.

    Raises:
        ExtensionError: where it is no such class, goes by another name, or cannot be imported.
    """
    # What ours lacks is a dependency of Corecast, and told as such.
    found = point.load() if owner == OURS else loaded(owner, point)
    if not (isinstance(found, type) and issubclass(found, base)) or getattr(found, known_by) != point.name:
        message = f"`{point.value}`, which {owner} adds, is no {what} called `{point.name}`"
        help = f"it has to be a subclass of `{base.__module__}.{base.__name__}` whose `{known_by}` is that name"
        raise ExtensionError(Problem("broken-extension", message, help=help))
    return found()
