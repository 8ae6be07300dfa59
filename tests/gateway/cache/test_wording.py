"""Which questions may be the same by their words, whatever their vectors say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.cache.wording import exact_part, in_other_words


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Why?", "0||"),
        ("Take 3 of 1,5 or -2.50 at 10:30 in v2.1", "0|3 1,5 -2.50 10:30 2.1|"),
        ("three of thirty, one of them is a thousand", "0|3 30 1000|"),
        ("from Oslo to Madrid", "0||oslo madrid"),
        ("Oslo is there. Madrid is here: Rome too", "0||"),
        ("It is what I'm told by Anna's sister and IBM", "0||anna ibm"),
        ("do not go without it, it isn't there and can\u2019t be", "4||"),
        ("Das ist nicht ohne, ce n'est pas", "3||"),
        ("15% or 15 percent of $20", "0|15 15 $ 20|"),
        ("a + b - c in C++ or C#", "0|+ + + #|c c"),
        ("follow-up, up to 5-10 days", "0|5 10|"),
        ("3 \u2212 \u22122", "0|3 - -2|"),
        ("", "0||"),
    ],
)
def test_numbers_symbols_names_and_negations_are_exact(text: str, part: str) -> None:
    assert exact_part(text).decode() == part


@pytest.mark.parametrize(
    ("one", "other", "may_be_the_same"),
    [
        ("What's the time?", "what\u2019s the time", True),
        ("What is the time?", "what's the time", True),
        ("Turn it on", "Turn it off", False),
        ("Turn it on", "Please turn it on", False),
        ("euros to dollars", "dollars to euros", False),
        ("How do I turn it on?", "Which switch turns it on?", True),
        ("$100", "100", False),
        ("\u4eca\u65e5\u306f", "\u660e\u65e5\u306f", False),
        ("\u4eca\u65e5\u306f\u6691\u3044", "\u672c\u65e5\u306f\u9ad8\u6e29\u3067\u3059", True),
    ],
)
def test_other_words_are_more_than_one(one: str, other: str, *, may_be_the_same: bool) -> None:
    assert in_other_words(one, other) is may_be_the_same
    assert in_other_words(other, one) is may_be_the_same


@given(st.text(), st.text())
def test_any_text_has_an_exact_part_and_is_in_its_own_words(one: str, other: str) -> None:
    assert exact_part(one) == exact_part(one)
    assert in_other_words(one, one)
    assert in_other_words(one, other) == in_other_words(other, one)
