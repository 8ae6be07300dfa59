"""The kinds of value that sections share: names, ports, paths, addresses, and text that may be a secret's reference."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from shipway.secret import SCHEMES, SecretReference
from shipway.spec.section import NAME_PATTERN, is_name, mistake
from shipway.spec.wording import found, kind_of

_HOSTNAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RELEASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SETTING = re.compile(r"[a-z][a-z_]*(?:\.(?:\*|[A-Za-z0-9_-]+))+")
_IMPORT = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})
"""Headers whose value is a secret by their very purpose, so it must be a reference."""

_REFERENCE_SCHEMA = {
    "type": "string",
    "title": "secret reference",
    "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
    "examples": ["env:OPENAI_API_KEY", "file:secrets/openai-key"],
}


def _name(value: str) -> str:
    if not is_name(value):
        raise mistake(
            f"expected a name of at most 63 lowercase letters, digits and hyphens, a letter first, found {found(value)}"
        )
    return value


def is_model_name(value: str) -> bool:
    """Whether clients may ask for a model by this name."""
    return _MODEL_NAME.fullmatch(value) is not None


def _model_name(value: str) -> str:
    if not is_model_name(value):
        raise mistake(
            "expected a model name of at most 128 letters, digits and . _ : / -, a letter or digit first, "
            f"found {found(value)}"
        )
    return value


def _release_name(value: str) -> str:
    if not _RELEASE_NAME.fullmatch(value):
        raise mistake(
            "expected the name of a release, at most 63 letters, digits and . _ -, a letter or digit first, "
            f"found {found(value)}"
        )
    return value


def _setting_pattern(value: str) -> str:
    if not _SETTING.fullmatch(value):
        raise mistake(f'expected the place of a setting such as "services.*.resources.gpu", found {found(value)}')
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise mistake("expected some text, found an empty string")
    if not value.isprintable():
        raise mistake(f"expected one line of text, found {found(value)}")
    return value


def _path_text(value: str) -> str:
    if "\n" in value or value.startswith("-----BEGIN"):
        # Somebody pasted a key where its path was wanted: nothing of it is shown.
        raise mistake("expected the path of a file, found the contents of one")
    return _text(value)


def _path(value: Any) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise mistake(f"expected the path of a file, found {kind_of(value)}")
    return Path(_path_text(value))


def _request_path(path: str) -> str:
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path or "#" in path:
        raise mistake(f'expected a path such as "/healthz", found {found(path)}')
    return path


def _import_string(value: str) -> str:
    module, _, attribute = value.partition(":")
    if module.endswith(".py"):
        meant = f"{module.removesuffix('.py').replace('/', '.')}:{attribute or 'app'}"
        raise mistake(
            f"expected an import string, found the path of a file, {found(value)} (did you mean {found(meant)}?)"
        )
    if not _IMPORT.fullmatch(value):
        raise mistake(f'expected an import string such as "package.module:app", found {found(value)}')
    return value


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if value.startswith("[") and value.endswith("]"):
            raise mistake('an IPv6 address is written without brackets here, such as "::1"') from None
        # All digits and dots is a mistyped IPv4 address, not a host's name.
        if not _HOSTNAME.fullmatch(value) or not any(c.isalpha() for c in value):
            raise mistake(f'expected an address or host name such as "127.0.0.1", found {found(value)}') from None
    return value


def _base_url(value: str) -> str:
    if "@" in value:
        raise mistake("an address must not hold a user name or password", 'use api_key = "env:NAME" or headers')
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not value.startswith(("http://", "https://")):
        # Not shown: it may be a key in the wrong place.
        raise mistake('expected an address such as "https://api.example.com/v1", found other text')
    if not usable or parts.query or parts.fragment or not value.isascii() or not value.isprintable() or " " in value:
        raise mistake(f'expected an address such as "https://api.example.com/v1", found {found(value)}')
    return value.rstrip("/")


def one_or_more(value: Any) -> Any:
    """For validators: a single address as the tuple of it."""
    if not isinstance(value, (str, list, tuple)):
        raise mistake(
            f'expected an address such as "https://api.example.com/v1", or a list of them, found {kind_of(value)}'
        )
    return (value,) if isinstance(value, str) else tuple(value)


def distinct(urls: tuple[str, ...]) -> tuple[str, ...]:
    """For validators: *urls*, of which none is there twice."""
    for index, url in enumerate(urls):
        if url in urls[:index]:
            raise mistake(f"{found(url)} is listed twice")
    return urls


def _reference(value: Any) -> SecretReference:
    if isinstance(value, SecretReference):
        return value
    if not isinstance(value, str):
        raise mistake(f'expected a reference to a secret, "env:NAME" or "file:PATH", found {kind_of(value)}')
    try:
        return SecretReference.parse(value)
    except ValueError as error:
        raise mistake(str(error)) from None


def _value_or_reference(value: Any) -> str | SecretReference:
    if isinstance(value, str) and not value.startswith(tuple(f"{scheme}:" for scheme in SCHEMES)):
        if "\0" in value:
            raise mistake("expected text without NUL characters")
        return value
    if isinstance(value, (bool, int, float)):
        raise mistake(f"expected a string, found {kind_of(value)}", "put it in quotes")
    if not isinstance(value, (str, SecretReference)):
        raise mistake(f"expected a string, found {kind_of(value)}")
    return _reference(value)


def _header_value(value: Any) -> str | SecretReference:
    checked = _value_or_reference(value)
    if isinstance(checked, str) and not (checked.isprintable() and checked.isascii() and checked == checked.strip()):
        raise mistake("expected one line of ASCII text without space around it")
    return checked


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise mistake(f"expected the name of an environment variable such as LOG_LEVEL, found {found(value)}")
    if value == "PORT" or value.startswith("SHIPWAY_"):
        raise mistake(f"{value} is set by Shipway itself")
    return value


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise mistake(f"expected the name of a header such as X-Title, found {found(value)}")
    return value


def _session_header(value: str) -> str:
    if value.lower() in CREDENTIAL_HEADERS:
        raise mistake(f"the header {value} holds a secret, not the name of a conversation")
    return value.lower()


def _no_plain_credentials(headers: Mapping[str, str | SecretReference]) -> Mapping[str, str | SecretReference]:
    for name, value in headers.items():
        if name.lower() in CREDENTIAL_HEADERS and not isinstance(value, SecretReference):
            raise mistake(f'the header {name} holds a secret: write a reference, "env:NAME" or "file:PATH"')
    return headers


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})]
ModelName = Annotated[
    str, AfterValidator(_model_name), WithJsonSchema({"type": "string", "pattern": f"^{_MODEL_NAME.pattern}$"})
]
"""What clients send as `model`: also names with a version or an organisation, such as `gpt-4.1` or `meta/llama-3:8b`."""
ReleaseName = Annotated[
    str, AfterValidator(_release_name), WithJsonSchema({"type": "string", "pattern": f"^{_RELEASE_NAME.pattern}$"})
]
"""Also versions, such as `v1.2` or `2026-11-01`."""
SettingPattern = Annotated[
    str,
    AfterValidator(_setting_pattern),
    WithJsonSchema({"type": "string", "pattern": f"^{_SETTING.pattern}$", "examples": ["services.*.resources.gpu"]}),
]
"""The place of a setting in the app file; `*` stands for any name."""
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, AfterValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Folder = Annotated[
    str, AfterValidator(_path_text), WithJsonSchema({"type": "string", "title": "folder", "minLength": 1})
]
FilePath = Annotated[
    Path,
    PlainValidator(_path),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "title": "file", "minLength": 1}),
]
ImportString = Annotated[str, AfterValidator(_import_string)]
"""`package.module:attribute`."""
RequestPath = Annotated[str, AfterValidator(_request_path), WithJsonSchema({"type": "string", "pattern": "^/[!-~]*$"})]
Host = Annotated[
    str, AfterValidator(_host), WithJsonSchema({"type": "string", "examples": ["127.0.0.1", "::1", "localhost"]})
]
_BASE_URL_SCHEMA = {"type": "string", "pattern": "^https?://[^@?# ]+$", "examples": ["https://api.openai.com/v1"]}
BaseUrl = Annotated[str, AfterValidator(_base_url), WithJsonSchema(_BASE_URL_SCHEMA)]
BaseUrls = Annotated[
    tuple[Annotated[str, AfterValidator(_base_url)], ...],
    Field(min_length=1),
    BeforeValidator(one_or_more),
    AfterValidator(distinct),
    WithJsonSchema(
        {"anyOf": [_BASE_URL_SCHEMA, {"type": "array", "items": _BASE_URL_SCHEMA, "minItems": 1, "uniqueItems": True}]}
    ),
]
"""One address or a list of them in the file."""
Reference = Annotated[
    SecretReference,
    PlainValidator(_reference),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(_REFERENCE_SCHEMA),
]
_OR_REFERENCE_SCHEMA = WithJsonSchema({"type": "string", "examples": ["info", "env:NAME", "file:PATH"]})
EnvValue = Annotated[
    str | SecretReference,
    PlainValidator(_value_or_reference),
    PlainSerializer(str, return_type=str, when_used="json"),
    _OR_REFERENCE_SCHEMA,
]
_HeaderValue = Annotated[
    str | SecretReference,
    PlainValidator(_header_value),
    PlainSerializer(str, return_type=str, when_used="json"),
    _OR_REFERENCE_SCHEMA,
]
VariableName = Annotated[
    str, AfterValidator(_variable), WithJsonSchema({"type": "string", "pattern": f"^{_VARIABLE.pattern}$"})
]
_HeaderName = Annotated[
    str, AfterValidator(_header), WithJsonSchema({"type": "string", "pattern": f"^{_HEADER.pattern}$"})
]
SessionHeader = Annotated[
    str,
    AfterValidator(_header),
    AfterValidator(_session_header),
    WithJsonSchema({"type": "string", "pattern": f"^{_HEADER.pattern}$"}),
]
"""The name of a header, in lower case."""
Headers = Annotated[Mapping[_HeaderName, _HeaderValue], AfterValidator(_no_plain_credentials)]
