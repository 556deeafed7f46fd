"""A conformance kit: an adapter in, pytest's tests out that prove it; needs the extra `corecast[testing]`.

from corecast.testing import AdapterTests

class TestMyAdapter(AdapterTests):
    adapter = MyAdapter()
    rules = "match nn.dense, cast float16"

    def model(self): ...             # a new copy of one model, always the same
    def run(self, model, inputs): ...  # arrays by name in, arrays out
"""

from corecast.testing.kit import AdapterTests

__all__ = ["AdapterTests"]
