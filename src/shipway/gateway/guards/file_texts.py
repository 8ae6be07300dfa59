"""What files say that are sent along, as far as they are text. Read as leniently as whoever may read them behind the gateway."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from urllib.parse import unquote_to_bytes

from shipway.gateway.dialects.conversation import Document

_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_DATA_URL = re.compile(r"data:(?P<type>[^,]*?)(?P<base64>;base64)?,(?P<data>.*)", re.IGNORECASE | re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def written_text(document: Document) -> str:
    """The text of a file, where it has one and came as bytes: every file that says it is text, and any other that could be.

    A byte that is none of the text's hides nothing but itself.
    """
    media_type, held = _held(document)
    if not held:
        return ""
    if media_type.lower().startswith("text/"):
        return _decoded(held)
    try:
        text = held.decode()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _held(document: Document) -> tuple[str, bytes]:
    """Media type and bytes of what came with the request; nothing where it is to be fetched from an address."""
    url = document.url
    if document.data is not None:
        return document.media_type or "", _from_base64(document.data)
    if url is None:
        return "", b""
    if found := _DATA_URL.fullmatch(url):
        data = found["data"]
        return found["type"], _from_base64(data) if found["base64"] else unquote_to_bytes(data)
    # Some clients send the bytes alone.
    return "", b"" if _ADDRESS.match(url) else _from_base64(url)


def _from_base64(data: str) -> bytes:
    """Both alphabets, with or without padding and white space."""
    letters = _NOT_BASE64.sub("", data.replace("-", "+").replace("_", "/"))
    try:
        return b64decode(letters[: len(letters) - (len(letters) % 4 == 1)] + "==")
    except binascii.Error:
        return b""


def _decoded(held: bytes) -> str:
    for encoding, mark, zeros in (("utf-16-le", BOM_UTF16_LE, held[1::2]), ("utf-16-be", BOM_UTF16_BE, held[::2])):
        if held.startswith(mark) or (zeros and zeros.count(0) * 2 > len(zeros)):
            return held.decode(encoding, "replace").removeprefix("\ufeff")
    return held.decode("utf-8", "replace").removeprefix("\ufeff")
