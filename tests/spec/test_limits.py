"""`[limits.NAME]`: a rate as a person writes it."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from shipway.spec.limits import Limit
from shipway.spec.section import FROM_FILE
from shipway.spec.units import Rate


def limit(**table: Any) -> Limit:
    return Limit.model_validate(table, context=FROM_FILE)


def complaint(**table: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        limit(**table)
    (detail,) = caught.value.errors(include_url=False)
    return str(detail.get("ctx", {}).get("message", detail["type"]))


@pytest.mark.parametrize(
    ("table", "burst"),
    [
        ({"requests": "60/min"}, 60),
        ({"requests": "60/min", "burst": 10}, 10),
        ({"requests": "0.5/s"}, 1),
        ({"requests": "1.5/s"}, 2),
        ({"requests": "100k/d"}, 100_000),
    ],
)
def test_without_a_burst_the_rates_count_may_come_at_once(table: dict[str, Any], burst: int) -> None:
    assert limit(**table).burst_requests == burst


def test_a_rate_is_a_value() -> None:
    assert limit(requests="60/min").requests == Rate(Decimal(60), 60.0)
    assert Limit(requests=Rate(Decimal(5), 1.0)).model_dump(mode="json") == {"requests": "5/s", "burst": None}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"requests": 60}, 'expected a rate such as "60/min", found 60 (write "60/min")'),
        ({"requests": True}, 'expected a rate such as "60/min", found true'),
        ({"requests": "60"}, 'expected a rate such as "60/min", found "60"'),
        ({"requests": "0/min"}, 'expected more than zero, found "0/min"'),
        ({"requests": "5/week"}, 'unknown unit "week" in "5/week": write "/s", "/min", "/h" or "/d"'),
        ({"requests": "60/min", "burst": 0}, "greater_than_equal"),
        ({}, "missing"),
        ({"requests": "60/min", "tokens": "100k/min"}, "extra_forbidden"),
    ],
)
def test_mistakes_say_what_to_write(table: dict[str, Any], message: str) -> None:
    assert complaint(**table) == message
