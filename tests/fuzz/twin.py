"""Lines of (layer table, rules) in, lines of plans out: planning in a process of its own, with another hash seed.

What a set's or a dictionary's order decided would differ here. `python -m fuzz.twin` is that process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


class Twin:
    """A process that plans, and the function that asks it."""

    def __init__(self, hash_seed: int = 1) -> None:
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        command = [sys.executable, "-m", "fuzz.twin"]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def __call__(self, table: str, rules: str) -> str:
        """The plan of rules for a layer table, both as text, as YAML."""
        asked, answered = self._process.stdin, self._process.stdout
        assert asked
        assert answered
        asked.write(json.dumps([table, rules]) + "\n")
        asked.flush()
        answer: str = json.loads(answered.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    from corecast.api.recipes import read_recipe
    from corecast.lang import Source
    from corecast.model import LayerTable
    from corecast.plan import format_plan, plan

    for line in sys.stdin:
        saved, rules = json.loads(line)
        table = LayerTable.model_validate_json(saved)
        try:
            answer = format_plan(plan(read_recipe(Source("fuzz.rules", rules), table), table))
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
