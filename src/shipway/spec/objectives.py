"""`[objectives]`: what counts as good, said once. A canary is judged by it."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import Field
from pydantic_core import CoreSchema, core_schema

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
from shipway.spec.wording import found, quoted

COUNTED = ("cost", "quality")
"""The objectives by which the gateway tells good from bad itself; of the others its histograms say enough."""

_SHARE = r"[0-9]{1,2}(\.[0-9]{1,6})?%"


@dataclass(frozen=True, slots=True)
class _Objective(ABC):
    """At least *share* of all (0 to 1) is good; one string in the file, and `str` of it is that string again.

    What is read is wider than what the schema shows: of a wrong number the parser of numbers has more to say.
    """

    title: ClassVar[str]
    examples: ClassVar[tuple[str, ...]]
    pattern: ClassVar[str]
    """The share, and in a second group what is good."""
    schema_pattern: ClassVar[str]

    share: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises: ValueError, with what to write instead."""
        match = re.fullmatch(cls.pattern, text)
        if match is None:
            raise ValueError(f"{cls._expected()}, found {found(text)}")
        return cls._from(parse_percent(match[1]), match)

    @classmethod
    @abstractmethod
    def _from(cls, share: float, match: re.Match[str]) -> Self:
        """Raises: ValueError."""

    @classmethod
    def _expected(cls) -> str:
        return f"expected an objective such as {' or '.join(quoted(example) for example in cls.examples)}"

    @classmethod
    def _read(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise mistake(f"{cls._expected()}, found {found(value)}")
        try:
            return cls.parse(value)
        except ValueError as error:
            raise mistake(str(error)) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        text = core_schema.to_string_ser_schema(when_used="json")
        return core_schema.no_info_plain_validator_function(cls._read, serialization=text)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        pattern = f"^{cls.schema_pattern}$"
        return {"type": "string", "title": cls.title, "pattern": pattern, "examples": list(cls.examples)}


@dataclass(frozen=True, slots=True)
class Within(_Objective):
    """At least *share* of all (0 to 1) take no more than *under_s*."""

    title = "share under a duration"
    examples = ("95% under 800ms",)
    pattern = r"([0-9.]+%) under (\S+)"
    schema_pattern = rf"{_SHARE} under [0-9.]+({'|'.join(DURATION_UNITS)})"

    under_s: float

    def __str__(self) -> str:
        return f"{format_percent(self.share)} under {format_seconds(self.under_s)}"

    @classmethod
    def _from(cls, share: float, match: re.Match[str]) -> Self:
        return cls(share, parse_seconds(match[2]))


@dataclass(frozen=True, slots=True)
class WithinCost(_Objective):
    """At least *share* of all (0 to 1) cost no more than *under_pico_usd*."""

    title = "share under an amount of money"
    examples = ("95% under 0.02 USD",)
    pattern = r"([0-9.]+%) under (\S+ [A-Z]+)"
    schema_pattern = rf"{_SHARE} under [0-9]{{1,20}}(\.[0-9]{{1,9}})? USD"

    under_pico_usd: int

    def __str__(self) -> str:
        return f"{format_percent(self.share)} under {Money(Decimal(self.under_pico_usd) / PICO, 'USD')}"

    @classmethod
    def _from(cls, share: float, match: re.Match[str]) -> Self:
        money = parse_money(match[2])
        if money.currency != "USD":
            raise ValueError(f"prices are in USD, found {found(match[0])}")
        if money.amount == 0:
            raise ValueError(f"expected more than zero, found {found(match[0])}")
        return cls(share, int(money.amount * PICO))


@dataclass(frozen=True, slots=True)
class Quality(_Objective):
    """At least *share* of all that are labelled (0 to 1) are good.

    Attributes:
        good_score: An answer with a score is good from this one on; None where only labels say so.
    """

    title = "share that is good"
    examples = ("90% good", "90% at least 0.7")
    pattern = r"([0-9.]+%) (?:good|at least (0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?))"
    schema_pattern = rf"{_SHARE} (good|at least (0(\.[0-9]{{1,6}})?|1(\.0{{1,6}})?))"

    good_score: float | None = None

    def __str__(self) -> str:
        asked = "good" if self.good_score is None else f"at least {self.good_score!r}"
        return f"{format_percent(self.share)} {asked}"

    @classmethod
    def _from(cls, share: float, match: re.Match[str]) -> Self:
        return cls(share, None if match[2] is None else float(match[2]))


class Objectives(Section):
    """What counts as good. Each answer is good or bad by each objective, and a canary must not have more bad ones.

    Times are judged at the bound of the metric's bucket that is nearest below; the reference of metrics has the bounds.
    """

    availability: Percentage = Field(
        default=0.99, description="Share of requests that are answered without a server's error."
    )
    first_token: Within | None = Field(
        default=None, description="Time from a model call's arrival to the first token of its stream."
    )
    latency: Within | None = Field(default=None, description="Time from a request's arrival to the end of its answer.")
    cost: WithinCost | None = Field(
        default=None,
        description="What a call of a model costs by its tokens and their prices; calls of unknown cost do not count.",
    )
    quality: Quality | None = Field(
        default=None,
        description="Answers that are labelled through the admin API, by a person or a judge of yours. `90% good` goes by "
        "labels; `90% at least 0.7` also takes scores from 0 to 1, of which those are good.",
    )
