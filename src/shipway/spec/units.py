"""Durations, sizes, rates and money: strings with units in the file, plain values in code. Pure parsers.

All raise ValueError with a text that says what to write instead.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from shipway.spec.section import from_file, mistake
from shipway.spec.wording import did_you_mean, found, listed

_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,9})?"
_QUANTITY = re.compile(rf"(-?)({_NUMBER})[ ]?([A-Za-zµ]*)")
_RATE = re.compile(rf"({_NUMBER})(k|M|)/([a-z]+)")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)[ ]?%")
_MONEY = re.compile(rf"({_NUMBER}) ([A-Z]{{3}})")

DURATION_UNITS: Mapping[str, Decimal] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
SIZE_UNITS: Mapping[str, Decimal] = {
    "B": Decimal(1),
    "kB": Decimal(10**3),
    "KB": Decimal(10**3),
    "MB": Decimal(10**6),
    "GB": Decimal(10**9),
    "TB": Decimal(10**12),
    "KiB": Decimal(2**10),
    "MiB": Decimal(2**20),
    "GiB": Decimal(2**30),
    "TiB": Decimal(2**40),
}
RATE_UNITS: Mapping[str, float] = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
COUNT_SUFFIXES: Mapping[str, int] = {"": 1, "k": 10**3, "M": 10**6}

MAX_DURATION_S = 365 * 86400
MAX_SIZE_BYTES = 2**60


@dataclass(frozen=True, slots=True)
class Rate:
    """*count* things in each window of *per_s* seconds."""

    count: Decimal
    per_s: float

    def __str__(self) -> str:
        unit = next((name for name, seconds in RATE_UNITS.items() if seconds == self.per_s), f"{self.per_s:g}s")
        return f"{_plain(self.count)}/{unit}"


@dataclass(frozen=True, slots=True)
class Money:
    """*amount* in *currency* (three letters, ISO 4217). Decimal, so that cents add up."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{_plain(self.amount)} {self.currency}"


def parse_seconds(text: str) -> float:
    """Seconds from `250ms`, `30s`, `5m`, `1h` or `1d`; more than zero, at most a year."""
    seconds = _quantity(text, DURATION_UNITS, "a duration", "30s")
    if seconds == 0:
        raise ValueError(f"expected more than zero, found {found(text)}")
    if seconds > MAX_DURATION_S:
        raise ValueError(f'expected at most "365d", found {found(text)}')
    return float(seconds)


def parse_bytes(text: str) -> int:
    """Bytes from `512B`, `64KiB` (1024 each) or `1MB` (1000 each); a whole number of them, more than zero."""
    size = _quantity(text, SIZE_UNITS, "a size", "10MiB")
    if size == 0:
        raise ValueError(f"expected more than zero, found {found(text)}")
    if size != size.to_integral_value():
        raise ValueError(f"expected a whole number of bytes, found {found(text)}")
    if size > MAX_SIZE_BYTES:
        raise ValueError(f"expected at most {format_bytes(MAX_SIZE_BYTES)!r}, found {found(text)}".replace("'", '"'))
    return int(size)


def parse_rate(text: str) -> Rate:
    """A rate from `5/s`, `60/min`, `100k/min` or `2M/d`."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a rate such as "60/min", found {found(text)}')
    number, suffix, unit = match.groups()
    if unit not in RATE_UNITS:
        raise ValueError(f"unknown unit {found(unit)} in {found(text)}: write {listed('/' + u for u in RATE_UNITS)}")
    count = Decimal(number) * COUNT_SUFFIXES[suffix]
    if count == 0:
        raise ValueError(f"expected more than zero, found {found(text)}")
    return Rate(count, RATE_UNITS[unit])


def parse_money(text: str) -> Money:
    """Money from `50 USD` or `0.25 EUR`."""
    match = _MONEY.fullmatch(text)
    if match is None:
        raise ValueError(f'expected an amount and a currency such as "50 USD", found {found(text)}')
    return Money(Decimal(match[1]), match[2])


def parse_percent(text: str) -> float:
    """A share from `99.5%`: 0.995; more than 0% and less than 100%."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a percentage such as "99.5%", found {found(text)}')
    share = Decimal(match[1]) / 100
    if not 0 < share < 1:
        raise ValueError(f"expected more than 0% and less than 100%, found {found(text)}")
    return float(share)


