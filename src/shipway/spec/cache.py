"""`[models.NAME.cache]`: answers that are kept and given again to the same request."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from shipway.secret import SecretReference
from shipway.spec.fields import ModelName
from shipway.spec.section import Section, mistake
from shipway.spec.units import Bytes, Seconds
from shipway.spec.wording import kind_of

_EXAMPLE = '"redis://10.0.0.9:6379/0" or "env:REDIS_URL"'


def _store(value: Any) -> str | SecretReference:
    if isinstance(value, SecretReference):
        return value
    if not isinstance(value, str):
        raise mistake(f"expected an address such as {_EXAMPLE}, found {kind_of(value)}")
    if value.startswith(("redis://", "rediss://")):
        if "@" in value:
            raise mistake("an address must not hold a user name or password", 'write store = "env:REDIS_URL"')
        try:
            usable = bool(urlsplit(value).hostname) and urlsplit(value).port != 0 and value.isprintable()
        except ValueError:
            usable = False
        if usable:
            return value
    try:
        return SecretReference.parse(value)
    except ValueError:  # not shown: it may be a password
        raise mistake(f"expected an address such as {_EXAMPLE}, found other text") from None


StoreAddress = Annotated[
    str | SecretReference,
    PlainValidator(_store),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "store",
            "pattern": "^(rediss?://[^@ ]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
            "examples": ["redis://10.0.0.9:6379/0", "env:REDIS_URL"],
        }
    ),
]
"""The address of a Redis, or a reference to one that holds a password."""


class Semantic(Section):
    """Answers given again to questions that mean nearly the same, after none was kept for the same request. Needs the extra
    `semantic`.

    Only the text of the last turn may differ, and there neither numbers, names nor negations. The guide about kept answers says
    how often it is wrong.
    """

    embeddings: ModelName = Field(
        description="Model of this app that turns texts into vectors: its upstreams answer `/v1/embeddings`."
    )
    threshold: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Least cosine between the vectors of two questions that get the same answer. What is right depends on the "
        "model of embeddings; `scripts/bench semantic` measures how often one is wrong.",
    )
    timeout: Seconds = Field(
        default=0.3, gt=0, description="How long a request may wait for its vector; after that its model is asked."
    )
    max_text: Bytes = Field(
        default=512,
        ge=1,
        le=64 * 1024,
        description="Longest question that is compared. In a long text the one word that matters weighs little, and models of "
        "embeddings read only the beginning.",
    )
    entries: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="Most questions that one is compared with: so many of one key with the same request around them.",
    )
    size: Bytes = Field(
        default=16 * 1024 * 1024,
        description="Memory for this model's vectors in each gateway process; what was not asked for longest makes room.",
    )


class Cache(Section):
    """Answers of a model that are kept and given again to the same request of the same key. Without it none are kept.

    Answers are kept whatever the parameters are: two requests with a temperature get the same answer while it is kept.
    """

    ttl: Seconds = Field(description="How long an answer may be given again.")
    size: Bytes = Field(
        default=64 * 1024 * 1024,
        description="Memory for this model's answers in each gateway process; the ones not used for longest make room.",
    )
    max_answer: Bytes = Field(default=1024 * 1024, description="Largest answer that is kept.")
    store: StoreAddress | None = Field(
        default=None,
        description="A Redis or Valkey that keeps the answers for several gateways, in place of each one's memory: "
        "`redis://HOST:PORT/DB` (`rediss` for TLS) or a reference to such an address. Needs the extra `redis`.",
    )
    deterministic: bool = Field(
        default=False,
        description="Keep only answers to requests with `temperature = 0`, and those of operations that have no temperature.",
    )
    semantic: Semantic | None = Field(
        default=None, description="Give answers to questions of nearly the same meaning too."
    )

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        if "store" in given and "size" in given:
            yield '"size" has no meaning with "store": how much that keeps is its own setting'
        size, largest = (given.get(key, cls.model_fields[key].default) for key in ("size", "max_answer"))
        if "store" not in given and isinstance(size, int) and isinstance(largest, int) and largest > size:
            yield '"max_answer" is larger than "size"'
