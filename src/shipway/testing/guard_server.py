"""A fake of an HTTP guard: answers checks as told, or hangs, lies and dies as any fake server does.

async with FakeGuard(lambda check: {"verdict": "allow"}) as guard:
    ...  # url = guard.url in the app file
    assert guard.checks[0]["texts"][0]["text"] == "Hi"
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from shipway.testing.answers import Whole
from shipway.testing.fake_server import FakeServer
from shipway.testing.script import ReceivedRequest, Reply

__all__ = ["FakeGuard"]

_FIELDS: Final = {"guard", "when", "model", "request_id", "principal", "streamed", "texts"}


def _allow(check: dict[str, Any]) -> object:
    return {"verdict": "allow"}


class FakeGuard(FakeServer):
    """The server; see `FakeServer` for what it notes down and for scripts, which go before *decide*.

    Args:
        decide: From a check to the document of the answer.
    """

    def __init__(self, decide: Callable[[dict[str, Any]], object] = _allow, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.decide = decide

    @property
    def checks(self) -> list[dict[str, Any]]:
        """All checks so far."""
        return [request.json for request in self.requests]

    def refusal(self, request: ReceivedRequest) -> Whole | None:
        try:
            body = request.json
        except ValueError:
            body = None
        if request.method != "POST" or not isinstance(body, dict) or body.keys() != _FIELDS:
            return Whole(status=HTTPStatus.BAD_REQUEST, body=b'{"error":"this is no check"}')
        return None

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole:
        return Whole(body=json.dumps(self.decide(request.json)).encode())

    def error(self, reply: Reply) -> Whole:
        return Whole(status=reply.status, body=b'{"error":"the fake was told so"}')
