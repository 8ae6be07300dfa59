"""`[models.NAME.cache]`: where answers are kept and how many."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shipway.secret import SecretReference
from shipway.spec.cache import Cache
from shipway.spec.models import Model
from shipway.spec.section import FROM_FILE
from tests.spec.conftest import Problems

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


def test_a_model_is_all_that_a_semantic_cache_must_be_told() -> None:
    semantic = cache(semantic={"embeddings": "small"}).semantic
    assert semantic is not None
    assert semantic.model_dump(mode="json") == {
        "embeddings": "small",
        "threshold": 0.95,
        "timeout": "300ms",
        "max_text": "512B",
        "entries": 1000,
        "size": "16MiB",
    }


def semantic_file(**settings: str) -> str:
    """An app file whose model `chat` has a semantic cache with these *settings*, as they are written."""
    table = "".join(f"{key} = {value}\n" for key, value in ({"embeddings": '"small"'} | settings).items())
    return (
        f'name = "a"\n[models.chat]\nupstreams = ["openai/m"]\n[models.chat.cache]\nttl = "1h"\n'
        f'[models.chat.cache.semantic]\n{table}[models.small]\nupstreams = ["openai/e"]\n'
        '[models.split.releases.v1]\nupstreams = ["openai/e"]\n'
    )


def test_file_with_a_semantic_cache_has_nothing_wrong(problems: Problems) -> None:
    assert problems(semantic_file(threshold="1", timeout='"50ms"', max_text='"1KiB"')) == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("threshold", "0.0", "expected more than 0, found 0.0"),
        ("threshold", "1.01", "expected at most 1, found 1.01"),
        ("threshold", '"95%"', 'expected a number, found "95%"'),
        ("timeout", '"0s"', 'expected more than zero, found "0s"'),
        ("entries", "0", "expected at least 1, found 0"),
        ("entries", "20000", "expected at most 10000, found 20000"),
        ("neighbours", "3", 'unknown key "neighbours"'),
        ("embeddings", '"smal"', 'unknown model "smal" (did you mean "small"?)'),
        ("embeddings", '"chat"', '"chat" is the model itself, whose questions are to become vectors'),
        ("embeddings", '"split"', '"split" has releases, whose vectors cannot be compared'),
    ],
)
def test_setting_of_a_semantic_cache_that_cannot_be_is_named(
    problems: Problems, key: str, value: str, message: str
) -> None:
    assert problems(semantic_file(**{key: value})) == [f"models.chat.cache.semantic.{key}: {message}"]
