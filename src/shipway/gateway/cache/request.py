"""What makes two requests the same, and which may be answered from what is kept.

The same are requests of one tenant to one path and release of a model whose bodies say the same: the order of keys and white
space do not matter, everything else does, the model's parameters included. A stream and a whole answer are two things: whether
one is wanted is part of the key, and neither is ever made from the other.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from shipway.gateway.call import Call
from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.model_api import ModelPath


def _exact(number: str) -> float | msgspec.Raw:
    """A number with a fraction or exponent: decoded where a double tells all such numbers apart, else as it was written."""
    if len(number) < 16 and "e" not in number and "E" not in number:
        return float(number)
    return msgspec.Raw(number.encode())


decode = msgspec.json.Decoder(float_hook=_exact).decode  # with which integers are exact too
encode = msgspec.json.Encoder(order="sorted").encode
UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""What the two raise for bodies of which nothing can be said."""

_SHAPES_ANSWERS = (b"anthropic-", b"openai-", b"x-goog-", b"x-amzn-bedrock-")
"""Beginnings of header names that say which version or beta of a provider's API is wanted."""
_WITHOUT_TEMPERATURE = frozenset(("embeddings", "rerank", "count_tokens"))
_NEVER = frozenset(("speech",))
"""Operations whose answers are not read on their way, so nobody could say that one is good."""
_STATE = frozenset(("conversation", "background"))
"""Fields by which a request refers to what changes at the provider (OpenAI's responses)."""
_NOTHING = frozenset((b"null", b"false"))
_MAX_AGE = re.compile(rb"max-age=([0-9]{1,9})")


def key_of(call: Call, path: ModelPath, request: ModelRequest, generation: bytes) -> bytes | None:
    """The key of an admitted request: 32 bytes, of which the tenant is a part that no request can choose.

    A key that is repeated inside the body counts by its last value. `0.10` is `0.1`, but `1.0` is not `1`.

    Args:
        generation: Which app, model, release and upstreams.

    Returns:
        None where that cannot be said: nobody was admitted, or the body is nested too deeply.
    """
    try:
        document = decode(request.body)
        document.pop("stream", None)  # absent, null and false are one
        said = encode(document)
    except UNREADABLE:
        return None
    return digest_of(call, path, request, generation, said)


def digest_of(call: Call, path: ModelPath, request: ModelRequest, generation: bytes, *said: bytes) -> bytes | None:
    """32 bytes for what was *said* and all that keeps answers apart whatever is said; None where nobody was admitted."""
    if call.caller is None:
        return None
    headers = sorted(
        (name, value) for name, _, value in call.exchange.head.passed_on if name.startswith(_SHAPES_ANSWERS)
    )
    parts = (
        call.caller.partition or call.caller.id.encode(),
        generation,
        path.name.encode(),
        b"stream" if request.stream else b"whole",
        *(part for header in headers for part in header),
        *said,
    )
    digest = hashlib.sha256()
    for part in parts:  # each with its length, so that no two lists of parts read alike
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def may_be_kept(path: ModelPath, request: ModelRequest, *, deterministic: bool) -> bool:
    """Whether the answer to such a request could be given again.

    Args:
        deterministic: Only where the request leaves the model no choice.
    """
    fields = request.fields
    if path.form or path.name in _NEVER or any(bytes(fields[name]) not in _NOTHING for name in _STATE & fields.keys()):
        return False
    if not deterministic or path.name in _WITHOUT_TEMPERATURE:
        return True
    try:
        return float(bytes(fields.get("temperature", b"1"))) == 0.0
    except ValueError:
        return False


def wishes(cache_control: bytes) -> tuple[bool, float]:
    """What a client's `Cache-Control` (b"" for none) asks for: whether its answer may be kept, and how old a kept one may be.

    `no-store` wants neither; `no-cache` an answer made now, which may be kept (RFC 9111, section 5.2.1).
    """
    if not cache_control:
        return True, float("inf")
    directives = {one.strip(b" \t").lower() for one in cache_control.split(b",")}
    if b"no-store" in directives:
        return False, -1.0
    if b"no-cache" in directives:
        return True, -1.0
    ages = [float(found[1]) for one in directives if (found := _MAX_AGE.fullmatch(one))]
    return True, min(ages, default=float("inf"))
