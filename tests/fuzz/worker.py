"""`python -m fuzz.worker FIRST STOP SAMPLE`: the cases of a range of seeds in one process, a line of JSON for each."""

from __future__ import annotations

import faulthandler
import json
import sys

from fuzz.campaign import campaign
from fuzz.twin import Twin

# A case takes a twentieth of a second, one that is compiled a second or two, and shrinking a minute.
SECONDS = 300


def main() -> None:
    first, stop, sample = map(int, sys.argv[1:])
    faulthandler.enable()
    twin = Twin()
    for seed in range(first, stop):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        tally = campaign([seed], twin, sample)
        finding = str(tally.findings[0]) if tally.findings else None
        print(json.dumps({"seed": seed, "outcomes": tally.outcomes, "finding": finding}), flush=True)
    faulthandler.cancel_dump_traceback_later()
    twin.close()


if __name__ == "__main__":
    main()
