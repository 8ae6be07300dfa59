"""Signatures equal those of AWS's test suite, and those of botocore for any request."""

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.providers.sigv4 import AwsCredentials, Scope, Signer
from shipway.secret import Secret

AT_S = 1_440_938_160.0  # 20150830T123600Z
KEYS = AwsCredentials("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
HOST = ("host", "example.amazonaws.com")
FORM_SHA = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

SUITE: dict[str, tuple[str, str, list[tuple[str, str]], bytes, str]] = {
    "post-vanilla": ("POST", "/", [], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "get-utf8": ("GET", "/ሴ", [], b"", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "get-space": (
        "GET",
        "/example space/",
        [],
        b"",
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "get-vanilla-query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        [],
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-unreserved": (
        "GET",
        f"/?{UNRESERVED}={UNRESERVED}",
        [],
        b"",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-header-value-trim": (
        "GET",
        "/",
        [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')],
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-x-www-form-urlencoded": (
        "POST",
        "/",
        [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", "13"),
            ("x-amz-content-sha256", FORM_SHA),
        ],
        b"Param1=value1",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    ),
}
"""Cases of AWS's published suite by their names there: method, target, more headers, body, signature."""


@pytest.mark.parametrize("case", SUITE.values(), ids=SUITE.keys())
def test_signature_is_that_of_the_published_suite(case: tuple[str, str, list[tuple[str, str]], bytes, str]) -> None:
    method, target, headers, body, expected = case
    added = Signer(Scope("us-east-1", "service")).sign(method, target, [HOST, *headers], body, KEYS, AT_S)
    names = ";".join(sorted([HOST[0], "x-amz-date", *(name.lower() for name, _ in headers)]))
    assert added == [
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            f"SignedHeaders={names}, Signature={expected}",
        ),
    ]


def test_token_of_temporary_credentials_is_sent_and_signed() -> None:
    keys = AwsCredentials(KEYS.access_key, KEYS.secret_key, Secret(TOKEN))
    added = dict(Signer(Scope("us-east-1", "service")).sign("GET", "/", [HOST], b"", keys, AT_S))
    assert added["x-amz-security-token"] == TOKEN
    assert added["authorization"].endswith("07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8")


def test_key_of_the_day_follows_the_day_and_the_credentials() -> None:
    signer = Signer(Scope("us-east-1", "service"))
    other = AwsCredentials("AKIDOTHER", Secret("another"))
    for keys, at_s in ((KEYS, AT_S), (KEYS, AT_S + 86_400), (other, AT_S), (KEYS, AT_S)):
        fresh = Signer(Scope("us-east-1", "service"))
        assert signer.sign("GET", "/", [HOST], b"", keys, at_s) == fresh.sign("GET", "/", [HOST], b"", keys, at_s)


_plain = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), max_size=12)
_segment = st.one_of(
    _plain.map(lambda text: quote(text, safe="")),
    st.sampled_from(["", ".", "..", "us.amazon.nova-lite-v1%3A0", "arn%3Aaws%3Abedrock%3A%3A1%3Ax%2Fy"]),
)
_query = st.lists(
    st.tuples(_plain, _plain).map(lambda pair: "=".join(quote(part, safe="-_.~") for part in pair)), max_size=3
)


@given(
    segments=st.lists(_segment, min_size=1, max_size=5),
    query=_query,
    body=st.binary(max_size=64),
    values=st.dictionaries(
        st.from_regex(r"x-[a-z]{1,8}", fullmatch=True), st.text("ab \t", max_size=8).map(str.strip), max_size=3
    ),
    token=st.none() | st.just(TOKEN),
    at_s=st.integers(1_000_000_000, 3_000_000_000),
)
def test_signature_equals_botocores(
    segments: list[str], query: list[str], body: bytes, values: dict[str, str], token: str | None, at_s: int
) -> None:
    # An authority would be read into a path of two slashes by botocore's URL parser.
    target = "/" + "/".join(segments).lstrip("/") + ("?" + "&".join(query) if query else "")
    keys = AwsCredentials("AKID", Secret("sec/ret"), Secret(token) if token else None)
    headers = [HOST, *values.items()]
    ours = dict(Signer(Scope("eu-west-1", "bedrock")).sign("POST", target, headers, body, keys, at_s))
    assert ours["authorization"] == _by_botocore(target, values, body, token, at_s)


def _by_botocore(target: str, values: dict[str, str], body: bytes, token: str | None, at_s: int) -> str:
    url = f"https://{HOST[1]}{target}"
    request: Any = botocore.awsrequest.AWSRequest("POST", url, headers=dict(values), data=body)
    credentials = botocore.credentials.Credentials("AKID", "sec/ret", token)
    moment = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)  # as botocore has it
    with patch("botocore.auth.get_current_datetime", return_value=moment):
        botocore.auth.SigV4Auth(credentials, "bedrock", "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])
