"""A benchmark in, a drawing as SVG out: the time of each kernel before and after tuning, the longest first.

Two bars a kernel to one scale. It is text of a few kilobytes that every browser shows: no plotting library is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from corecast.plan import compress
from corecast.plan.ids import shorten
from corecast.report.benchmark import Benchmark, Kernel

WIDTH, NAMES, FIGURES, BAR, ROW, TOP = 960, 330, 90, 11, 30, 56
BEFORE, AFTER, INK = "#c3c9d1", "#2f6fb2", "#1d2129"
STYLE = f"text {{ font: 12px sans-serif; fill: {INK}; }} .small {{ font-size: 11px; }}"


def svg(found: Benchmark) -> str:
    """The drawing as the text of an SVG file."""
    kernels = sorted(found.kernels, key=lambda kernel: -_longest(kernel))
    height = TOP + ROW * len(kernels) + 12
    longest = max((_longest(kernel) for kernel in kernels), default=1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="12" y="20">{escape(found.model)} for {escape(found.target)}: time of each kernel in a run</text>',
        *_legend(),
    ]
    for number, kernel in enumerate(kernels):
        lines += _row(kernel, TOP + ROW * number, (WIDTH - NAMES - FIGURES) / longest)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend() -> Iterator[str]:
    for x, colour, text in ((12, BEFORE, "untuned"), (96, AFTER, "as it is")):
        yield f'<rect x="{x}" y="32" width="{BAR}" height="{BAR}" fill="{colour}"/>'
        yield f'<text class="small" x="{x + 16}" y="42">{text}</text>'


def _row(kernel: Kernel, y: int, scale: float) -> Iterator[str]:
    layers = shorten(compress(kernel.layers)) or kernel.name
    yield f'<text x="{NAMES - 8}" y="{y + 15}" text-anchor="end">{escape(_cut(layers))}'
    yield f"<title>{escape(kernel.name)}: {escape(', '.join(kernel.layers))}</title></text>"
    bars = [(kernel.untuned.median, BEFORE)] if kernel.untuned else []
    for number, (time, colour) in enumerate([*bars, (kernel.times.median, AFTER)]):
        top = y + BAR * number
        yield f'<rect x="{NAMES}" y="{top}" width="{max(time * scale, 0.5):.1f}" height="{BAR}" fill="{colour}"/>'
        x = NAMES + time * scale + 4
        yield f'<text class="small" x="{x:.1f}" y="{top + 10}">{_text(time)}</text>'


def _longest(kernel: Kernel) -> float:
    return max(kernel.times.median, kernel.untuned.median if kernel.untuned else 0.0)


def _cut(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:47]}…"


def _text(microseconds: float) -> str:
    return f"{microseconds / 1e3:.1f} ms" if microseconds >= 1e3 else f"{microseconds:.0f} us"
