from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.spec.units import (
    MAX_DURATION_S,
    MAX_SIZE_BYTES,
    Money,
    Rate,
    format_bytes,
    format_percent,
    format_seconds,
    parse_bytes,
    parse_money,
    parse_percent,
    parse_rate,
    parse_seconds,
)

PARSERS: list[Callable[[str], Any]] = [parse_seconds, parse_bytes, parse_rate, parse_money, parse_percent]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("1d", 86400.0), ("1.5s", 1.5), ("2 s", 2.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("64KiB", 65536), ("10MiB", 10485760), ("1MB", 1000000), ("1.5kB", 1500), ("2 GB", 2 * 10**9)],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60/min", Rate(Decimal(60), 60.0)),
        ("100k/min", Rate(Decimal(100_000), 60.0)),
        ("5/s", Rate(Decimal(5), 1.0)),
        ("2.5M/d", Rate(Decimal(2_500_000), 86400.0)),
    ],
)
def test_rates_are_counts_in_a_window(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


def test_money_is_decimal_and_has_a_currency() -> None:
    assert parse_money("50 USD") == Money(Decimal(50), "USD")
    assert parse_money("0.10 EUR").amount * 3 == Decimal("0.30")


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_seconds, "30", 'expected a duration with a unit such as "30s", found "30"'),
        (parse_seconds, "", 'expected a duration such as "30s", found an empty string'),
        (parse_seconds, "5 mn", 'unknown unit "mn" in "5 mn" (did you mean "m"?)'),
        (parse_seconds, "5y", 'unknown unit "y" in "5y" (one of ms, s, m, h, d)'),
        (parse_seconds, "-5s", 'expected more than zero, found "-5s"'),
        (parse_seconds, "0ms", 'expected more than zero, found "0ms"'),
        (parse_seconds, "366d", 'expected at most "365d", found "366d"'),
        (parse_seconds, "٣s", 'expected a duration such as "30s", found "٣s"'),
        (parse_bytes, "10mib", 'unknown unit "mib" in "10mib" (did you mean "MiB"?)'),
        (parse_bytes, "0B", 'expected more than zero, found "0B"'),
        (parse_bytes, "1.5B", 'expected a whole number of bytes, found "1.5B"'),
        (parse_bytes, "2000000TiB", 'expected at most "1048576TiB", found "2000000TiB"'),
        (parse_rate, "60", 'expected a rate such as "60/min", found "60"'),
        (parse_rate, "60/minute", 'unknown unit "minute" in "60/minute": write "/s", "/min", "/h" or "/d"'),
        (parse_rate, "0/s", 'expected more than zero, found "0/s"'),
        (parse_money, "$50", 'expected an amount and a currency such as "50 USD", found "$50"'),
        (parse_money, "50 dollars", 'expected an amount and a currency such as "50 USD", found "50 dollars"'),
    ],
)
def test_a_wrong_text_says_what_to_write(parse: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"expected|unknown") as caught:
        parse(text)
    assert str(caught.value) == message


@given(st.integers(min_value=1, max_value=MAX_DURATION_S * 1000))
def test_durations_survive_a_round_trip(milliseconds: int) -> None:
    assert parse_seconds(format_seconds(milliseconds / 1000)) == milliseconds / 1000


@given(st.integers(min_value=1, max_value=MAX_SIZE_BYTES // 1024))
def test_sizes_survive_a_round_trip(size: int) -> None:
    assert parse_bytes(format_bytes(size)) == size


@given(st.decimals(min_value="0.01", max_value=10**9, places=2), st.sampled_from([1.0, 60.0, 3600.0, 86400.0]))
def test_rates_and_money_survive_a_round_trip(amount: Decimal, per_s: float) -> None:
    assert parse_rate(str(Rate(amount, per_s))) == Rate(amount, per_s)
    assert parse_money(str(Money(amount, "USD"))) == Money(amount, "USD")


@pytest.mark.parametrize("parse", PARSERS)
@given(st.one_of(st.text(), st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{0,12})?[ /]?[A-Za-zµ/]{0,6}", fullmatch=True)))
def test_any_text_parses_or_is_refused_in_words(parse: Callable[[str], object], text: str) -> None:
    message = _refusal(parse, text)
    assert message is None or (message.startswith(("expected", "unknown unit")) and message.isprintable())


def _refusal(parse: Callable[[str], object], text: str) -> str | None:
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (1.5, "1.5s"), (90.0, "90s"), (3600.0, "1h"), (0.0005, "0.5ms")]
)
def test_durations_are_written_in_the_largest_unit_that_is_whole(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@given(st.integers(1, 99_999_999))
def test_percentages_survive_a_round_trip(millionths: int) -> None:
    share = millionths / 100_000_000
    assert parse_percent(format_percent(share)) == share
