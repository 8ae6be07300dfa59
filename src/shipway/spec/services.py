"""`[services.NAME]`: what the user wrote and Shipway runs, or reaches where it already runs."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from shipway.spec.fields import (
    EnvValue,
    FilePath,
    Folder,
    ImportString,
    ReleaseName,
    RequestPath,
    VariableName,
    distinct,
    one_or_more,
)
from shipway.spec.health import Health, keys_given
from shipway.spec.releases import Release, ReleaseWeight, with_some_traffic
from shipway.spec.section import List, Section, Shorthand, mistake
from shipway.spec.sources import Sources
from shipway.spec.units import Bytes, Seconds
from shipway.spec.wording import found, quoted

ROUTE_PATTERN = r"/(?:[A-Za-z0-9._~!$&'()+,;=:@-]+/)*(?:[A-Za-z0-9._~!$&'()+,;=:@-]+)?"
_ROUTE = re.compile(ROUTE_PATTERN)
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")

ELSEWHERE = ("url", "releases")
"""The sources of services that already run, of which Shipway starts nothing."""

_NOT_STARTED = frozenset({"factory", "cwd", "replicas", "env", "drain", "resources", "dockerfile"})

SOURCES = Sources(
    "a service",
    "is",
    {
        "app": frozenset(),
        "command": frozenset({"factory"}),
        "image": frozenset({"factory", "cwd", "dockerfile"}),
        "url": _NOT_STARTED,
        "releases": _NOT_STARTED,
    },
)


def _route_path(path: str) -> str:
    if not path.startswith("/"):
        raise mistake(f'expected a path that starts with "/", found {found(path)}')
    if "{" in path or "*" in path:
        raise mistake(f"routes are prefixes, not patterns: {found(path)}", 'write the fixed part, such as "/items"')
    if not _ROUTE.fullmatch(path) or ".." in path.split("/") or "." in path.split("/"):
        raise mistake(f'expected a plain path such as "/items", found {found(path)}')
    return path if path == "/" else path.removesuffix("/")


def _origin(value: str) -> str:
    if "@" in value:
        # Not shown: what stands before the @ is a password.
        raise mistake("an address must not hold a user name or password")
    match = _ORIGIN.fullmatch(value.removesuffix("/"))
    if match is None or not 1 <= int(match[1] or 80) <= 65535:
        raise mistake(f'expected "http(s)://host" or "http(s)://host:port" without a path, found {found(value)}')
    return value.removesuffix("/")


def _argument(value: str) -> str:
    if "\0" in value:
        raise mistake("expected text without NUL characters")
    return value


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    if words and not words[0].strip():
        raise mistake("the first word, the program, is empty")
    return words


def _json_body(value: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise mistake("JSON has no dates, times, nan or inf: write them as strings") from None
    return value


def _image(value: str) -> str:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise mistake(f'expected the name of an image such as "ghcr.io/team/api:1.2", found {found(value)}')
    return value


RoutePath = Annotated[
    str, AfterValidator(_route_path), WithJsonSchema({"type": "string", "pattern": f"^{ROUTE_PATTERN}$"})
]
Argument = Annotated[str, AfterValidator(_argument)]
Origin = Annotated[str, AfterValidator(_origin)]
_ORIGIN_SCHEMA = {"type": "string", "examples": ["http://127.0.0.1:9001"]}
Origins = Annotated[
    tuple[Origin, ...],
    Field(min_length=1),
    BeforeValidator(one_or_more),
    AfterValidator(distinct),
    WithJsonSchema({"anyOf": [_ORIGIN_SCHEMA, {"type": "array", "items": _ORIGIN_SCHEMA, "minItems": 1}]}),
]
"""One address or a list of them in the file."""


class Route(Shorthand):
    """A path prefix that the gateway sends to a service: "/items" covers "/items" and all below it."""

    shorthand: ClassVar[str] = "path"

    path: RoutePath = Field(description="The prefix; a slash at its end is dropped.")
    public: bool | None = Field(
        default=None, description="Open without an API key? By default as the service's `public` says."
    )


class Resources(Section):
    """What one replica needs."""

    cpu: float | None = Field(default=None, gt=0, le=1024, description="CPU cores; 0.5 is half of one.")
    memory: Bytes | None = Field(default=None, description="Memory.")
    gpu: int = Field(default=0, ge=0, le=1024, description="GPUs.")


class Example(Shorthand):
    """A sample call that `shipway up` prints, ready to paste."""

    shorthand: ClassVar[str] = "path"

    path: RequestPath = Field(description="The path to ask for, with its query if it needs one.")
    # "json" itself would hide a method of pydantic's.
    body: Annotated[Mapping[str, Any], AfterValidator(_json_body)] | None = Field(
        default=None, alias="json", description="The JSON body; with one the call is a POST, without one a GET."
    )


class ServiceRelease(Release):
    """One release of a service that already runs elsewhere."""

    urls: Origins = Field(
        alias="url",
        description="Where it answers, or a list of such addresses, replicas that are equals.",
        examples=["http://127.0.0.1:9001"],
    )
    weight: ReleaseWeight = 1.0


class Service(Section):
    """A process of yours that answers HTTP. It has exactly one of `app`, `command`, `image`, `url` and `releases`."""

    app: ImportString | None = Field(
        default=None, description="Import string of an ASGI application.", examples=["assistant.main:app"]
    )
    command: Annotated[tuple[Argument, ...], List, AfterValidator(_command)] | None = Field(
        default=None,
        min_length=1,
        description="Program and arguments; it must listen on the port in the environment variable PORT.",
        examples=[["python", "server.py"]],
    )
    image: Annotated[str, AfterValidator(_image)] | None = Field(
        default=None, description="Container image that listens on PORT.", examples=["ghcr.io/team/api:1.2"]
    )
    url: Origin | None = Field(
        default=None,
        description="Address of a service that already runs elsewhere.",
        examples=["http://127.0.0.1:9000"],
    )
    releases: Annotated[Mapping[ReleaseName, ServiceRelease], AfterValidator(with_some_traffic)] = Field(
        default_factory=dict,
        min_length=1,
        description="Releases of a service that already run elsewhere, by name; they share the traffic by weight.",
    )
    factory: bool = Field(default=False, description="Whether `app` is a function that returns the application.")
    routes: Annotated[tuple[Route, ...], List] = Field(
        default=(Route(path="/"),),
        description="Path prefixes that belong to this service; the longest one wins. With none, `[]`, only other services "
        "reach it.",
    )
    public: bool = Field(
        default=False, description="Whether its routes are open without an API key unless they say otherwise."
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="Processes of this service.")
    env: Mapping[VariableName, EnvValue] = Field(
        default_factory=dict,
        description='Environment variables; a value that starts with "env:" or "file:" refers to a secret.',
    )
    cwd: Folder = Field(default=".", description="Folder to run in, from the app file's folder.")
    health: Health = Field(
        default=Health(),
        description="Health check, or only its path. A service given by `url` or `releases` is checked by the gateway, "
        "if there is a path.",
    )
    dockerfile: FilePath | None = Field(
        default=None,
        description="Dockerfile of your own, from the app file's folder, instead of one that Shipway writes. Its image "
        "listens on PORT; `command` is run in it, and for `app` its own command has to serve the app.",
    )
    drain: Seconds = Field(default=30.0, description="How long running requests may take to end when a replica stops.")
    resources: Resources = Field(default=Resources(), description="What one replica needs.")
    example: Example | None = Field(
        default=None, description="Sample call to print, or only its path; by default the first route."
    )

    @property
    def source(self) -> str:
        """Which of `SOURCES` says what the service is."""
        return SOURCES.of(self)

    @property
    def runs_elsewhere(self) -> bool:
        """Whether it already runs, so that Shipway only routes to it."""
        return self.source in ELSEWHERE

    def is_public(self, route: Route) -> bool:
        """Whether *route* is open without an API key."""
        return self.public if route.public is None else route.public

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        yield from SOURCES.broken_rules(given)
        sources = SOURCES.given(given)
        check = keys_given(given.get("health"))
        if len(sources) == 1 and sources[0] in ELSEWHERE and check is not None and "path" not in check:
            yield f'"health" needs "path" for a service that is given by {quoted(sources[0])}'
        if given.get("public") is True and "routes" in given and not given["routes"]:
            yield '"public" has no meaning for a service without routes'
