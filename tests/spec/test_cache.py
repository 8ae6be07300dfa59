"""`[models.NAME.cache]`: where answers are kept and how many."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shipway.secret import SecretReference
from shipway.spec.cache import Cache
from shipway.spec.models import Model
from shipway.spec.section import FROM_FILE

UPSTREAMS = {"upstreams": ["openai/gpt-5-mini"]}


def cache(**table: Any) -> Cache:
    return Cache.model_validate({"ttl": "1h"} | table, context=FROM_FILE)


def complaints(**table: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        cache(**table)
    (detail,) = caught.value.errors(include_url=False)
    context = detail.get("ctx", {})
    return list(context.get("messages", [context.get("message", detail["type"])]))


def test_a_time_is_all_that_must_be_said() -> None:
    assert cache().model_dump(mode="json") == {
        "ttl": "1h",
        "size": "64MiB",
        "max_answer": "1MiB",
        "store": None,
        "deterministic": False,
        "semantic": None,
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"size": "512KiB"}, '"max_answer" is larger than "size"'),
        ({"size": "1MiB", "max_answer": "2MiB"}, '"max_answer" is larger than "size"'),
        (
            {"size": "1MiB", "store": "env:REDIS_URL"},
            '"size" has no meaning with "store": how much that keeps is its own setting',
        ),
        ({"store": "redis://:hunter2@host/0"}, "an address must not hold a user name or password"),
        (
            {"store": "host:6379"},
            'expected an address such as "redis://10.0.0.9:6379/0" or "env:REDIS_URL", found other text',
        ),
        (
            {"store": "redis://"},
            'expected an address such as "redis://10.0.0.9:6379/0" or "env:REDIS_URL", found other text',
        ),
        (
            {"store": 6379},
            'expected an address such as "redis://10.0.0.9:6379/0" or "env:REDIS_URL", found a whole number',
        ),
    ],
)
def test_what_cannot_be_is_said_without_a_secret(table: dict[str, Any], message: str) -> None:
    assert complaints(**table) == [message]


def test_reference_to_a_store_is_a_secret_of_the_model() -> None:
    model = Model.model_validate(UPSTREAMS | {"cache": {"ttl": "1h", "store": "env:REDIS_URL"}}, context=FROM_FILE)
    assert model.references == {"cache.store": SecretReference("env", "REDIS_URL")}
    plain = Model.model_validate(UPSTREAMS | {"cache": {"ttl": "1h", "store": "rediss://host/0"}}, context=FROM_FILE)
    assert plain.references == {}
