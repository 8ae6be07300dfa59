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
"""How far the end of the first user message is looked for."""

DIGESTED_BYTES = 512
"""How much is digested of the beginning of the prefix, and of its end."""

_BACKSLASH = ord("\\")
_CONTENT = re.compile(rb'\s*+,\s*+"content"\s*+:\s*+"')
# The closing quote may be beyond what is searched: an unclosed string must be one token too, or each quote inside it
# would be tried as a beginning. Possessive, so that no input makes it slow.
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
    return digest << 32 | end


def seed_of(address: bytes) -> int:
    """An endpoint's part in the ranking, from its address; the same in each process."""
    return int.from_bytes(hashlib.blake2b(address, digest_size=8).digest())


def _prefix_bytes(head: bytes) -> int:
    """Where the first user message ends; all of *head* when it does not end in there."""
    # Quotes inside a JSON string are escaped, so this cannot be what somebody wrote.
    user = head.find(b'"user"')
    while user >= 0 and not head[max(0, user - 9) : user].replace(b" ", b"").endswith(b'"role":'):
        user = head.find(b'"user"', user + 6)
    if user < 0:
        return min(len(head), DIGESTED_BYTES)
    end = user + 6
    content = _CONTENT.match(head, end)
    if content is not None:
        end = _string_end(head, content.end())
    if head[end : end + 1] == b"}":
        return end + 1
    return _object_end(head, end)


def _string_end(head: bytes, at: int) -> int:
    """Where the string ends whose text begins at *at*, its quote included. By `find`, ten times faster than a pattern."""
    quote = head.find(b'"', at)
    while quote > 0 and head[quote - 1] == _BACKSLASH:
        text = head[at:quote]
        if (len(text) - len(text.rstrip(b"\\"))) % 2 == 0:
            break
        quote = head.find(b'"', quote + 1)
    return quote + 1 if quote >= 0 else len(head)


def _object_end(head: bytes, at: int) -> int:
    """Where the object ends that *at* is in, between two of its tokens."""
    depth = 1
    for token in _TOKEN.finditer(head, at):
        byte = token[0]
        if byte == b"{":
            depth += 1
        elif byte == b"}":
            depth -= 1
            if depth == 0:
                return token.end()
    return len(head)
