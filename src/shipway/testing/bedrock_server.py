"""A fake of Amazon Bedrock's runtime: Converse, ConverseStream in event-stream framing, CountTokens, InvokeModel for
embeddings, signatures checked.

    async with FakeBedrock(keys={"AKIDFAKE": "secret"}) as fake:
        fake.script(Reply(text="Hello there."), Reply(status=429), Reply(error_after=3, error_type="ThrottlingException"))
        client = boto3.client("bedrock-runtime", endpoint_url=fake.url, region_name="eu-central-1", …)

Exceptions come as AWS sends them: outside of a stream in the header `x-amzn-errortype`, inside of one as an exception event.
"""

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from shipway.testing import bedrock_embeddings, bedrock_request
from shipway.testing import bedrock_wire as wire
from shipway.testing.answers import Streamed, Whole
from shipway.testing.bedrock_frames import signature_fault
from shipway.testing.fake_server import FakeServer
from shipway.testing.said import pieces, said, told_apart, with_ids
from shipway.testing.script import ReceivedRequest, Reply

__all__ = ["FakeBedrock"]

_PATH: Final = re.compile(r"/model/([^/]+)/(converse|converse-stream|count-tokens|invoke)")
_TYPE_OF: Final = {status: kind for kind, status in reversed(wire.STATUS_OF.items())}


class FakeBedrock(FakeServer):
    """The server; see `FakeServer` for its other arguments. `api_key` is a Bedrock API key, sent as bearer token.

    Args:
        keys: Secret access keys by access key: requests must be signed with one of them. None accepts anything.
    """

    request_id_field = "x-amzn-requestid"

    def __init__(
        self,
        *,
        models: Iterable[str] | None = None,
        api_key: str | None = None,
        keys: Mapping[str, str] | None = None,
        default: Reply | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(models=models, api_key=api_key, default=default, port=port)
        self._keys = keys

    @property
    def base_url(self) -> str:
        """The base URL, which is `url`: Bedrock's has no version."""
        return self.url

    def refusal(self, request: ReceivedRequest) -> Whole | None:
        fault = self._stranger(request)
        if fault is not None:
            return _error(fault, "The request cannot be authenticated.")
        match = _PATH.fullmatch(request.path)
        if request.method != "POST" or match is None:
            return _error("ResourceNotFoundException", "No such operation.", 404)
        try:
            body = request.json
        except ValueError:
            return _error("ValidationException", "The request body is not valid JSON.")
        if self.models is not None and unquote(match[1]) not in self.models:
            return _error("ValidationException", "The provided model identifier is invalid.")
        if match[2] == "invoke":
            fault = bedrock_embeddings.fault(body, unquote(match[1]))
        else:
            fault = bedrock_request.fault(body, counting=match[2] == "count-tokens")
        return None if fault is None else _error("ValidationException", fault)

    def unscripted(self, request: ReceivedRequest) -> Whole | None:
        if not request.path.endswith("/count-tokens"):
            return None
        count = len(pieces(wire.prompt_text(request.json["input"].get("converse") or {})))
        return Whole(body=json.dumps({"inputTokens": count}).encode())

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        body: Any = request.json
        if request.path.endswith("/invoke"):
            document, usage = bedrock_embeddings.answer(body, unquote(request.path.split("/")[2]))
            counted = {bedrock_embeddings.TOKENS_FIELD: str(usage.input)}
            return Whole(body=json.dumps(document).encode(), headers=counted, usage=usage)
        config = body.get("inferenceConfig") or {}
        heard = said(
            reply,
            wire.prompt_text(body),
            limit=config.get("maxTokens"),
            stops=config.get("stopSequences", ()),
            json_mode="textFormat" in (body.get("outputConfig") or {}),
        )
        heard = told_apart(with_ids(heard, "tooluse_fake_"), "cache_read", "cache_write")
        if request.path.endswith("/converse"):
            return Whole(body=json.dumps(wire.response(heard)).encode(), usage=heard.usage)
        error = wire.exception(reply.error_type or "ServiceUnavailableException", reply.message("Try again."))
        events = list(wire.events(heard))
        kind = "application/vnd.amazon.eventstream"
        return Streamed(events=events, error=error, content_type=kind, usage=heard.usage)

    def error(self, reply: Reply) -> Whole:
        """An exception called `error_type`, or that which usually has the status."""
        usual = "ValidationException" if reply.status < 500 else "InternalServerException"
        kind = reply.error_type or _TYPE_OF.get(reply.status, usual)
        return _error(kind, reply.message(f"The fake was told to answer {reply.status}."), reply.status)

    def _stranger(self, request: ReceivedRequest) -> str | None:
        bearer = request.headers.get("authorization", "").partition("Bearer ")[2]
        if self.api_key is not None and hmac.compare_digest(bearer.encode(), self.api_key.encode()):
            return None
        if self._keys is None:
            return None if self.api_key is None else "AccessDeniedException"
        return signature_fault(request.method, request.target, request.headers, request.body, self._keys, "bedrock")


def _error(kind: str, text: str, status: int | None = None) -> Whole:
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    body = json.dumps({"message": text}).encode()
    return Whole(body=body, status=status or wire.STATUS_OF[kind], headers=headers)
