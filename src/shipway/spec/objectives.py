"""`[objectives]`: what counts as good, said once. A canary is judged by it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from shipway.spec.prices import PICO
from shipway.spec.section import Section, mistake
from shipway.spec.units import (
    DURATION_UNITS,
    Money,
    Percentage,
    format_percent,
    format_seconds,
    parse_money,
    parse_percent,
    parse_seconds,
)
from shipway.spec.wording import found

_WITHIN = re.compile(r"([0-9.]+%) under (\S+)")
_WITHIN_COST = re.compile(r"([0-9.]+%) under (\S+ [A-Z]+)")
_QUALITY = re.compile(r"([0-9.]+%) (?:good|at least (0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?))")
_EXAMPLE = '"95% under 800ms"'
_COST_EXAMPLE = '"95% under 0.02 USD"'
_QUALITY_EXAMPLE = '"90% good" or "90% at least 0.7"'

COUNTED = ("cost", "quality")
"""The objectives by which the gateway tells good from bad itself; of the others its histograms say enough."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Within:
    """At least *share* of all (0 to 1) take no more than *under_s*."""

    share: float
    under_s: float

    def __str__(self) -> str:
        return f"{format_percent(self.share)} under {format_seconds(self.under_s)}"


@dataclass(frozen=True, slots=True)
class WithinCost:
    """At least *share* of all (0 to 1) cost no more than *under_pico_usd*."""

    share: float
    under_pico_usd: int

    def __str__(self) -> str:
        return f"{format_percent(self.share)} under {Money(Decimal(self.under_pico_usd) / PICO, 'USD')}"


@dataclass(frozen=True, slots=True)
class Quality:
    """At least *share* of all that are labelled (0 to 1) are good.

    Attributes:
        good_score: An answer with a score is good from this one on; None where only labels say so.
    """

    share: float
    good_score: float | None = None

    def __str__(self) -> str:
        asked = "good" if self.good_score is None else f"at least {self.good_score!r}"
        return f"{format_percent(self.share)} {asked}"


def parse_within_cost(text: str) -> WithinCost:
    """An objective from `95% under 0.02 USD`. Raises: ValueError, with what to write instead."""
    match = _WITHIN_COST.fullmatch(text)
    if match is None:
        raise ValueError(f"expected an objective such as {_COST_EXAMPLE}, found {found(text)}")
    money = parse_money(match[2])
    if money.currency != "USD":
        raise ValueError(f"prices are in USD, found {found(text)}")
    if money.amount == 0:
        raise ValueError(f"expected more than zero, found {found(text)}")
    return WithinCost(parse_percent(match[1]), int(money.amount * PICO))


def parse_quality(text: str) -> Quality:
    """An objective from `90% good` or `90% at least 0.7`. Raises: ValueError, with what to write instead."""
    match = _QUALITY.fullmatch(text)
    if match is None:
        raise ValueError(f"expected an objective such as {_QUALITY_EXAMPLE}, found {found(text)}")
    return Quality(parse_percent(match[1]), None if match[2] is None else float(match[2]))


def parse_within(text: str) -> Within:
    """An objective from `95% under 800ms`. Raises: ValueError, with what to write instead."""
    match = _WITHIN.fullmatch(text)
    if match is None:
        raise ValueError(f"expected an objective such as {_EXAMPLE}, found {found(text)}")
    return Within(parse_percent(match[1]), parse_seconds(match[2]))


def _read(kind: type[_T], parse: Callable[[str], _T], example: str) -> PlainValidator:
    def read(value: Any) -> _T:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise mistake(f"expected an objective such as {example}, found {found(value)}")
        try:
            return parse(value)
        except ValueError as error:
            raise mistake(str(error)) from None

    return PlainValidator(read)


WithinTime = Annotated[
    Within,
    _read(Within, parse_within, _EXAMPLE),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "share under a duration",
            "pattern": rf"^[0-9]{{1,2}}(\.[0-9]{{1,6}})?% under [0-9.]+({'|'.join(DURATION_UNITS)})$",
            "examples": [_EXAMPLE.strip('"')],
        }
    ),
]
"""A `Within`; a share and a duration in the file."""

CostObjective = Annotated[
    WithinCost,
    _read(WithinCost, parse_within_cost, _COST_EXAMPLE),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "share under an amount of money",
            "pattern": r"^[0-9]{1,2}(\.[0-9]{1,6})?% under [0-9]{1,20}(\.[0-9]{1,9})? USD$",
            "examples": [_COST_EXAMPLE.strip('"')],
        }
    ),
]
"""A `WithinCost`; a share and dollars in the file."""

QualityObjective = Annotated[
    Quality,
    _read(Quality, parse_quality, _QUALITY_EXAMPLE),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "share that is good",
            "pattern": r"^[0-9]{1,2}(\.[0-9]{1,6})?% (good|at least (0(\.[0-9]{1,6})?|1(\.0{1,6})?))$",
            "examples": ["90% good", "90% at least 0.7"],
        }
    ),
]
"""A `Quality`; a share and perhaps a score in the file."""


class Objectives(Section):
    """What counts as good. Each answer is good or bad by each objective, and a canary must not have more bad ones.

    Times are judged at the bound of the metric's bucket that is nearest below; the reference of metrics has the bounds.
    """

    availability: Percentage = Field(
        default=0.99, description="Share of requests that are answered without a server's error."
    )
    first_token: WithinTime | None = Field(
        default=None, description="Time from a model call's arrival to the first token of its stream."
    )
    latency: WithinTime | None = Field(
        default=None, description="Time from a request's arrival to the end of its answer."
    )
    cost: CostObjective | None = Field(
        default=None,
        description="What a call of a model costs by its tokens and their prices; calls of unknown cost do not count.",
    )
    quality: QualityObjective | None = Field(
        default=None,
        description="Answers that are labelled through the admin API, by a person or a judge of yours. `90% good` goes by "
        "labels; `90% at least 0.7` also takes scores from 0 to 1, of which those are good.",
    )
