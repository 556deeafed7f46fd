"""Bounds on versions in, objections out: does what is installed, or what a pack says of itself, lie within them?

`packaging` reads versions, bounds and licences, and is imported where there is one: recipes without any do without it.
What it cannot read is a `ValueError`.
"""

from __future__ import annotations

from collections.abc import Iterable

# Distributions that a recipe calls by a shorter name.
DISTRIBUTIONS = {"tvm": "apache-tvm"}


def bounds_text(bounds: Iterable[tuple[str, str]]) -> str:
    """`>= 1.0 < 2` as `packaging` reads it: `>=1.0,<2`."""
    return ",".join(f"{operator}{text}" for operator, text in bounds)


def within(found: str, bounds: str) -> bool:
    """Whether a version lies within bounds. Raises `ValueError`."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(bounds).contains(found, prereleases=True)


def same_version(one: str, other: str) -> bool:
    """Whether two texts name one version, as `1.0` and `1.0.0` do."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def installed_outside(package: str, bounds: str) -> str | None:
    """The installed version of a distribution where it is outside of the bounds.

    None where it fits, and where it is not installed: planning needs nothing but the rules, and what is absent is
    checked where it is used. Raises `ValueError`.
    """
    from importlib.metadata import PackageNotFoundError, version

    from packaging.specifiers import SpecifierSet

    specifier = SpecifierSet(bounds)
    try:
        installed = version(DISTRIBUTIONS.get(package, package))
    except PackageNotFoundError:
        return None
    return None if specifier.contains(installed, prereleases=True) else installed


def as_version(text: str) -> str:
    """A version as it is usually written. Raises `ValueError`."""
    from packaging.version import Version

    return str(Version(text))


def as_bounds(text: str) -> str:
    """Bounds as they are usually written. Raises `ValueError`."""
    from packaging.specifiers import SpecifierSet

    return str(SpecifierSet(text))


def as_licence(text: str) -> str:
    """A licence as an SPDX expression. Raises `ValueError`."""
    from packaging.licenses import canonicalize_license_expression

    return str(canonicalize_license_expression(text))
