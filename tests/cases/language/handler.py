"""Runs docs/language.md: what each word changes on the network that the page begins with, as cases of the plan do."""

from __future__ import annotations

import re
from pathlib import Path

from cases.plan import handler

from corecast.model import parse_table

PAGE = Path(__file__).with_name("language.md").read_text(encoding="utf-8")
(NETWORK,) = re.findall(r"^```layers of the page\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def run(blocks: dict[str, str]) -> dict[str, str]:
    """From `rules` (and `old_rules`) to `plan`, `diff` or `problems`; of the network itself, its `operators`."""
    if "operators" in blocks:
        calls = parse_table(NETWORK).by_op
        return {"operators": "".join(f"{len(layers):2} {op}\n" for op, layers in calls.items())}
    return handler.run({"layers": NETWORK, **blocks})
