"""`[models.NAME.price]`: what tokens cost, where the app file says so itself. Pure."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from shipway.spec.section import Section, mistake
from shipway.spec.wording import found, listed

_EXAMPLE = '"0.15 USD/Mtok"'
_PRICE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,12})?) ([A-Z]{3})/([A-Za-z]+)")
_TOKENS: Mapping[str, int] = {"tok": 1, "ktok": 10**3, "Mtok": 10**6}

PICO = 10**12
"""Prices are counted in millionths of a millionth of a dollar, so that sums of them are whole numbers and exact."""


def parse_token_price(text: str) -> int:
    """The price of one token in pico-dollars, from `0.15 USD/Mtok` or `2 USD/ktok`; more than zero.

    Raises: ValueError, with what to write instead.
    """
    match = _PRICE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a price such as {_EXAMPLE}, found {found(text)}")
    amount, currency, unit = match.groups()
    if currency != "USD":
        raise ValueError(f"prices are in USD, found {found(text)}")
    if unit not in _TOKENS:
        raise ValueError(f"unknown unit {found(unit)} in {found(text)}: write {listed('USD/' + u for u in _TOKENS)}")
    price = Decimal(amount) * PICO / _TOKENS[unit]
    if price == 0:
        raise ValueError(
            f"expected more than zero, found {found(text)}: what is not stated is unknown, nothing is free"
        )
    if price != price.to_integral_value():
        raise ValueError(f"expected at most six decimals of a USD/Mtok, found {found(text)}")
    return int(price)


def format_token_price(pico_usd: int) -> str:
    """The text in dollars per million tokens that `parse_token_price` reads as *pico_usd*."""
    return f"{(Decimal(pico_usd) * 10**6 / PICO).normalize():f} USD/Mtok"


def _token_price(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        raise mistake(f'expected a price with a unit such as {_EXAMPLE}, found {value} (write "{value} USD/Mtok")')
    if not isinstance(value, str):
        raise mistake(f"expected a price such as {_EXAMPLE}, found {found(value)}")
    try:
        return parse_token_price(value)
    except ValueError as error:
        raise mistake(str(error)) from None


TokenPrice = Annotated[
    int,
    PlainValidator(_token_price),
    PlainSerializer(format_token_price, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "price of tokens",
            "pattern": rf"^[0-9]{{1,9}}(\.[0-9]{{1,12}})? USD/({'|'.join(_TOKENS)})$",
            "examples": [_EXAMPLE.strip('"')],
        }
    ),
]
"""Pico-dollars a token; dollars for so many tokens in the file."""


class Price(Section):
    """What the tokens of a model cost, class by class. Each token is in one class and is billed once.

    It stands in place of the price that Shipway knows, altogether: a class that is not in it has the price it falls back on,
    and a call with tokens of a class that has none has an unknown cost.
    """

    input: TokenPrice = Field(description="Tokens that go in, but for those below.")
    output: TokenPrice | None = Field(
        default=None, description="Tokens that come out, but for those below. Embeddings have none."
    )
    cached_read: TokenPrice | None = Field(
        default=None, description="Tokens that go in and were in the provider's cache; else the price of `input`."
    )
    cached_write: TokenPrice | None = Field(
        default=None, description="Tokens that go in and into the provider's cache; else the price of `input`."
    )
    input_audio: TokenPrice | None = Field(default=None, description="Audio that goes in.")
    input_image: TokenPrice | None = Field(default=None, description="Images that go in; else the price of `input`.")
    reasoning: TokenPrice | None = Field(
        default=None, description="Tokens that the model thinks with; else the price of `output`."
    )
    output_audio: TokenPrice | None = Field(default=None, description="Audio that comes out.")
    output_image: TokenPrice | None = Field(default=None, description="Images that come out.")

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        if "reasoning" in given and "output" not in given:
            yield '"reasoning" needs "output"'
