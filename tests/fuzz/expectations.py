"""What is known to fail today, by where it fails: counted, and no finding. Empty is the aim."""

from __future__ import annotations

import traceback

# The files of corecast in which an exception is expected, and why.
KNOWN: dict[str, str] = {}


def known(error: Exception) -> str | None:
    """Why a failure is expected, or None."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return next((reason for place, reason in KNOWN.items() if any(file.endswith(place) for file in files)), None)
