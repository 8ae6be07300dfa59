"""What makes two requests belong to one conversation, read from the bytes of `messages` without parsing them.

A conversation grows at its end, so its system prompt and first user message stay as they were sent: their digest is the
same in each turn, and so is the replica that has them in its KV cache. The bytes read are bounded; what is cut off only
makes conversations share a key that begin alike, which have a prefix to share.
"""

from __future__ import annotations

import hashlib
import re
import zlib

SEARCHED_BYTES = 32 * 1024
"""How far the first user message is looked for."""

MESSAGE_BYTES = 2 * 1024
"""How much of it is read; of a longer one the beginning has to do."""

DIGESTED_BYTES = 512
"""How much is digested of the beginning of the prefix, and of its end."""

# Quotes inside a JSON string are escaped, so this cannot match what somebody wrote. All are possessive, so that no input
# makes them slow.
_USER = re.compile(rb'"role"\s*+:\s*+"user"(\s*+,\s*+"content"\s*+:\s*+")?+')
_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# The closing quote may be beyond what is read: an unclosed string must be one token too, or each quote inside it would
# be tried as a beginning.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[{}]', re.DOTALL)


def affinity_key(model: str, messages: bytes) -> int:
    """A number of 64 bits for `balancing.by_affinity`, the same in each turn of a conversation with *model*.

    Args:
        messages: The raw JSON of the request's `messages` (or a `prompt`; then its beginning is what counts). Anything
            with a buffer will do, such as `msgspec.Raw`.
    """
    head = bytes(memoryview(messages)[:SEARCHED_BYTES])
    end = _prefix_bytes(head)
    # A CRC is enough: nothing is proved by it, and who wants to share a replica may send the same words.
    digest = zlib.crc32(head[: min(end, DIGESTED_BYTES)], zlib.crc32(model.encode()))
    if end > DIGESTED_BYTES:
        digest = zlib.crc32(head[max(DIGESTED_BYTES, end - DIGESTED_BYTES) : end], digest)
    # Spread over all bits, as the ranking multiplies only once (the finalizer of splitmix64).
    key = ((digest << 32 | end) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    return ((key ^ (key >> 31)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF


def seed_of(address: bytes) -> int:
    """An endpoint's part in the ranking, from its address; the same in each process."""
    return int.from_bytes(hashlib.blake2b(address, digest_size=8).digest())


def _prefix_bytes(head: bytes) -> int:
    """Where the first user message ends, or the part of it that is read."""
    user = _USER.search(head)
    if user is None:
        return min(len(head), DIGESTED_BYTES)
    at = user.end()
    limit = min(len(head), at + MESSAGE_BYTES)
    if user.lastindex:
        # `find` is ten times faster than the pattern, which only texts with quotes in them need.
        quote = head.find(b'"', at, limit)
        if quote > 0 and head[quote - 1] == _BACKSLASH:
            text = _TEXT.match(head, at, limit)
            quote = text.end() if text else -1
        if quote < 0 or quote >= limit:
            return limit
        at = quote + 1
    if head[at : at + 1] == b"}":
        return at + 1
    return _object_end(head, at, limit)


_BACKSLASH = ord("\\")


def _object_end(head: bytes, at: int, limit: int) -> int:
    """Where the object ends that *at* is in, between two of its tokens; *limit* when it does not before that."""
    depth = 1
    for token in _TOKEN.finditer(head, at, limit):
        byte = token[0]
        if byte == b"{":
            depth += 1
        elif byte == b"}":
            depth -= 1
            if depth == 0:
                return token.end()
    return limit
