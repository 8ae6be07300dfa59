"""Prices in the app file: strings with units, more than zero, in dollars; nothing is free by being left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shipway.spec.app import App
from shipway.spec.objectives import Objectives, Quality, WithinCost
from shipway.spec.prices import PICO, format_token_price, parse_token_price

BASE = 'name = "a"\n[models.m]\nupstreams = ["local/x"]\n'
PRICE = '[models.m.price]\ninput = "0.15 USD/Mtok"\n'


@pytest.mark.parametrize(
    ("text", "pico_usd"),
    [
        ("0.15 USD/Mtok", 150_000),
        ("2 USD/ktok", 2_000_000_000),
        ("1 USD/tok", PICO),
        ("0.000001 USD/Mtok", 1),
        ("0.000000000001 USD/tok", 1),
    ],
)
def test_a_price_is_whole_pico_dollars_a_token(text: str, pico_usd: int) -> None:
    assert parse_token_price(text) == pico_usd
    assert parse_token_price(format_token_price(pico_usd)) == pico_usd


def test_a_model_and_each_of_its_upstreams_may_state_a_price(load: Callable[..., App]) -> None:
    text = (
        'name = "a"\n[models.m]\nprice = { input = "3 USD/Mtok", output = "15 USD/Mtok" }\n'
        'upstreams = ["openai/x", { model = "local/y", price = { input = "0.02 USD/Mtok" } }]\n'
    )
    model = load(text).models["m"]
    assert model.price is not None
    assert (model.price.input, model.price.output, model.price.cached_read) == (3_000_000, 15_000_000, None)
    assert [None if one.price is None else one.price.input for one in model.upstreams] == [None, 20_000]
    assert model.price.model_dump(mode="json", exclude_none=True) == {"input": "3 USD/Mtok", "output": "15 USD/Mtok"}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('price = { output = "1 USD/Mtok" }', 'models.m.price: missing key "input"'),
        ('price = { input = "0.15" }', 'models.m.price.input: expected a price such as "0.15 USD/Mtok", found "0.15"'),
        (
            "price = { input = 3 }",
            'models.m.price.input: expected a price with a unit such as "0.15 USD/Mtok", found 3',
        ),
        ("price = { input = 0.3 }", 'models.m.price.input: expected a price such as "0.15 USD/Mtok", found 0.3'),
        ('price = { input = "0 USD/Mtok" }', "models.m.price.input: expected more than zero"),
        ('price = { input = "1 EUR/Mtok" }', 'models.m.price.input: prices are in USD, found "1 EUR/Mtok"'),
        ('price = { input = "1 USD/Gtok" }', 'models.m.price.input: unknown unit "Gtok" in "1 USD/Gtok": write'),
        (
            'price = { input = "0.0000001 USD/Mtok" }',
            "models.m.price.input: expected at most six decimals of a USD/Mtok",
        ),
        (
            'price = { input = "1 USD/Mtok", reasoning = "2 USD/Mtok" }',
            'models.m.price: "reasoning" needs "output"',
        ),
        ('price = { imput = "1 USD/Mtok" }', 'models.m.price.imput: unknown key "imput" (did you mean "input"?)'),
        ('price = "1 USD/Mtok"', "models.m.price: expected a table, found a string"),
    ],
)
def test_a_mistake_in_a_price_is_said_at_its_place(
    problems: Callable[..., list[str]], table: str, expected: str
) -> None:
    assert any(one.startswith(expected) for one in problems(BASE + table + "\n")), problems(BASE + table + "\n")


def test_objectives_of_money_and_quality_are_shares(load: Callable[..., App]) -> None:
    text = BASE + '[objectives]\ncost = "95% under 0.02 USD"\nquality = "90% at least 0.7"\n'
    objectives = load(text).objectives
    assert objectives == Objectives(cost=WithinCost(0.95, PICO // 50), quality=Quality(0.9, 0.7))
    assert (str(objectives.cost), str(objectives.quality)) == ("95% under 0.02 USD", "90% at least 0.7")
    assert str(Quality(0.9)) == "90% good"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('cost = "95% under 2s"', 'objectives.cost: expected an objective such as "95% under 0.02 USD", found'),
        ('cost = "95% under 2 EUR"', 'objectives.cost: prices are in USD, found "95% under 2 EUR"'),
        ('cost = "95% under 0 USD"', "objectives.cost: expected more than zero"),
        ("cost = 0.02", 'objectives.cost: expected an objective such as "95% under 0.02 USD", found 0.02'),
        ('quality = "90%"', 'objectives.quality: expected an objective such as "90% good" or "90% at least 0.7"'),
        ('quality = "90% at least 7"', 'objectives.quality: expected an objective such as "90% good" or'),
        ('quality = "100% good"', "objectives.quality: expected more than 0% and less than 100%"),
    ],
)
def test_a_mistake_in_such_an_objective_is_said_at_its_place(
    problems: Callable[..., list[str]], line: str, expected: str
) -> None:
    (problem,) = problems(BASE + f"[objectives]\n{line}\n")
    assert problem.startswith(expected)
