"""The Relax adapter: load a model, prepare it for conversion, and survey its layers."""

from corecast.adapters.relax.fold import fold
from corecast.adapters.relax.load import load
from corecast.adapters.relax.model import Model, ModelError, Origin
from corecast.adapters.relax.prepare import prepare
from corecast.adapters.relax.survey import enumerate_calls, survey

__all__ = ["Model", "ModelError", "Origin", "enumerate_calls", "fold", "load", "prepare", "survey"]
