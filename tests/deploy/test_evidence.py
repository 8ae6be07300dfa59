"""From two scrapes of a gateway to counts, with the gateway's own metrics."""

from __future__ import annotations

import pytest

from shipway.deploy.counts import Arms, Tally
from shipway.deploy.evidence import (
    Measure,
    Series,
    counted,
    kept,
    model_cost,
    model_duration,
    model_errors,
    model_first_token,
    quality,
    service_duration,
    service_errors,
    service_rejections,
)
from shipway.deploy.scrape import Scrape, parse_scrape
from shipway.gateway.refusals import CODES
from shipway.gateway.telemetry import Telemetry
from shipway.monitoring import metrics
from shipway.monitoring.exposition import render
from shipway.monitoring.logging import AccessRecord
from shipway.monitoring.metrics import gateway_registry
from shipway.monitoring.registry import Registry


class Gateway:
    """The metrics of a gateway, by what happens to it."""

    def __init__(self, started_s: float = 1000.0) -> None:
        self.registry = _registry()
        self.registry.child(metrics.PROCESS_START_TIME).set(started_s)

    def serves(self, release: str, status: str, times: int = 1, *, target: str = "api", seconds: float = 0.1) -> None:
        self.registry.child(metrics.REQUESTS, "service", target, status, release).inc(times)
        for _ in range(times):
            self.registry.child(metrics.SERVICE_DURATION, target, release).observe(seconds)

    def breaks_off(self, release: str, times: int = 1, *, target: str = "api") -> None:
        self.registry.child(metrics.SERVICE_CUT, target, release).inc(times)

    def calls(self, release: str, error: str = "", times: int = 1, *, seconds: float = 0.1) -> None:
        who = ("chat", "openai", "chat", release)
        for _ in range(times):
            self.registry.child(metrics.MODEL_DURATION, *who, error).observe(seconds)
            self.registry.child(metrics.FIRST_TOKEN, *who).observe(seconds)

    def costs(self, release: str, result: str, times: int, *, model: str = "chat") -> None:
        self.registry.child(metrics.COST_OBJECTIVE, model, release, result).inc(times)

    def is_labelled(self, release: str, label: str, times: int) -> None:
        self.registry.child(metrics.QUALITY_LABELS, release, label).inc(times)

    def scrape(self) -> Scrape:
        return parse_scrape(render(self.registry))


def _registry() -> Registry:
    registry = gateway_registry()
    registry.allow(metrics.TARGET, ["api", "api2", "chat"])
    registry.allow(metrics.RELEASE, ["v1", "v2"])
    registry.allow(metrics.PROVIDER, ["openai"])
    registry.allow(metrics.MODEL, ["chat", "chat2"])
    registry.allow(metrics.ERROR_TYPE, CODES)
    return registry


def _counted(before: Scrape, after: Scrape, *measures: Measure) -> dict[str, Arms]:
    return counted({"g": before}, {"g": after}, measures, canary="v2", baseline="v1")


def test_answers_with_5xx_are_errors_and_clients_that_left_are_not_counted() -> None:
    gateway = Gateway()
    gateway.serves("v2", "5xx", 100)
    before = gateway.scrape()
    for release, status, times in (
        ("v1", "2xx", 50),
        ("v1", "5xx", 1),
        ("v2", "4xx", 3),
        ("v2", "5xx", 2),
        ("v2", "499", 9),
    ):
        gateway.serves(release, status, times)
    gateway.serves("v2", "5xx", 7, target="api2")
    found = _counted(before, gateway.scrape(), service_errors("api"), service_rejections("api"))
    assert found == {
        "errors": Arms(canary=Tally(3, 2), baseline=Tally(50, 1)),
        "rejections": Arms(canary=Tally(0, 3), baseline=Tally(50, 0)),
    }


def test_an_answer_that_broke_off_is_an_error_of_its_release() -> None:
    gateway = Gateway()
    before = gateway.scrape()
    gateway.serves("v1", "2xx", 50)
    gateway.serves("v2", "2xx", 4)
    gateway.serves("v2", "5xx", 1)
    gateway.breaks_off("v2", 2)
    gateway.breaks_off("v2", 1, target="api2")
    after = gateway.scrape()
    assert _counted(before, after, service_errors("api")) == {"errors": Arms(Tally(2, 3), Tally(50, 0))}


def test_an_answer_that_is_counted_as_broken_off_first_makes_no_negative_count() -> None:
    gateway = Gateway()
    before = gateway.scrape()
    gateway.breaks_off("v2")
    assert _counted(before, gateway.scrape(), service_errors("api")) == {"errors": Arms(Tally(0, 0), Tally(0, 0))}


def test_a_call_is_bad_by_its_error_also_after_its_status_was_sent() -> None:
    gateway = Gateway()
    before = gateway.scrape()
    gateway.calls("v1", times=20)
    for code in ("upstream_cut", "internal_error", "client_gone", "refused_by_model", "rate_limited"):
        gateway.calls("v2", code)
    assert _counted(before, gateway.scrape(), model_errors("chat")) == {"errors": Arms(Tally(1, 2), Tally(20, 0))}


