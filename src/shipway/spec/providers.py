"""`[providers.NAME]`: who answers for models. Some are built in and need no declaration."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, GetPydanticSchema
from pydantic_core import core_schema

from shipway.spec.fields import BaseUrls, FilePath, Headers, Reference, Text
from shipway.spec.health import Health, keys_given
from shipway.spec.provider_kinds import KINDS
from shipway.spec.section import Section
from shipway.spec.wording import quoted

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    name: {"kind": name, **kind.built_in} for name, kind in KINDS.items() if kind.built_in is not None
}
"""Tables of the providers that every app has; a table of the same name in the file changes them key by key."""

KindName = Annotated[str, GetPydanticSchema(lambda _source, _handler: core_schema.literal_schema(list(KINDS)))]
"""One of `KINDS`: what `Literal` would be, if it could be told its values by a table."""


def _named(kinds: Iterable[str]) -> str:
    """ "kind `a`" or "kinds `a` and `b`"."""
    *first, last = (f"`{name}`" for name in kinds)
    return f"kinds {', '.join(first)} and {last}" if first else f"kind {last}"


def _whose(setting: str) -> str:
    """The sentence in the description of *setting* that says which kinds take it."""
    takes = [name for name, kind in KINDS.items() if setting in kind.takes]
    others = [name for name in KINDS if name not in takes]
    return f"For {_named(takes)}." if len(takes) < len(others) else f"Not for {_named(others)}."


class ProviderTls(Section):
    """What a provider behind `https` must prove, and what is shown to it. Its certificate is always verified."""

    ca: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    cert: FilePath | None = Field(default=None, description="Client certificate, a PEM file.")
    key: FilePath | None = Field(default=None, description="Its private key, unless that is in the same file.")

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        if "key" in given and "cert" not in given:
            yield '"key" needs "cert"'


class Provider(Section):
    """Who answers for models: a hosted provider, a server that speaks OpenAI's API, or the models that Shipway runs itself.

    Five are built in: `openai`, `anthropic` and `gemini` at their own addresses with the keys in `env:OPENAI_API_KEY`,
    `env:ANTHROPIC_API_KEY` and `env:GEMINI_API_KEY`; `bedrock` with the AWS credentials and region of its surroundings; and
    `local`. A section of the same name changes them key by key; with another `base_url` the built-in key is not sent.
    """

    kind: KindName = Field(
        description="`openai` for any server that speaks OpenAI's API, `local` for models run by Shipway, the others by name."
    )
    base_urls: BaseUrls = Field(
        default_factory=tuple,
        alias="base_url",
        description="Address up to and with the version, or a list of them, replicas that are equals. Needed for "
        f"{_named(name for name, kind in KINDS.items() if kind.needs_address)}; the others have one of their own.",
    )
    api_key: Reference | None = Field(
        default=None,
        description="Reference to the key that is sent. Without one, `azure` asks for tokens of Entra and `bedrock` signs with "
        "AWS credentials.",
    )
    headers: Headers = Field(
        default_factory=dict,
        description='Headers to add; a value that starts with "env:" or "file:" refers to a secret. '
        + _whose("headers"),
    )
    api_version: Text | None = Field(
        default=None,
        description="Version of the API whose paths name deployments, such as `2024-10-21`, with a `base_url` that ends in "
        f"`/openai`; without it the v1 API is spoken. {_whose('api_version')}",
    )
    region: Text | None = Field(
        default=None, description=f"AWS region, else `AWS_REGION` in the environment. {_whose('region')}"
    )
    profile: Text | None = Field(
        default=None, description=f"Profile of the shared AWS configuration. {_whose('profile')}"
    )
    tls: ProviderTls = Field(default=ProviderTls(), description=f"Certificates. {_whose('tls')}")
    health: Health | None = Field(
        default=None,
        description="Check of each address by the gateway, or only its path, which starts at the host: `/health` also where "
        f"`base_url` ends in `/v1`. Without it only real requests tell. {_whose('health')}",
    )
    context: int = Field(
        default=4096, ge=64, le=16_777_216, description=f"Context of each slot in tokens. {_whose('context')}"
    )
    slots: int = Field(default=2, ge=1, le=1024, description=f"Answers generated at the same time. {_whose('slots')}")

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        check = keys_given(given.get("health"))
        if check is not None and "path" not in check:
            yield '"health" of a provider needs "path"'
        if check is not None and "start" in check:
            yield '"health.start" has no meaning for a provider: Shipway does not start it'
        kind = given.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            return
        for key in sorted(MEANINGLESS[kind] & given.keys()):
            yield f"{quoted(key)} has no meaning for a provider of kind {quoted(kind)}"
        if KINDS[kind].needs_address and "base_url" not in given:
            yield f'a provider of kind {quoted(kind)} needs "base_url"'


MEANINGLESS: Mapping[str, frozenset[str]] = {
    name: frozenset(Provider.file_keys()) - kind.takes - {"kind"} for name, kind in KINDS.items()
}
"""For each kind, the settings that nothing could honour."""


def built_in_providers() -> dict[str, Provider]:
    return {name: Provider.model_validate(dict(table)) for name, table in BUILT_IN.items()}
