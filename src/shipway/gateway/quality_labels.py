"""Labels that say whether an answer was good: what the admin API takes in, counted once for each request and by release.

Whoever labels sends back what the answer's headers said, `x-request-id` and `x-shipway-release`. So a label may come days
later, after a restart, or to another gateway than the one that answered, and requests that nobody labels cost nothing: no list
of which release served which request is kept.
"""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from shipway.gateway.undecodable import UNDECODABLE
from shipway.monitoring import metrics
from shipway.monitoring.registry import Registry

MAX_REMEMBERED = 65_536
"""So many labels have to come before another one for a request that has one is taken for a first (about 9 MB)."""


class LabelProblem(Exception):
    """A label that cannot be counted.

    Attributes:
        status: Of the answer to whoever sent it.
        code: Stable, for programs.
    """

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Label(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent: exactly one of *label* and *score* (0 to 1, 1 is best)."""

    request_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:+/=-]{1,128}$")]
    release: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    label: Literal["good", "bad"] | UnsetType = UNSET
    score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | UnsetType = UNSET


_decode = msgspec.json.Decoder(Label).decode


def read_label(body: bytes) -> Label:
    """Raises: LabelProblem."""
    try:
        sent = _decode(body)
    except UNDECODABLE as error:
        raise LabelProblem(
            HTTPStatus.BAD_REQUEST,
            "invalid",
            'expected an object such as {"request_id": "…", "release": "v4", "label": "good"}',
        ) from error
    if (sent.label is UNSET) == (sent.score is UNSET):
        raise LabelProblem(
            HTTPStatus.BAD_REQUEST, "invalid", 'expected one of "label" ("good" or "bad") and "score" (0 to 1)'
        )
    return sent


class QualityLabels:
    """Counts the labels of one process. It remembers which requests have one, the latest `MAX_REMEMBERED`."""

    def __init__(self, registry: Registry, max_remembered: int = MAX_REMEMBERED) -> None:
        self._registry = registry
        self._max_remembered = max_remembered
        self._labelled: dict[bytes, None] = {}

    def take(self, sent: Label, releases: frozenset[str], good_score: float | None) -> bool:
        """Count *sent*, unless its request has a label: the first one stands.

        Args:
            releases: Those that there are.
            good_score: From which score on an answer is good; None where the app file has no objective that says so.

        Returns:
            Whether it was counted.

        Raises:
            LabelProblem: there is no such release, or nothing says what a score means.
        """
        if sent.release not in releases:
            raise LabelProblem(HTTPStatus.NOT_FOUND, "unknown-release", "no service or model has that release now")
        label = sent.label
        if sent.score is not UNSET:
            if good_score is None:
                raise LabelProblem(
                    HTTPStatus.CONFLICT,
                    "no-objective",
                    'a score means nothing without an objective such as quality = "90% at least 0.7"',
                )
            label = "good" if sent.score >= good_score else "bad"
        key = blake2b(sent.request_id.encode(), digest_size=16).digest()
        if key in self._labelled:
            return False
        if len(self._labelled) >= self._max_remembered:
            del self._labelled[next(iter(self._labelled))]
        self._labelled[key] = None
        self._registry.child(metrics.QUALITY_LABELS, sent.release, str(label)).inc()
        return True
