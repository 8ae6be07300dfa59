"""Invoices worked out by hand, class by class, and what is not known."""

import datetime as dt
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.cost.prices import Period, Price, Prices, Rates, day_s, stated_prices
from shipway.spec.prices import PICO
from shipway.spec.prices import Price as StatedPrice


@dataclass(frozen=True)
class Used:
    """Tokens of a call; None is unknown."""

    input: int | None = None
    cached_read: int | None = None
    cached_write: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    output: int | None = None
    reasoning: int | None = None
    output_audio: int | None = None
    output_image: int | None = None


def rates(**usd_per_mtok: str) -> Rates:
    stated = StatedPrice.model_validate({name: f"{amount} USD/Mtok" for name, amount in usd_per_mtok.items()})
    return stated_prices(stated).at(0.0).rates


SONNET = rates(input="3", cached_read="0.3", cached_write="3.75", output="15")
MINI = rates(input="0.25", cached_read="0.025", output="2")
AUDIO = rates(input="2.5", output="10", input_audio="32", output_audio="64")


@pytest.mark.parametrize(
    ("price", "used", "pico_usd"),
    [
        # 1000 x 0.25 and 500 x 2 dollars a million
        (MINI, Used(input=1000, output=500), 250_000_000 + 1_000_000_000),
        # of 1000 tokens 900 were in the cache: 100 x 0.25 + 900 x 0.025
        (MINI, Used(input=100, cached_read=900, output=0), 25_000_000 + 22_500_000),
        # of 500 tokens 400 are reasoning, which is billed as output and once
        (MINI, Used(input=0, output=100, reasoning=400), 1_000_000_000),
        # 10 x 3 + 2000 x 3.75 + 50000 x 0.3 + 200 x 15
        (
            SONNET,
            Used(input=10, cached_write=2000, cached_read=50_000, output=200),
            30_000_000 + 7_500_000_000 + 15_000_000_000 + 3_000_000_000,
        ),
        # 20 x 2.5 + 100 x 32 + 10 x 10 + 50 x 64
        (AUDIO, Used(input=20, input_audio=100, output=10, output_audio=50), 6_550_000_000),
        # images that are seen are plain tokens unless they have a price
        (MINI, Used(input=0, input_image=1000, output=0), 250_000_000),
        (rates(input="0.2", input_image="0.45"), Used(input=10, input_image=10), 6_500_000),
        # one of the cheapest there is: 1 token at 0.02 dollars a million
        (rates(input="0.02"), Used(input=1), 20_000),
    ],
)
def test_an_invoice_is_what_it_is_by_hand(price: Rates, used: Used, pico_usd: int) -> None:
    assert price.cost(used) == pico_usd


@pytest.mark.parametrize(
    ("price", "used"),
    [
        (MINI, Used()),
        (MINI, Used(input=10)),  # a stream that was cut before its usage came
        (MINI, Used(output=10)),
        (MINI, Used(input=10, input_audio=1, output=1)),  # audio costs another price, which nobody stated
        (MINI, Used(input=10, output=1, output_image=1)),
        (rates(input="0.02"), Used(input=10, output=1)),
    ],
)
def test_what_is_not_known_is_not_zero(price: Rates, used: Used) -> None:
    assert price.cost(used) is None
    assert price.plain(used.input, None) is None or price.output is None


def test_embeddings_have_nothing_that_comes_out() -> None:
    embeddings = rates(input="0.02")
    costs = [embeddings.cost(Used(input=50)), embeddings.plain(50, None), embeddings.plain(50, 0)]
    assert costs == [1_000_000] * 3
    assert embeddings.plain(50, 3) is None


counts = st.integers(0, 10**7)


@given(counts, counts, counts, counts)
def test_classes_cost_no_less_and_no_more_than_they_sum_to(given: int, cached: int, made: int, thought: int) -> None:
    flat = rates(input="1.25", cached_read="1.25", output="10")
    used = Used(input=given, cached_read=cached, output=made, reasoning=thought)
    assert flat.cost(used) == flat.plain(given + cached, made + thought)


def test_a_thousand_million_calls_sum_without_a_rounding_error() -> None:
    assert MINI.plain(1, 1) == 2_250_000
    assert 10**9 * 2_250_000 / PICO == 2250.0


def test_a_tier_is_for_all_tokens_of_a_call_above_it() -> None:
    dear = rates(input="2.5", output="15")
    price = Price(rates(input="1.25", output="10"), ((200_000, dear),))
    assert price.for_input(200_000).plain(200_000, 1) == 200_000 * 1_250_000 + 10_000_000
    assert price.for_input(200_001).plain(200_001, 1) == 200_001 * 2_500_000 + 15_000_000
    assert price.for_input(None) is price.rates


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


OLD, NEW, NIGHT = (Price(Rates(number)) for number in (1, 2, 3))


def test_a_price_holds_from_its_day_on_and_another_at_night() -> None:
    prices = Prices((Period(OLD), Period(NEW, day_s("2026-11-01")), Period(NIGHT, hours=(16 * 3600, 1800))))
    assert [
        prices.at(at(moment)).rates.input
        for moment in ("2026-10-31T15:59:59", "2026-11-01T00:30:00", "2026-11-01T16:00:00", "2026-11-02T00:29:59")
    ] == [1, 2, 3, 3]


def test_prices_of_the_past_are_let_go() -> None:
    prices = Prices((Period(OLD), Period(NEW, day_s("2026-11-01")), Period(NIGHT, day_s("2027-01-01"))))
    assert prices.since(at("2026-11-02T00:00:00")).periods == prices.periods[1:]
    assert prices.since(at("2027-01-01T00:00:00")).periods == prices.periods[2:]
    assert prices.since(at("2026-01-01T00:00:00")) == prices
    hours = Prices((Period(OLD), Period(NIGHT, hours=(1, 2))))
    assert hours.since(at("2026-01-01T00:00:00")) == hours


def test_a_log_line_says_money_as_an_exact_number() -> None:
    said = b'{"cost_usd":%d.%012d}' % divmod(1_234_000_000_005, PICO)
    assert said == b'{"cost_usd":1.234000000005}'
    assert json.loads(said) == {"cost_usd": 1.234000000005}
