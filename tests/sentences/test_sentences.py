"""A real sentence encoder with real weights keeps its embeddings, in float16 and in int8."""

from __future__ import annotations

import pytest

from sentences.encoder import OTHERS, SENTENCES, missing
from sentences.measure import FLOAT16, INT8, METHOD, converted

WHY_NOT = missing()
needs_the_encoder = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")


def test_there_are_two_hundred_sentences_and_calibration_has_others() -> None:
    assert len(set(SENTENCES)) == 200
    assert set(SENTENCES).isdisjoint(OTHERS)


@pytest.mark.slow
@needs_the_encoder
@pytest.mark.parametrize(
    ("rules", "method", "bound", "layers"),
    [(FLOAT16, None, 0.999, 35), (INT8, METHOD, 0.99, 34)],
    ids=["float16", "int8"],
)
def test_every_sentence_keeps_its_embedding(rules: str, method: str | None, bound: float, layers: int) -> None:
    """The cosine of each one, beside PyTorch in float32."""
    found = converted(rules, method)
    assert found.layers == (layers, 36)
    assert len(found.cosines) == 200
    assert bound <= found.cosines.min() < 1
