"""The README's chart: requests per second on one core, as an SVG of plain bars that suits light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH = 720
BAR = 26
GAP = 14
LEFT = 110
RIGHT = 210
TOP = 46
OURS = "#2f6feb"
THEIRS = "#8b949e"


def draw(bars: Mapping[str, tuple[float, str]], *, title: str, ours: str) -> str:
    """A horizontal bar for each name with its length's value and the text at its end."""
    height = TOP + len(bars) * (BAR + GAP) + 6
    longest = max((value for value, _ in bars.values()), default=1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(title)}">',
        "<style>text{font:14px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>",
        f'<text class="t" x="0" y="20">{escape(title)}</text>',
    ]
    for number, (name, (value, text)) in enumerate(bars.items()):
        y = TOP + number * (BAR + GAP)
        length = max(2.0, (WIDTH - LEFT - RIGHT) * value / longest)
        middle = y + BAR / 2 + 5
        colour, weight = (OURS, ' class="t"') if name == ours else (THEIRS, "")
        parts += [
            f'<text{weight} x="{LEFT - 10}" y="{middle:g}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3" fill="{colour}"/>',
            f'<text{weight} x="{LEFT + length + 8:.1f}" y="{middle:g}">{escape(text)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
