"""`python -m corecast.api` is `corecast`."""

from corecast.api.cli import run

run()
