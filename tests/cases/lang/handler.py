"""Runs the cases of the language: from `rules` to `formatted`, or to `problems`."""

from __future__ import annotations

from corecast.lang import RulesError, Source, format, parse


def run(blocks: dict[str, str]) -> dict[str, str]:
    """Read the rules; print them again, which must not change what they say, or print what is wrong with them."""
    try:
        file = parse(Source("case.rules", blocks["rules"]))
    except RulesError as error:
        return {"problems": f"{error}\n"}
    formatted = format(file)
    assert parse(formatted) == file, f"read again, this says something else:\n{formatted}"
    assert format(parse(formatted)) == formatted, f"printed again, this looks different:\n{formatted}"
    return {"formatted": formatted}
