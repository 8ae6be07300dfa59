"""The text that a gateway's `/metrics` answers, as numbers: Prometheus's format 0.0.4 and OpenMetrics 1.0."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Labels = Mapping[str, str]
Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and its labels in the order of their names."""

_SAMPLE = re.compile(r'([A-Za-z_:][\w:]*+)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*+")*+)\})?[ \t]++(\S++)')
_LABEL = re.compile(r'([A-Za-z_]\w*+)="((?:[^"\\]|\\.)*+)"')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Scrape:
    """All samples of one moment, by name and labels."""

    samples: Mapping[Key, float] = field(default_factory=dict)

    def named(self, name: str) -> Iterator[tuple[Key, Labels, float]]:
        for key, value in self.samples.items():
            if key[0] == name:
                yield key, dict(key[1]), value

    def single(self, name: str) -> float | None:
        """The value of a metric without labels."""
        return self.samples.get((name, ()))


def parse_scrape(text: str) -> Scrape:
    """The samples of *text*; timestamps and exemplars are left out.

    Raises:
        ValueError: a line is neither a sample nor a comment, as in a page of HTML.
    """
    samples: dict[Key, float] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _SAMPLE.match(line)
        if match is None:
            raise ValueError(f"line {number} of the metrics is no sample: {line[:80]!r}")
        name, labels, value = match.groups()
        pairs = ((label, _ESCAPE.sub(_unescaped, text)) for label, text in _LABEL.findall(labels or ""))
        samples[name, tuple(sorted(pairs))] = float(value)
    return Scrape(samples)


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