def test_what_the_gateway_records_of_a_cut_stream_counts_against_its_release() -> None:
    gateway = Gateway()
    telemetry = Telemetry(gateway.registry, None)
    before = gateway.scrape()
    for release, error in (("v1", None), ("v2", "upstream_cut")):
        record = AccessRecord(b"POST", b"/v1/chat/completions", b"id")
        record.model, record.upstream, record.release, record.status = "chat", "openai/x", release, 200
        record.error, record.duration_s, record.first_token_s = error, 3.0, 0.4
        telemetry.finished(record)
    found = _counted(before, gateway.scrape(), model_errors("chat"), model_first_token("chat", 0.25))
    assert found == {"errors": Arms(Tally(0, 1), Tally(1, 0)), "first_token": Arms(Tally(0, 1), Tally(0, 1))}


def test_what_takes_longer_than_the_edge_of_a_bucket_is_bad() -> None:
    gateway = Gateway()
    before = gateway.scrape()
    gateway.calls("v1", seconds=0.64)
    gateway.calls("v2", seconds=0.65)
    gateway.calls("v2", "upstream_cut", seconds=0.1)
    gateway.serves("v2", "2xx", 4, seconds=0.3)
    gateway.serves("v1", "2xx", 5, seconds=0.2)
    measures = [model_duration("chat", 0.64), model_first_token("chat", 0.5), service_duration("api", 0.25, "service")]
    assert _counted(before, gateway.scrape(), *measures) == {
        "latency": Arms(Tally(0, 1), Tally(1, 0)),
        "first_token": Arms(Tally(1, 1), Tally(0, 1)),
        "service": Arms(Tally(0, 4), Tally(5, 0)),
    }


def test_an_objective_that_is_on_no_edge_is_refused_with_the_edges() -> None:
    with pytest.raises(
        ValueError, match=r"no bucket of gen_ai_server_time_to_first_token_seconds ends at 0.8; .* 0.75, 1,"
    ):
        model_first_token("chat", 0.8)


def test_a_gateway_that_has_other_buckets_is_refused() -> None:
    count = 'shipway_service_request_duration_seconds_count{target="api",release="v2"} '
    with pytest.raises(ValueError, match="in other buckets"):
        _counted(parse_scrape(count + "1"), parse_scrape(count + "3"), service_duration("api", 0.25))


def test_a_gateway_that_began_anew_counts_from_zero() -> None:
    before, after = Gateway(started_s=1000.0), Gateway(started_s=2000.0)
    before.serves("v2", "2xx", 10)
    after.serves("v2", "2xx", 30)
    after.serves("v2", "5xx", 4)
    assert _counted(before.scrape(), after.scrape(), service_errors("api"))["errors"].canary == Tally(30, 4)


def test_a_series_that_shrank_counts_from_zero() -> None:
    before, after = Gateway(), Gateway()
    before.serves("v2", "2xx", 10)
    after.serves("v2", "2xx", 3)
    assert _counted(before.scrape(), after.scrape(), service_errors("api"))["errors"].canary == Tally(3, 0)


def test_a_missing_scrape_loses_nothing_and_gateways_add_up() -> None:
    first, second = Gateway(), Gateway()
    measures = [service_errors("api")]
    last = {"first": first.scrape(), "second": second.scrape()}
    first.serves("v2", "2xx", 5)
    second.serves("v2", "5xx", 3)
    now = {"first": first.scrape()}  # the second does not answer
    assert counted(last, now, measures, "v2", "v1") == {"errors": Arms(Tally(5, 0), Tally())}
    last = dict(kept(last, now))
    first.serves("v2", "2xx", 2)
    now = {"first": first.scrape(), "second": second.scrape()}
    assert counted(last, now, measures, "v2", "v1") == {"errors": Arms(Tally(2, 3), Tally())}


def test_a_gateway_that_is_new_counts_from_its_second_scrape_on() -> None:
    gateway = Gateway()
    gateway.serves("v2", "5xx", 3)
    assert counted({}, {"g": gateway.scrape()}, [service_errors("api")], "v2", "v1") == {"errors": Arms()}


def test_what_was_counted_as_other_belongs_to_no_arm() -> None:
    gateway = Gateway()
    before = gateway.scrape()
    gateway.serves("v3", "5xx", 3)
    assert _counted(before, gateway.scrape(), service_errors("api")) == {"errors": Arms()}


def test_other_sources_are_measures_too() -> None:
    before = parse_scrape('answers_total{release="v2",label="poor"} 1')
    after = parse_scrape('answers_total{release="v2",label="poor"} 3\nanswers_total{release="v2",label="fine"} 8')
    quality = Measure("quality", Series("answers_total", {}), bad=(Series("answers_total", {"label": "poor"}),))
    assert _counted(before, after, quality) == {"quality": Arms(Tally(8, 2), Tally())}
    with pytest.raises(ValueError, match="either good or bad"):
        Measure("quality", Series("answers_total", {}))


def test_what_the_gateway_told_apart_itself_is_taken_as_it_is() -> None:
    gateway = Gateway()
    gateway.costs("v2", "bad", 50)
    gateway.is_labelled("v1", "good", 7)
    before = gateway.scrape()
    gateway.costs("v2", "bad", 3)
    gateway.costs("v2", "good", 4)
    gateway.costs("v1", "good", 90)
    gateway.costs("v1", "bad", 90, model="chat2")
    gateway.is_labelled("v2", "bad", 2)
    gateway.is_labelled("v1", "good", 5)
    assert _counted(before, gateway.scrape(), model_cost("chat"), quality()) == {
        "cost": Arms(Tally(4, 3), Tally(90, 0)),
        "quality": Arms(Tally(0, 2), Tally(5, 0)),
    }
