"""`[models.NAME]`: the names that clients ask for, and who answers for them."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from shipway.secret import SecretReference
from shipway.spec.cache import Cache
from shipway.spec.fields import ReleaseName, Text
from shipway.spec.guards import GuardUse
from shipway.spec.prices import Price
from shipway.spec.releases import Release, ReleaseWeight, with_some_traffic
from shipway.spec.section import List, Section, from_file, mistake
from shipway.spec.sources import Sources
from shipway.spec.wording import Location, found

_TARGET = re.compile(r"([^/\s]+)/([^\s]+)")
_EXAMPLE = '"openai/gpt-5-mini"'

SOURCES = Sources("a model", "has", {"upstreams": frozenset(), "releases": frozenset()})

Balance = Literal["weighted", "least-in-flight", "lowest-latency", "prefix-affinity"]
"""How one of several equals is chosen."""


class Upstream(Section):
    """A provider and its model: "provider/model", or a table with `model = "provider/model"`, a weight or a price."""

    may_be_string: ClassVar[bool] = True

    provider: Text = Field(description="Name of a provider.")
    model: Text = Field(description='Provider and model, as in "openai/gpt-5-mini"; the model may have slashes itself.')
    weight: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Share of the traffic beside neighbours that have weights too; without one it is tried in order.",
    )
    price: Price | None = Field(default=None, description="What its tokens cost, in place of the model's `price`.")

    @property
    def target(self) -> str:
        """The upstream as the file has it: "provider/model"."""
        return f"{self.provider}/{self.model}"

    @classmethod
    def file_keys(cls) -> tuple[str, ...]:
        return ("model", "weight", "price")

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            return _provider_and_model(value)
        if not from_file(info) or not isinstance(value, dict):
            return value
        if "provider" in value:
            raise mistake(f'unknown key "provider": both stand in model, as in {_EXAMPLE}')
        if "model" not in value:
            raise mistake(f'missing key "model", such as {_EXAMPLE}')
        if not isinstance(value["model"], str):
            raise mistake(f"expected a model such as {_EXAMPLE}, found {found(value['model'])}")
        return {**value, **_provider_and_model(value["model"])}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        reference = handler(schema)
        definition = handler.resolve_ref_schema(reference)
        table = dict(definition)
        description = table["properties"]["model"]["description"]
        text = {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,62}/\\S+$", "examples": ["openai/gpt-5-mini"]}
        table["properties"] = {
            "model": {**text, "description": description},
            "weight": table["properties"]["weight"],
            "price": table["properties"]["price"],
        }
        table["required"] = ["model"]
        definition.clear()
        definition.update(title=table.pop("title"), description=table.pop("description"), anyOf=[text, table])
        return reference


class ModelRelease(Release):
    """One release of a model: upstreams of its own."""

    upstreams: Annotated[tuple[Upstream, ...], List] = Field(
        min_length=1, description="Who answers for this release, in order; as the model's `upstreams`."
    )
    weight: ReleaseWeight = 1.0


class Model(Section):
    """A name that clients ask for. Neighbouring upstreams with weights share the traffic; others are tried in order.

    It has exactly one of `upstreams` and `releases`.
    """

    upstreams: Annotated[tuple[Upstream, ...], List] = Field(
        default_factory=tuple,
        min_length=1,
        description="Who answers, in order; the next one is tried when one cannot.",
    )
    releases: Annotated[Mapping[ReleaseName, ModelRelease], AfterValidator(with_some_traffic)] = Field(
        default_factory=dict,
        min_length=1,
        description="Releases of the model by name, each with its upstreams; they share the traffic by weight.",
    )
    balance: Balance | None = Field(
        default=None,
        description="How one of equals (neighbouring upstreams, replicas of one) is chosen. `weighted`: by their weights. "
        "`least-in-flight`: the one with the fewest requests under way. `lowest-latency`: the one that answered fastest of "
        "late. `prefix-affinity`: the one that had a prompt of the same beginning, whose cache knows it. By default "
        "`weighted` where upstreams have weights, else `least-in-flight`.",
    )

    may_drop: Annotated[tuple[Text, ...], List] = Field(
        default_factory=tuple,
        description="Fields of requests that may be left out for upstreams of another dialect that have nothing like them, such "
        "as `logit_bias` or `messages[].name`; `hints` stands for all without which an answer is the same, but for its price or "
        "place in the provider's records. The answer names them in `x-shipway-dropped`. Any other such field is refused.",
    )
    stream_usage: bool = Field(
        default=False,
        description="Whether the gateway asks for the usage of streams of OpenAI's chat completions and completions whose "
        "callers do not, which else stays unknown where bytes pass. What the upstream says more for that is taken out again. The "
        "upstream must know `stream_options`. Other dialects say it always.",
    )
    price: Price | None = Field(
        default=None,
        description="What tokens of its upstreams cost, in place of the prices that Shipway knows. A model that Shipway runs has "
        "a price only here.",
    )
    cache: Cache | None = Field(default=None, description="Keep answers and give them again to the same request.")

    guards: Annotated[tuple[GuardUse, ...], List] = Field(
        default_factory=tuple,
        description="Guards that see what the model is asked and what it answers; all of them must allow it.",
    )

    @property
    def upstreams_by_place(self) -> Mapping[Location, Upstream]:
        """All upstreams, those of all releases too, by where they stand below the model in the file."""
        own: dict[Location, Upstream] = {("upstreams", index): one for index, one in enumerate(self.upstreams)}
        return own | {
            ("releases", name, "upstreams", index): one
            for name, release in self.releases.items()
            for index, one in enumerate(release.upstreams)
        }

    @property
    def references(self) -> Mapping[str, SecretReference]:
        """Secrets that the gateway needs for it, by where they stand below the model in the file."""
        store = None if self.cache is None else self.cache.store
        return {"cache.store": store} if isinstance(store, SecretReference) else {}

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        yield from SOURCES.broken_rules(given)


def _provider_and_model(text: str) -> dict[str, str]:
    match = _TARGET.fullmatch(text)
    if match is None:
        raise mistake(f'expected "provider/model" such as {_EXAMPLE}, found {found(text)}')
    return {"provider": match[1], "model": match[2]}
