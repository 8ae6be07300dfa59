"""Labels of answers through the admin API: counted once for each request, by the release that the client was told."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shipway.gateway.quality_labels import Label, QualityLabels
from shipway.monitoring import metrics
from shipway.monitoring.metrics import gateway_registry
from tests.gateway.conftest import ADMIN, RunningGateway, StartGateway
from tests.gateway.echo_service import echo_service
from tests.gateway.test_metrics import value

APP = (
    'name = "app"\n[services.two]\nroutes = [{{ path = "/", public = true }}]\n'
    'releases.v1 = {{ url = "{url}", weight = 1 }}\nreleases.v2 = {{ url = "{url}", weight = 1 }}\n'
    '[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
)
SCORES = '[objectives]\nquality = "90% at least 0.7"\n'


async def post(gateway: RunningGateway, **label: Any) -> httpx.Response:
    return await gateway.admin.post("/v1/labels", headers=ADMIN, json={"request_id": "r", "release": "v1", **label})


async def counts(gateway: RunningGateway) -> dict[str, float]:
    return {
        f"{release} {label}": found
        for release in ("v1", "v2")
        for label in ("good", "bad")
        if (found := await value(gateway, f'shipway_quality_labels_total{{release="{release}",label="{label}"}}'))
    }


async def test_what_the_answer_said_of_itself_is_enough_to_label_it(start_gateway: StartGateway) -> None:
    async with echo_service() as service:
        gateway = await start_gateway(APP.format(url=service.url))
        expected: dict[str, float] = {}
        for at in range(20):
            answer = await gateway.http.get("/", headers={"x-session-id": str(at)})
            release, label = answer.headers["x-shipway-release"], "bad" if at % 3 else "good"
            sent = {"request_id": answer.headers["x-request-id"], "release": release, "label": label}
            assert (await post(gateway, **sent)).json() == {"counted": True}
            expected[f"{release} {label}"] = expected.get(f"{release} {label}", 0) + 1
        assert await counts(gateway) == expected


async def test_the_first_label_of_a_request_stands(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(APP.format(url="http://127.0.0.1:1"))
    answers = [await post(gateway, label=label) for label in ("bad", "bad", "good")]
    assert [one.json() for one in answers] == [{"counted": True}, {"counted": False}, {"counted": False}]
    assert await counts(gateway) == {"v1 bad": 1}


async def test_a_score_is_good_from_the_objective_s_on(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(APP.format(url="http://127.0.0.1:1") + SCORES)
    for at, score in enumerate((0, 0.69, 0.7, 1)):
        assert (await post(gateway, request_id=f"r{at}", score=score)).json() == {"counted": True}
    assert (await post(gateway, request_id="r9", label="good", release="v2")).json() == {"counted": True}
    assert await counts(gateway) == {"v1 bad": 2, "v1 good": 2, "v2 good": 1}


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ({}, 400, "invalid"),
        ({"label": "good", "score": 1}, 400, "invalid"),
        ({"label": "so-so"}, 400, "invalid"),
        ({"label": None}, 400, "invalid"),
        ({"score": 1.01}, 400, "invalid"),
        ({"score": -0.5}, 400, "invalid"),
        ({"label": "good", "request_id": ""}, 400, "invalid"),
        ({"label": "good", "request_id": "a b"}, 400, "invalid"),
        ({"label": "good", "request_id": "x" * 129}, 400, "invalid"),
        ({"label": "good", "target": "chat"}, 400, "invalid"),
        ({"label": "good", "release": "v3"}, 404, "unknown-release"),
        ({"label": "good", "release": "other"}, 404, "unknown-release"),
        ({"score": 0.5}, 409, "no-objective"),
    ],
)
async def test_what_is_no_label_is_refused_and_not_counted(
    start_gateway: StartGateway, sent: dict[str, Any], status: int, error: str
) -> None:
    gateway = await start_gateway(APP.format(url="http://127.0.0.1:1"))
    answer = await post(gateway, **sent)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert await counts(gateway) == {}


def test_only_the_latest_labels_are_remembered() -> None:
    registry = gateway_registry()
    registry.allow(metrics.RELEASE, ["v1"])
    labels = QualityLabels(registry, max_remembered=3)
    releases = frozenset({"v1"})
    taken = [labels.take(Label(request_id, "v1", "good"), releases, None) for request_id in "abcdbcda"]
    assert taken == [True] * 4 + [False] * 3 + [True]
    assert registry.child(metrics.QUALITY_LABELS, "v1", "good").value == 5
