"""The chart of ``make bench``: bars as SVG, without scripts, readable on light and on dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Protocol

WIDTH, LEFT, RIGHT, STEP, TOP = 760, 290, 60, 26, 40
# Middle tones: a page shows the picture on its own background, which may be white or black.
INK, RANGE, OURS, THEIRS = "#6e7781", "#d29922", "#2f81f7", "#8b949e"


class Turns(Protocol):
    """What the turns gave."""

    values: list[float]

    @property
    def median(self) -> float: ...


def draw_bars(bars: Sequence[tuple[str, Turns]]) -> str:
    """Return a bar for each median, with a line from the least to the most of its turns."""
    longest = max(max(seen.values) for _, seen in bars)
    scale = (WIDTH - LEFT - RIGHT) / longest
    height = TOP + STEP * len(bars) + 10
    unit = LEFT + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">',
        "<title>Requests a second, as ratios to a bare Tornado handler</title>",
        f'<g font-family="sans-serif" font-size="12" fill="{INK}" stroke-width="1">',
        f'<text x="{LEFT}" y="16">requests a second / bare Tornado handler, 16 connections</text>',
        draw_line((unit, TOP - 14), (unit, height - 8), INK, 'stroke-dasharray="3 3"'),
    ]
    for number, (name, seen) in enumerate(bars):
        y = TOP + STEP * number
        low, high = (LEFT + scale * end for end in (min(seen.values), max(seen.values)))
        width = f"{scale * seen.median:.1f}"
        ratio = ratio_form(seen.median).format(seen.median)
        colour = OURS if name.startswith("hooknb") else THEIRS
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 9}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y - 4}" width="{width}" height="17" rx="2" fill="{colour}"/>',
            draw_line((low, y + 4.5), (high, y + 4.5), RANGE, 'stroke-width="3"'),
            f'<text x="{WIDTH - 8}" y="{y + 9}" text-anchor="end">{ratio}</text>',
        ]
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def ratio_form(ratio: float) -> str:
    """Return the format of a ratio: two places, or four where two would show nothing."""
    return "{:.2f}" if ratio >= 0.05 else "{:.4f}"


def draw_line(start: tuple[float, float], end: tuple[float, float], colour: str, style: str) -> str:
    """Return a line."""
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}" stroke="{colour}" {style}/>'
