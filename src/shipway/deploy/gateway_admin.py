"""The gateway over its admin API: weights, what is under way, counts for the verdict."""

import http.client
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipway.deploy.counts import Arms
from shipway.deploy.evidence import (
    Measure,
    counted,
    model_cost,
    model_duration,
    model_errors,
    model_first_token,
    quality,
    service_duration,
    service_errors,
)
from shipway.deploy.front import front_table, splits
from shipway.deploy.releases import Release, release_name, release_number
from shipway.deploy.scrape import Scrape, parse_scrape
from shipway.errors import TrafficError
from shipway.monitoring import metrics
from shipway.monitoring.declarations import Metric
from shipway.secret import Secret
from shipway.spec.objectives import Objectives

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class AdminAddress:
    """Where the admin listener is, and what opens it."""

    host: str
    port: int
    token: Secret


class GatewayAdmin:
    """A `Traffic` with one gateway, which it compares with itself from one look to the next."""

    def __init__(
        self,
        address: Callable[[], AdminAddress],
        front: Callable[[], Sequence[Release]],
        endpoints: Callable[[int], Collection[str]],
        objectives: Objectives,
    ) -> None:
        """
        Args:
            address: Asked before each request, as another release may have another one.
            front: The releases that the gateway's configuration names, the first one leading.
            endpoints: Where the replicas of a release answer, as `host:port`.
        """
        self._address = address
        self._front = front
        self._endpoints = endpoints
        self._objectives = objectives
        self._last: Scrape | None = None

    def shares(self) -> Mapping[int, float]:
        shared = [_by_number(shares) for shares in self._get("/v1/weights")["weights"].values()]
        ours = [shares for shares in shared if shares]
        return _mean(ours) if ours else {}

    def shift(self, shares: Mapping[int, float]) -> None:
        weights = {release_name(number): share for number, share in shares.items()}
        for target, releases in splits(front_table(self._front())).items():
            own = {name: weight for name, weight in weights.items() if name in releases}
            # Something that only one of the releases has stays with that one.
            if any(own.values()) and release_number(next(iter(releases))) is not None:
                self._ask("PUT", f"/v1/weights/{target}", own)

    def counted(self, canary: int, baseline: int) -> Mapping[str, Arms]:
        scrape = self._scraped()
        last, self._last = self._last, scrape
        if last is None:
            return {}
        result: dict[str, Arms] = {}
        for measure in measures(splits(front_table(self._front())), self._objectives):
            arms = _arms(last, scrape, measure, release_name(canary), release_name(baseline))
            result[measure.objective] = result.get(measure.objective, Arms()) + arms
        return result

    def in_flight(self, release: int) -> int:
        endpoints = set(self._endpoints(release))
        found = self._get("/v1/upstreams")["upstreams"]
        return sum(one["in_flight"] for one in found if one["address"] in endpoints)

    def reload(self) -> None:
        """Have the gateway read its app file again. Raises: TrafficError, with what is wrong with the file."""
        self._ask("POST", "/v1/reload")

    def _scraped(self) -> Scrape:
        try:
            return parse_scrape(self._request("GET", "/metrics", None).decode())
        except ValueError as error:
            raise TrafficError(f"the gateway's metrics make no sense: {error}") from error

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self._request(method, path, None if body is None else json.dumps(body).encode())
        try:
            return json.loads(answer)
        except ValueError as error:
            raise TrafficError(f"the gateway's answer to {method} {path} is not JSON") from error

    def _request(self, method: str, path: str, body: bytes | None) -> bytes:
        address = self._address()
        headers = {"authorization": f"Bearer {address.token.reveal()}"}
        connection = http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise TrafficError(
                f"the gateway's admin API at {address.host}:{address.port} does not answer: {str(error) or type(error).__name__}",
                "see whether the gateway runs, and what its log says",
            ) from error
        finally:
            connection.close()
        if response.status != 200:
            raise _refusal(method, path, response.status, answer)
        return answer


def measures(split: Iterable[str], objectives: Objectives) -> Iterator[Measure]:
    """How the objectives are counted in everything that releases share (`services.api`, `models.chat`).

    A bound on time is that of the nearest bucket below it, so that what is called good surely is.
    """
    for target in split:
        section, _, name = target.partition(".")
        yield (service_errors if section == "services" else model_errors)(name, "availability")
        if (latency := objectives.latency) is not None and section == "services":
            yield service_duration(name, bucket(metrics.SERVICE_DURATION, latency.under_s))
        elif latency is not None:
            yield model_duration(name, bucket(metrics.MODEL_DURATION, latency.under_s))
        if (first_token := objectives.first_token) is not None and section == "models":
            yield model_first_token(name, bucket(metrics.FIRST_TOKEN, first_token.under_s))
        if objectives.cost is not None and section == "models":
            yield model_cost(name)
    if objectives.quality is not None:
        yield quality()


def bucket(metric: Metric[Any], under_s: float) -> float:
    """The largest bound of *metric*'s buckets that is not above *under_s*; the smallest when all are."""
    return max((bound for bound in metric.bounds if bound <= under_s), default=metric.bounds[0])


def _arms(before: Scrape, after: Scrape, measure: Measure, canary: str, baseline: str) -> Arms:
    try:
        return counted({"": before}, {"": after}, [measure], canary, baseline)[measure.objective]
    except ValueError as error:  # a gateway of another version, with other buckets
        raise TrafficError(f"the gateway does not count what the objectives need: {error}") from error


def _by_number(shares: Mapping[str, float]) -> dict[int, float]:
    """Shares of our releases; empty for a split between releases that the app file itself declares."""
    numbers = {name: release_number(name) for name in shares}
    return {number: shares[name] for name, number in numbers.items() if number is not None} if shares else {}


def _mean(shared: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """All are alike unless somebody died while they were being changed."""
    numbers = sorted({number for shares in shared for number in shares})
    return {number: sum(shares.get(number, 0.0) for shares in shared) / len(shared) for number in numbers}


def _refusal(method: str, path: str, status: int, answer: bytes) -> TrafficError:
    if status in (401, 403):
        return TrafficError(
            "the gateway refuses the admin token", "deploy with the SHIPWAY_ADMIN_TOKEN it was started with"
        )
    try:
        body = json.loads(answer)
        said = [problem["message"] for problem in body.get("problems", ())] or [body.get("message", "")]
    except (ValueError, AttributeError, TypeError, KeyError):
        said = [""]
    return TrafficError(f"the gateway refused {method} {path} with status {status}: {'; '.join(said)}")