def format_percent(share: float) -> str:
    """The shortest text that `parse_percent` reads as *share*."""
    return f"{_plain(Decimal(repr(share)) * 100)}%"


def format_seconds(seconds: float) -> str:
    """The shortest text that `parse_seconds` reads as *seconds* (to a nanosecond)."""
    exact = Decimal(repr(seconds))
    units = [unit for unit in ("d", "h", "m", "s") if exact % DURATION_UNITS[unit] == 0 and exact]
    return _with_unit(exact, units[0] if units else "ms" if exact < 1 else "s", DURATION_UNITS)


def format_bytes(size_bytes: int) -> str:
    """The shortest text that `parse_bytes` reads as *size_bytes*."""
    exact = Decimal(size_bytes)
    binary = [unit for unit in ("TiB", "GiB", "MiB", "KiB") if exact % SIZE_UNITS[unit] == 0 and exact]
    decimal = [unit for unit in ("TB", "GB", "MB", "kB") if exact % SIZE_UNITS[unit] == 0 and exact]
    return _with_unit(exact, (binary + decimal + ["B"])[0], SIZE_UNITS)


def _quantity(text: str, units: Mapping[str, Decimal], what: str, example: str) -> Decimal:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f'expected {what} such as "{example}", found {found(text)}')
    sign, number, unit = match.groups()
    if not unit:
        raise ValueError(f'expected {what} with a unit such as "{example}", found {found(text)}')
    if unit not in units:
        nearest = did_you_mean(unit, units) or f" (one of {', '.join(units)})"
        raise ValueError(f"unknown unit {found(unit)} in {found(text)}{nearest}")
    if sign:
        raise ValueError(f"expected more than zero, found {found(text)}")
    return Decimal(number) * units[unit]


def _with_unit(exact: Decimal, unit: str, units: Mapping[str, Decimal]) -> str:
    return f"{_plain(exact / units[unit])}{unit}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _validator(parse: Callable[[str], Any], what: str, example: str, bare_unit: str) -> BeforeValidator:
    def validate(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            try:
                return parse(value)
            except ValueError as error:
                raise mistake(str(error)) from None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and not from_file(info):
            return value
        write = f' (write "{found(value)}{bare_unit}")' if is_number and value > 0 and value < 10**9 else ""
        raise mistake(f'expected {what} such as "{example}", found {found(value)}{write}')

    return BeforeValidator(validate)


def _schema(title: str, units: Mapping[str, Decimal], examples: list[str]) -> WithJsonSchema:
    pattern = rf"^{_NUMBER} ?({'|'.join(units)})$"
    return WithJsonSchema({"type": "string", "title": title, "pattern": pattern, "examples": examples})


Seconds = Annotated[
    float,
    _validator(parse_seconds, "a duration", "30s", "s"),
    PlainSerializer(format_seconds, return_type=str, when_used="json"),
    _schema("duration", DURATION_UNITS, ["250ms", "30s", "5m", "1h", "1d"]),
]
"""Seconds; a duration with a unit in the file."""

Bytes = Annotated[
    int,
    _validator(parse_bytes, "a size", "10MiB", "B"),
    PlainSerializer(format_bytes, return_type=str, when_used="json"),
    _schema("size", SIZE_UNITS, ["512B", "64KiB", "10MiB", "1MB"]),
]
"""Bytes; a size with a unit in the file."""

Percentage = Annotated[
    float,
    _validator(parse_percent, "a percentage", "99.5%", "%"),
    PlainSerializer(format_percent, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "percentage",
            "pattern": r"^[0-9]{1,2}(\.[0-9]{1,6})? ?%$",
            "examples": ["5%", "99.5%"],
        }
    ),
]
"""A share, more than 0 and less than 1; a percentage in the file."""
