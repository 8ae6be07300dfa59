"""The questions: each with one of the same meaning, and two that need another answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "questions.txt"


@dataclass(frozen=True)
class Case:
    """One line of `questions.txt`.

    Attributes:
        kind: What differs in the last two.
        same: The question in other words.
        alike: Another question that is said as this one is.
        reworded: That other question in other words.
    """

    kind: str
    question: str
    same: str
    alike: str
    reworded: str


def cases() -> list[Case]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return [Case(*line.split(" | ")) for line in lines if line and not line.startswith("#")]
