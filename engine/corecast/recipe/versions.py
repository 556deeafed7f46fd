"""Bounds on versions in, objections out: does what is installed, or what a pack says of itself, lie within them?"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

# Distributions that a recipe calls by a shorter name.
DISTRIBUTIONS = {"tvm": "apache-tvm"}


def bounds_text(bounds: Iterable[tuple[str, str]]) -> str:
    """`>= 1.0 < 2` as `packaging` reads it: `>=1.0,<2`."""
    return ",".join(f"{operator}{text}" for operator, text in bounds)


def within(found: str, bounds: str) -> bool:
    """Whether a version lies within bounds. Raises `InvalidSpecifier` and `InvalidVersion`."""
    return SpecifierSet(bounds).contains(found, prereleases=True)


def same_version(one: str, other: str) -> bool:
    """Whether two texts name one version, as `1.0` and `1.0.0` do."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def installed_outside(package: str, bounds: str) -> str | None:
    """The installed version of a distribution where it is outside of the bounds.

    None where it fits, and where it is not installed: planning needs nothing but the rules, and what is absent is
    checked where it is used. Raises `InvalidSpecifier` and `InvalidVersion`.
    """
    specifier = SpecifierSet(bounds)
    try:
        installed = version(DISTRIBUTIONS.get(package, package))
    except PackageNotFoundError:
        return None
    return None if specifier.contains(installed, prereleases=True) else installed
