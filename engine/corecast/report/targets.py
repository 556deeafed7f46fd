"""Rows of the target table in, what a person reads of them out: a list, a page for one, and docs/targets.md.

`python -m corecast.report.targets FILE` writes the last one between its two marks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from corecast.model import Target, known_targets
from corecast.model.target import Support, Tuned, Unit

OVERVIEW = ("target", "what it is", "native", "emulated", "absent", "tuned")
DTYPES = ("dtype", "TVM's code", "sums", "the silicon has", "tuners reach", "remark", "source")
BEGIN, END = "<!-- made by corecast.report.targets -->", "<!-- end of what was made -->"


def overview(targets: Iterable[Target]) -> Iterator[tuple[str, ...]]:
    """One row for each target: which dtypes its code computes in natively, by emulation, not at all, and tuned."""
    for target in targets:
        levels = {
            level: " ".join(name for name, support in target.dtypes.items() if support.level == level)
            for level in ("native", "emulated", "absent")
        }
        tuned = " ".join(name for name, support in target.dtypes.items() if support.tuned)
        yield (target.name, target.title, *levels.values(), tuned)


def dtype_rows(target: Target, sources: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """One row for each dtype of a target; sources are numbered by their place in `sources`."""
    for name, support in target.dtypes.items():
        yield (
            name,
            support.level,
            ", ".join(support.accumulators),
            "; ".join(map(_unit, support.units)),
            "; ".join(map(_tuned, support.tuned)) or "nothing",
            "; ".join(text for text in (support.note, support.untuned) if text),
            " ".join(str(sources.index(source) + 1) for source in sources_of([support])),
        )


def sources_of(supports: Iterable[Support]) -> list[str]:
    """Each source that rows name, once, in the order in which they name it."""
    return list(dict.fromkeys(source for support in supports for source in _sources(support)))


def markdown(targets: Sequence[Target]) -> str:
    """The whole table as Markdown; targets whose dtypes are the same share a section."""
    sources = sources_of(support for target in targets for support in target.dtypes.values())
    lines = [*_markdown_table(OVERVIEW, overview(targets)), ""]
    sections: list[list[Target]] = []
    for target in targets:
        alike = next((section for section in sections if section[0].dtypes == target.dtypes), None)
        if alike is None:
            sections.append([target])
        else:
            alike.append(target)
    for section in sections:
        lines += ["## " + ", ".join(f"`{target.name}`" for target in section), ""]
        lines += [*_markdown_table(DTYPES, dtype_rows(section[0], sources)), ""]
    lines += ["## Sources", "", *(f"{number}. {source}" for number, source in enumerate(sources, 1)), ""]
    return "\n".join(lines)


def _sources(support: Support) -> Iterator[str]:
    yield support.source
    for unit in support.units:
        yield unit.source
        if unit.rate:
            yield unit.rate.source
    for tuned in support.tuned:
        yield tuned.source


def _unit(unit: Unit) -> str:
    text = f"{unit.instruction} {', '.join(unit.shapes)}".strip()
    if unit.weights:
        text += f" with {unit.weights} weights"
    return text + (f" ({unit.rate.tops:g} TOPS)" if unit.rate else "")


def _tuned(tuned: Tuned) -> str:
    weights = f" with {tuned.weights} weights" if tuned.weights else ""
    return f"{tuned.emits}{weights} ({', '.join(filter(None, (tuned.tuner, tuned.intrinsic)))})"


def _markdown_table(columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "| " + " | ".join("---" for _ in columns) + " |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def put_into(page: str) -> str:
    """A page with the table between its marks made anew."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{markdown(known_targets())}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(put_into(file.read_text(encoding="utf-8")), encoding="utf-8")
