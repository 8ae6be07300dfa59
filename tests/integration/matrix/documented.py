"""Every field that the official SDKs document for a request, tried one by one with each dialect that it may have to be told in.

The SDKs' types of requests are walked: for each field there are requests that differ in nothing but its value. What the
gateway would send then shows whether the field was told, and to whom it was not.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

import msgspec
import typing_extensions
from anthropic.types import message_create_params
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from shipway.gateway.dialects import embeddings
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect, open_embeddings
from shipway.gateway.refusals import Refused

Json = Any
_NOTHING: Mapping[str, Any] = {}
Put = Callable[[Json], Json]
"""A request with this value in some place."""

_PICTURES = ["data:image/png;base64,AA==", "data:image/png;base64,BB=="]
_PDFS = ["data:application/pdf;base64,AA==", "data:application/pdf;base64,BB=="]
_OBJECTS = ['{"a":1}', '{"a":2}']
_VALUES: Mapping[str, list[Json]] = {
    "image_url.url": _PICTURES,
    "input_image>.image_url": _PICTURES,
    "file_data": _PDFS,
    "function.arguments": _OBJECTS,
    "function_call>.arguments": _OBJECTS,
    "base64>.data": ["AA==", "BB=="],
    "input_audio.data": ["AA==", "BB=="],
    "image>.source<base64>.media_type": ["image/png", "image/jpeg"],
    "max_tokens": [11, 12],
    "dimensions": [256, 512],
}
"""Values of fields that take not every text or number, by the end of their path."""

_LEAST: Mapping[str, Json] = {
    "messages": [{"role": "user", "content": "Hello."}],
    "input": "Hello.",
    "prompt": "Hello.",
    "model": "m",
}
"""What is asked where another field is tried."""

_PLAIN: Mapping[str, Json] = {
    "<input_image>": {"detail": "auto", "image_url": _PICTURES[0]},
    "<input_file>": {"file_data": _PDFS[0]},
    ".file": {"file_data": _PDFS[0]},
    "tools[]<function>": {"strict": False},
    "content[]<output_text>": {"annotations": []},
    "<function_call_output>": {"call_id": "first"},
}
"""Members of objects that are tried in their other members, by the end of their path: without them they would be refused."""


@dataclass(frozen=True)
class Field:
    """One documented field.

    Attributes:
        path: Without indices; the kind of an element of a list is in angle brackets.
        requests: With different values of it, each with that value.
        without: The same without the field; None where it must be there.
        plain: The path as `may_drop` has it.
    """

    path: str
    requests: tuple[tuple[Json, Json], ...]
    without: Json | None

    @property
    def plain(self) -> str:
        return plain(self.path)


def plain(path: str) -> str:
    """*path* without indices and kinds, as `may_drop` has it."""
    return re.sub(r"<[^>]*>", "", re.sub(r"\[\d+\]", "[]", path))


def _bare(hint: Any) -> Any:
    while get_origin(hint) in (Required, NotRequired, typing_extensions.Required, typing_extensions.NotRequired):
        hint = get_args(hint)[0]
    if get_origin(hint) is typing.Annotated:
        return _bare(get_args(hint)[0])
    return getattr(hint, "__value__", hint)


def _variants(hint: Any) -> list[Any]:
    hint = _bare(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return [one for part in get_args(hint) for one in _variants(part)]
    return [hint]


def _is_object(hint: Any) -> bool:
    return typing.is_typeddict(hint) or typing_extensions.is_typeddict(hint)


def _element(hint: Any) -> Any | None:
    """What a list holds; None for what is no list."""
    origin = get_origin(hint)
    name = getattr(origin, "__name__", "")
    return get_args(hint)[0] if name in ("Iterable", "list", "Sequence", "SequenceNotStr") else None


def _hints(kind: Any) -> Mapping[str, Any]:
    hints: Mapping[str, Any] = typing_extensions.get_type_hints(kind, include_extras=True)
    return hints


def _samples(hint: Any, path: str, seen: tuple[Any, ...]) -> list[Json]:
    """Values of a type, two of what has many."""
    for end, values in _VALUES.items():
        if path.endswith(end):
            return values
    found: list[Json] = []
    for one in _variants(hint):
        element = _element(one)
        if get_origin(one) is Literal:
            found += get_args(one)
        elif one is bool:
            found += [True, False]
        elif one is str:
            found += ["first", "second"]
        elif one is int:
            found += [2, 3]
        elif one is float:
            found += [0.25, 0.5]
        elif _is_object(one):
            if one not in seen:
                found.append(_minimal(one, path, (*seen, one)))
        elif element is not None:
            found += [[value] for value in _samples(element, f"{path}[]", seen)]
        elif get_origin(one) in (dict, Mapping) or getattr(get_origin(one), "__name__", "") == "Mapping":
            if get_args(one)[1] in (str, object):
                found += [{"a": "first"}, {"a": "second"}]
            else:
                found += [{"a": value} for value in _samples(get_args(one)[1], f"{path}.a", seen)]
        elif one is object:
            found += [{"type": "object"}, {"type": "object", "title": "second"}]
    return found


def _required(kind: Any, name: str) -> bool:
    """By its hint, since what is written in quotes is not in `__required_keys__`."""
    origin = get_origin(_hints(kind)[name])
    if origin in (Required, typing_extensions.Required):
        return True
    return name in kind.__required_keys__ and origin not in (NotRequired, typing_extensions.NotRequired)


def _minimal(kind: Any, path: str, seen: tuple[Any, ...]) -> Json:
    """With what must be there, and that as plain as it can be."""
    least: Json = {}
    for name, hint in _hints(kind).items():
        if _required(kind, name) or (len(seen) == 1 and name in ("model", "input")):
            at = f"{path}{_kind_of(kind)}.{name}".removeprefix(".")
            values = [_LEAST[at]] if at in _LEAST else _samples(hint, at, seen)
            least |= {name: values[0]} if values else {}
    whole = path + _kind_of(kind)
    for end, members in _PLAIN.items():
        if whole.endswith(end):
            least |= {name: value for name, value in members.items() if name in _hints(kind)}
    return least


def _kind_of(kind: Any) -> str:
    """Which variant an object is of, by its type or else its role, in angle brackets."""
    hints = _hints(kind)
    for name in ("type", "role"):
        if name in hints and get_origin(_bare(hints[name])) is Literal:
            return f"<{get_args(_bare(hints[name]))[0]}>"
    return ""


def _objects(hint: Any, wrap: Put) -> Iterator[tuple[Any, Put, str]]:
    """The kinds of objects in a field, and how one is put there."""
    for one in _variants(hint):
        element = _element(one)
        if _is_object(one):
            yield one, wrap, ""
        elif element is not None:
            for kind, inner, more in _objects(element, lambda value: [value]):
                yield kind, _both(inner, wrap), f"[]{more}"


def _fields(kind: Any, path: str, put: Put, seen: tuple[Any, ...], taken: Callable[[Json], bool]) -> Iterator[Field]:
    path += _kind_of(kind)
    least = _minimal(kind, path.rpartition("<")[0] if path.endswith(">") else path, seen)
    if seen[1:] and not taken(put(least)):
        return  # it is refused as a whole
    for name, hint in _hints(kind).items():
        at = f"{path}.{name}" if path else name
        required = _required(kind, name)
        beside = _NOTHING
        if at in ("parallel_tool_calls", "tool_choice"):  # which mean nothing without tools
            beside = {"tools": _samples(_hints(kind)["tools"], "tools", seen)[0]}
        if len(get_args(_bare(hint))) == 1 and get_origin(_bare(hint)) is Literal and required:
            continue  # the kind's own name

        def put_here(value: Json, name: str = name, beside: Mapping[str, Any] = beside) -> Json:
            return put({**least, **beside, name: value})

        others = {one: value for one, value in {**least, **beside}.items() if one != name}
        values = _samples(hint, at, seen)
        if values:
            requests = tuple((value, put_here(value)) for value in values)
            yield Field(at, requests, None if required else put(others))
        for inner, wrap, more in _objects(hint, lambda value: value):
            if inner not in seen:
                yield from _fields(inner, f"{at}{more}", _both(wrap, put_here), (*seen, inner), taken)


def _both(first: Put, then: Put) -> Put:
    return lambda value: then(first(value))


@dataclass(frozen=True)
class Told:
    """What would be sent: the body, and what is reported as left out."""

    body: bytes
    dropped: tuple[str, ...]


Target = Callable[[bytes, Container[str]], Told]
"""Tells a request of which these paths may be dropped. Raises Refused."""


def _conversation(caller: str, target: str, model: str) -> Target:
    def tell_body(body: bytes, may_drop: Container[str]) -> Told:
        losses = Losses(may_drop)
        conversation = open_dialect(caller).read_request(body, losses)
        sent = open_dialect(target).write_request(conversation, model, losses)
        # How much is streamed is said to Bedrock and Gemini by the address that is asked, and nothing else is.
        path = f"{conversation.stream}{conversation.include_usage}".encode()
        return Told(sent + path, tuple(losses.dropped))

    return tell_body


def _embedding(operation: str, model: str) -> Target:
    def tell_body(body: bytes, may_drop: Container[str]) -> Told:
        losses = Losses(may_drop)
        asked = embeddings.read_request(body, losses)
        sent = embeddings.write_request(asked, open_embeddings(operation), model, losses)
        return Told(sent + b"base64" * asked.base64, tuple(losses.dropped))

    return tell_body


_CONVERSATIONS = {"anthropic": "anthropic", "bedrock": "bedrock", "bedrock, Claude": "bedrock", "gemini": "gemini"}
_MODELS = {"bedrock, Claude": "anthropic.claude-sonnet-4-5"}


def _targets(caller: str, targets: Mapping[str, str]) -> dict[str, Target]:
    return {name: _conversation(caller, dialect, _MODELS.get(name, "m")) for name, dialect in targets.items()}


@dataclass(frozen=True)
class Api:
    """Attributes:
    kind: The SDK's type of its requests.
    targets: Those that a request may have to be told to in another dialect.
    """

    kind: Any
    targets: Mapping[str, Target]


APIS: Mapping[str, Api] = {
    "chat completions": Api(
        chat_create_params.CompletionCreateParamsStreaming, _targets("openai_chat", _CONVERSATIONS)
    ),
    "responses": Api(
        response_create_params.ResponseCreateParamsStreaming, _targets("openai_responses", _CONVERSATIONS)
    ),
    "completions": Api(
        completion_create_params.CompletionCreateParamsStreaming, _targets("completions", _CONVERSATIONS)
    ),
    "messages": Api(
        message_create_params.MessageCreateParamsStreaming,
        _targets(
            "anthropic",
            {"openai": "openai_chat", "bedrock": "bedrock", "bedrock, Claude": "bedrock", "gemini": "gemini"},
        ),
    ),
    "embeddings": Api(
        embedding_create_params.EmbeddingCreateParams,
        {
            "gemini": _embedding("batch_embed_contents", "m"),
            "bedrock, Titan": _embedding("titan_embeddings", "amazon.titan-embed-text-v2:0"),
            "bedrock, Cohere": _embedding("cohere_embeddings", "cohere.embed-v4:0"),
        },
    ),
}


def fields_of(api: Api) -> list[Field]:
    def taken(request: Json) -> bool:
        return any(not isinstance(tell(target, request), Refused) for target in api.targets.values())

    found = _fields(api.kind, "", lambda value: value, (api.kind,), taken)
    return list({one.path: one for one in found}.values())


def tell(target: Target, request: Json, may_drop: Container[str] = ()) -> Told | Refused:
    try:
        return target(msgspec.json.encode(request), may_drop)
    except Refused as refused:
        return refused


@dataclass
class Verdict:
    """What becomes of a field's values with one target.

    Attributes:
        told: Values that made a difference to what would be sent.
        refused: Others, by the name that the refusal gives.
        listed: Values that are reported as left out.
        silent: Values without which the same would be sent, or with another value.
    """

    told: list[Json] = field(default_factory=list)
    refused: list[tuple[Json, str]] = field(default_factory=list)
    listed: list[Json] = field(default_factory=list)
    silent: list[Json] = field(default_factory=list)


def verdict(one: Field, target: Target) -> Verdict:
    found = Verdict()
    without = None if one.without is None else tell(target, one.without)
    usual = without.dropped if isinstance(without, Told) else ()
    bodies = {without.body} if isinstance(without, Told) else set()
    for value, request in one.requests:
        outcome = tell(target, request)
        if isinstance(outcome, Refused):
            found.refused.append((value, outcome.refusal.param or ""))
        elif any(about(path, one.plain) for path in outcome.dropped if path not in usual):
            found.listed.append(value)
        elif outcome.body not in bodies:
            bodies.add(outcome.body)
            found.told.append(value)
        else:
            listed = any(about(path, one.plain) for path in outcome.dropped)
            (found.listed if listed else found.silent).append(value)
    if one.without is None and found.silent and len(found.told) == 1:  # there is nothing but them to compare it with
        return replace(found, told=[], silent=found.told + found.silent)
    return found


def about(named: str, path: str) -> bool:
    """Whether a refusal or a report *named* what is at *path*: itself, something in it, or what it is in."""
    named = plain(named).removesuffix(".role")
    return path.startswith(named) or named.startswith(path) or named.rpartition(".")[0] == path.rpartition(".")[0]
