"""AWS's side of the wire, written apart from the gateway's: event-stream frames, and the check of a SigV4 signature.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html and the guide to signing AWS API requests.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Mapping
from urllib.parse import quote

_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message whose headers are all text."""
    block = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    start = (16 + len(block) + len(payload)).to_bytes(4, "big") + len(block).to_bytes(4, "big")
    message = start + zlib.crc32(start).to_bytes(4, "big") + block + payload
    return message + zlib.crc32(message).to_bytes(4, "big")


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + b"\x07" + len(value).to_bytes(2, "big") + value


def signature_fault(
    method: str, target: str, headers: Mapping[str, str], body: bytes, keys: Mapping[str, str], service: str
) -> str | None:
    """Why AWS would not accept a request's signature; None when it would. Its time is not compared with a clock.

    Args:
        headers: By lower-case name.
        keys: Secret keys by access key.
    """
    match = _CREDENTIAL.fullmatch(headers.get("authorization", ""))
    if match is None:
        return "MissingAuthenticationTokenException"
    access_key, day, region, named_service, names, signature = match.groups()
    stamp = headers.get("x-amz-date", "")
    signed = names.split(";")
    if access_key not in keys:
        return "UnrecognizedClientException"
    if named_service != service or not stamp.startswith(day) or not {"host", "x-amz-date"} <= set(signed):
        return "InvalidSignatureException"
    if "x-amz-security-token" in headers and "x-amz-security-token" not in signed:
        return "InvalidSignatureException"
    path, _, query = target.partition("?")
    canonical = [method, quote(path, safe="/-_.~"), "&".join(sorted(query.split("&")))]
    canonical += [f"{name}:{headers.get(name, '').strip()}" for name in signed]
    canonical += ["", names, headers.get("x-amz-content-sha256", hashlib.sha256(body).hexdigest())]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{day}/{region}/{service}/aws4_request\n{digest}"
    key = ("AWS4" + keys[access_key]).encode()
    for part in (day, region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return None if hmac.compare_digest(key.hex(), signature) else "InvalidSignatureException"
