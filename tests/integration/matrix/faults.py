"""The faults of the matrix: what goes wrong at a provider, and what kind of error the caller's SDK raises for it."""

from collections.abc import Callable
from dataclasses import dataclass

from shipway.testing.script import Reply
from tests.integration.matrix.places import Place


@dataclass(frozen=True)
class Fault:
    """Attributes:
    replies: What the provider does.
    kind: A name in `Caller.errors`.
    says: Part of what the caller is told, beside the class of the exception.
    retry_after: The header that comes with it.
    elsewhere: Whether another upstream of the model is asked.
    """

    reply: Callable[[Place], Reply]
    kind: str
    says: str = ""
    retry_after: str | None = None
    elsewhere: bool = True


def _status(status: int, **headers: str) -> Callable[[Place], Reply]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda place: Reply(status=status, headers=fields)


FAULTS: dict[str, Fault] = {
    "400": Fault(_status(400), "bad request", elsewhere=False),
    "400, too long": Fault(lambda place: place.too_long, "bad request", "longer than the model takes", elsewhere=False),
    "wrong key": Fault(lambda place: place.wrong_key, "failed"),
    "401": Fault(_status(401), "failed"),
    "403": Fault(_status(403), "failed"),
    "404": Fault(_status(404), "not found", elsewhere=False),
    "409": Fault(_status(409), "conflict", elsewhere=False),
    "413": Fault(_status(413), "too large", elsewhere=False),
    "422": Fault(_status(422), "unprocessable", elsewhere=False),
    "429": Fault(_status(429, retry_after="7"), "rate limit", retry_after="7"),
    "out of quota": Fault(lambda place: place.out_of_quota, "rate limit", retry_after="1"),
    "500": Fault(_status(500), "failed"),
    "overloaded": Fault(lambda place: Reply(status=place.overloaded), "overloaded", retry_after="1"),
    "503 with Retry-After": Fault(_status(503, retry_after="3"), "overloaded", retry_after="3"),
    "model failed": Fault(lambda place: place.model_failed, "failed"),
    "slow": Fault(lambda place: Reply(delay_s=5.0), "timeout"),
    "closed": Fault(lambda place: Reply(raw=b""), "failed"),
    "garbage": Fault(lambda place: Reply(body=b"<html>"), "failed"),
}

EARLY_FAULTS: dict[str, Fault] = {
    "limit said": Fault(lambda place: Reply(error_after=0, error_type=place.said[0]), "rate limit", retry_after="1"),
    "overload said": Fault(lambda place: Reply(error_after=0, error_type=place.said[1]), "overloaded", retry_after="1"),
    "error said": Fault(lambda place: Reply(error_after=0, error_type=place.said[2]), "failed"),
    "cut": Fault(lambda place: Reply(cut_after=0), "failed"),
    "ended": Fault(lambda place: Reply(end_after=0), "failed"),
    "garbage": Fault(lambda place: Reply(insert={0: b"data: {\n\n"}), "failed"),
}
"""In a stream before its first token: another upstream is asked, and without one the answer is an error."""

LATE = 6
_LONG = "One two three four five six seven eight."
LATE_FAULTS: dict[str, Reply] = {
    "error said": Reply(text=_LONG, error_after=LATE),
    "cut": Reply(text=_LONG, cut_after=LATE),
    "reset": Reply(text=_LONG, cut_after=LATE, reset=True),
    "ended": Reply(text=_LONG, end_after=LATE),
    "silent": Reply(text=_LONG, stall_after=LATE),
    "garbage": Reply(text=_LONG, insert={LATE: b"data: {\n\n"}),
}
"""In a stream after its first token: it ends with an error that the SDK raises, never as if it were whole."""

SYNC_FAULTS = ("400", "429", "overloaded", "slow", "closed")
SYNC_LATE_FAULTS = ("error said", "cut")
"""Those that the synchronous clients meet too."""
