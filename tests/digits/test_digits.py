"""What integers cost on real data: five trained networks, and each of the 1,797 images unseen by one of them."""

from __future__ import annotations

import pytest

from corecast.adapters.relax import survey
from corecast.api.recipes import read_flat
from corecast.plan.integers import integers
from corecast.recipe.lock import digest_of
from digits.measure import HARD_CAST, Score, by_corecast, by_onnxruntime, in_float, networks, planned, score
from digits.proof import RECIPE


@pytest.fixture(scope="module")
def floats() -> Score:
    return score({network: in_float(network) for network in networks()})


@pytest.fixture(scope="module")
def quantized() -> Score:
    """By the shipped recipe."""
    return score({network: by_corecast(network, "use int8", "percentile") for network in networks()})


def test_the_networks_read_digits(floats: Score) -> None:
    assert floats.images == 1797
    assert floats.accuracy > 0.97


def test_integers_lose_at_most_half_a_point(floats: Score, quantized: Score) -> None:
    """Nine images more than in float."""
    assert quantized.images == 1797
    assert floats.accuracy - quantized.accuracy <= 0.005
    assert 33 < quantized.snr < 60, "an infinite ratio would say that nothing was converted"


def test_onnxruntime_is_no_more_accurate(quantized: Score) -> None:
    """Its static quantization, calibrated on the same images, with the same dtypes."""
    other = score({network: by_onnxruntime(network, "uint8", "MinMax") for network in networks()})
    assert quantized.right >= other.right


def test_a_hard_cast_loses_far_more(floats: Score) -> None:
    """Without scales small values become zero, and the answers go."""
    hard = score({network: by_corecast(network, HARD_CAST) for network in networks()[:1]})
    assert hard.accuracy < floats.accuracy - 0.5


def test_every_layer_between_the_image_and_the_logits_computes_on_integers() -> None:
    """The recipe names the products; sums, rectifiers and the average follow."""
    decided, table = planned(networks()[0], "use int8")
    assert len(integers(table, decided.decided("dtype")).roles) == len(table.layers)


def test_the_pack_says_what_its_recipe_was_proven_on() -> None:
    """By the text that it has now: `PYTHONPATH=tests python -m digits.proof` proves it anew; a comment is free."""
    flat, _ = read_flat(RECIPE)
    pack = flat.parts[-1].pack
    assert pack is not None
    proofs = pack.info.validated_with
    assert [proof.recipe for proof in proofs] == [digest_of(flat)] * len(networks())
    assert {proof.fingerprint for proof in proofs} == {survey(networks()[0].model).fingerprint}
