"""Lint: what is wrong with a recipe in every model, or in one at hand, although it can be read."""

from corecast.lint.finding import Finding
from corecast.lint.fix import fixed
from corecast.lint.lint import lint

__all__ = ["Finding", "fixed", "lint"]
