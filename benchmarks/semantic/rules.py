"""What the rules about words are worth: the same pairs of questions with and without each, by threshold. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from benchmarks.semantic.questions import Case
from shipway.gateway.cache.wording import exact_part, in_other_words

Rule = Callable[[str, str], bool]


def _same_exact_part(one: str, other: str) -> bool:
    return exact_part(one) == exact_part(other)


RULES: dict[str, Rule] = {
    "none": lambda one, other: True,
    "numbers, names, negations": _same_exact_part,
    "more than a word": in_other_words,
    "both": lambda one, other: _same_exact_part(one, other) and in_other_words(one, other),
}


def hits(rule: Rule, threshold: float, asked: Sequence[Case], vectors: Mapping[str, Sequence[float]]) -> dict[str, int]:
    """How many of each column are given the answer to the question of their line."""
    counts = dict.fromkeys(("same", "alike", "reworded"), 0)
    for case in asked:
        for name in counts:
            text: str = getattr(case, name)
            near = cosine(vectors[case.question], vectors[text]) >= threshold
            counts[name] += near and rule(case.question, text)
    return counts


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return math.sumprod(one, other) if hasattr(math, "sumprod") else sum(map(float.__mul__, one, other))
