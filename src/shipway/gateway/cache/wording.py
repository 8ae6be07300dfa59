"""What two questions must have in common, or must not, however near a model of meanings finds them. Pure.

Such models put "with" beside "without", 200 mg beside 800 mg and "from Oslo to Rome" beside "from Rome to Oslo". Two rules, which
the figures in docs/decisions/0018 speak for, know what most of these differ in:

- Numbers and symbols must be the same in the same order, so must names, and there must be as many negations (`exact_part`).
- A question in other words has other words. One word more, less or in place of another, or the same words in another order,
  is a small change of words with a large one of meaning more often than a paraphrase (`in_other_words`).

What both let pass may still be another question. What they refuse is asked, which is what a cache may always do.
"""

from __future__ import annotations

import re
from collections import Counter
from unicodedata import category

_TOKEN = re.compile(
    r"(?<![\w.,])[-\u2212]?\d+(?:[.,:]\d+)*"  # numbers, times, versions
    # Writing without spaces between words: a character stands for a word.
    r"|[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
    r"|[^\W\d_]+(?:['\u2019][^\W\d_]+)*"
    r"|\d+(?:[.,:]\d+)*"
    r"|[^\w\s]|_"
)
_ENDS_A_SENTENCE = frozenset(".?!:\n")
_APOSTROPHE = "\u2019"
_PUNCTUATION = frozenset(".,;:?!'\"\u2018\u2019\u201c\u201d\xab\xbb()\u2026%-\u2013\u2014_\xbf\xa1")
"""Signs without which a question is the same. `%` is among them since it is also written as a word."""

_NEGATING_WORDS = """
no not none nobody nothing nowhere neither nor never cannot without except unless excluding
nicht kein keine keinen keinem keiner ohne nie niemals
ne pas jamais sans aucun aucune rien
non mai senza nessun nessuna
nunca jamás sin ningún ninguna nada
não sem nenhum nenhuma
"""
"""English, German, French, Italian, Spanish and Portuguese. A word that means something else in another of them costs a hit."""
_NEGATIONS = frozenset(_NEGATING_WORDS.split())

_UNITS = """
zero one two three four five six seven eight nine ten
eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
"""
_TENS = """
twenty thirty forty fifty sixty seventy eighty ninety
"""
_NUMBERS = {word: str(value) for value, word in enumerate(_UNITS.split()) if word != "one"}  # which is a pronoun too
_NUMBERS |= {word: str(value * 10) for value, word in enumerate(_TENS.split(), 2)}
_NUMBERS |= {"hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000"}


def exact_part(text: str) -> bytes:
    """What must be the same in two texts for an answer to one to be one to the other."""
    names: list[str] = []
    numbers: list[str] = []
    negations = 0
    begins = True
    for word in _TOKEN.findall(text):
        lower = word.lower().replace(_APOSTROPHE, "'")
        if word in _PUNCTUATION:
            begins = begins or word in _ENDS_A_SENTENCE
            continue
        if lower in _NEGATIONS or lower.endswith("n't"):
            negations += 1
        elif lower in _NUMBERS:
            numbers.append(_NUMBERS[lower])
        elif word[-1].isdigit() or category(word[0])[0] == "S" or not word[0].isalnum():
            numbers.append(word.replace("\u2212", "-"))
        elif word[0].isupper() and not begins and word != "I" and not lower.startswith("i'"):
            names.append(lower.removesuffix("'s"))  # a name, of which the first word of a sentence is not known
        begins = False
    return f"{negations}|{' '.join(numbers)}|{' '.join(names)}".encode("utf-8", "replace")


def in_other_words(one: str, other: str) -> bool:
    """Whether two texts say the same in the same words, or differ in more than a word on either side."""
    words, others = _words(one), _words(other)
    if words == others:
        return True
    counts, other_counts = Counter(words), Counter(others)
    return (counts - other_counts).total() > 1 or (other_counts - counts).total() > 1


def _words(text: str) -> list[str]:
    return [word.lower().replace(_APOSTROPHE, "'") for word in _TOKEN.findall(text) if word not in _PUNCTUATION]
