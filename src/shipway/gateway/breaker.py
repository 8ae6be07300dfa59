"""The breaker of one upstream endpoint: stops asking what does not answer, and finds out gently when it does again.

A state machine without I/O: the clock and the randomness are arguments. Closed lets everything pass; open lets nothing
pass; half-open, which begins by itself when the open time is over, lets a bounded number of probes pass.

Sources: the pattern is Nygard, "Release It!" (2nd ed., section 5.2); consecutive failures and growing ejections are
Envoy's outlier detection; failure share over a minimum of requests is Hystrix and resilience4j; the jitter is
"equal jitter" of AWS, "Exponential Backoff and Jitter".
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SLOTS: Final = 10
"""Parts of the sliding window: the oldest tenth is forgotten at a time, which costs less than a time per request."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and for how long.

    Attributes:
        consecutive_failures: Opens on so many failures in a row. Five as in Envoy: fewer would open on the handful of
            requests that one restart of an upstream cuts, and each one more is a client that waits for nothing.
        failure_share: Opens when this share of the window's requests failed. A half as in Hystrix and resilience4j.
        minimum_requests: The share says nothing of fewer requests than this. Twenty as in Hystrix: an upstream that
            fails one request in ten reaches a half of twenty by chance about once in 140,000 windows.
        window_s: Length of the sliding window. Thirty seconds, Hystrix's ten being too short for answers of models.
        first_open_s: Open time the first time. Short, because most troubles are a restart and over in a second.
        longest_open_s: The open time doubles up to this each time the endpoint fails again before it has been closed
            for this long, so that flapping is not forgiven by one good probe. Fifteen seconds, as a probe is a single
            request: more would spare the upstream nothing and keep it away after it has recovered.
        jitter: Part of the open time that is random: gateways that saw one failure together do not probe together.
        longest_wait_s: Longest `Retry-After` that is followed. An hour from a confused proxy would take the upstream
            away for an hour; asking once a minute is polite enough.
        probes: Requests that may be under way at once while half-open.
        probe_successes: So many successes in half-open close it; two, since one proves little of a flaky endpoint.
        probe_lease_s: A probe that has not reported for so long no longer counts as under way.
    """

    consecutive_failures: int = 5
    failure_share: float = 0.5
    minimum_requests: int = 20
    window_s: float = 30.0
    first_open_s: float = 1.0
    longest_open_s: float = 15.0
    jitter: float = 0.5
    longest_wait_s: float = 60.0
    probes: int = 2
    probe_successes: int = 2
    probe_lease_s: float = 60.0

    def __post_init__(self) -> None:
        counts = (self.consecutive_failures, self.minimum_requests, self.probes, self.probe_successes)
        times = (self.window_s, self.first_open_s, self.longest_wait_s, self.probe_lease_s)
        if min(counts) < 1 or not min(times) > 0 or self.longest_open_s < self.first_open_s:
            raise ValueError("counts are at least 1, times more than 0, longest_open_s at least first_open_s")
        if not 0 < self.failure_share <= 1 or not 0 <= self.jitter < 1:
            raise ValueError("failure_share is in (0, 1] and jitter in [0, 1)")

    def open_s(self, openings: int, draw: float) -> float:
        """How long the breaker stays open at its *openings*-th opening in a row (from 1); *draw* is in [0, 1)."""
        # The exponent is bounded too: after days of failures the power alone would overflow.
        whole_s = min(self.longest_open_s, self.first_open_s * 2.0 ** min(openings - 1, 64))
        return whole_s * (1 - self.jitter * draw)


DEFAULT_POLICY: Final = BreakerPolicy()


class Breaker:
    """One endpoint's breaker. All times are seconds of one monotonic clock and never go back.

    Ask `allows` last, when everything else speaks for this endpoint: in half-open a yes takes a probe. Each yes is
    followed by exactly one report: `succeeded`, `failed`, `told_to_wait` instead of `failed` where the endpoint said how
    long, or `probe_abandoned` when the attempt ended without telling anything of the endpoint (the client left).

    A report may carry *begun_s*, when its attempt began. Reports of attempts older than the last opening are ignored
    then, so a long stream that began before the trouble and ends well does not count as a probe.

    Attributes:
        closed: Whether everything passes, for those that ask often.
        openings: How often it opened since it was made, for metrics.
    """

    __slots__ = (
        "_closed_since_s", "_in_a_row", "_opened_s", "_openings_in_a_row", "_policy", "_probe_wins", "_probes",
        "_random", "_slot", "_slot_failures", "_slot_successes", "_slots", "_slots_per_s", "_until_s", "closed", "openings",
    )  # fmt: skip

    def __init__(self, policy: BreakerPolicy = DEFAULT_POLICY, random: Callable[[], float] = random.random) -> None:
        self._policy = policy
        self._random = random
        self.openings = 0
        self.closed = True
        self._closed_since_s = -math.inf
        self._opened_s = -math.inf
        self._until_s = -math.inf
        self._openings_in_a_row = 0
        self._probes: deque[float] = deque()  # when each probe under way loses its lease, oldest first
        self._probe_wins = 0
        self._in_a_row = 0
        self._slots_per_s = SLOTS / policy.window_s
        self._slot = self._slot_successes = self._slot_failures = 0
        self._slots: deque[tuple[int, int, int]] = deque()  # (slot, successes, failures) of earlier slots

    def state(self, now_s: float) -> State:
        if self.closed:
            return State.CLOSED
        return State.OPEN if now_s < self._until_s else State.HALF_OPEN

    def allows(self, now_s: float) -> bool:
        """Whether a request may be sent now; in half-open a yes takes one of the probes."""
        if self.closed:
            return True
        if not self.would_allow(now_s):
            return False
        self._probes.append(now_s + self._policy.probe_lease_s)
        return True

    def would_allow(self, now_s: float) -> bool:
        """What `allows` would say, without taking a probe: for finding candidates."""
        if self.closed:
            return True
        if now_s < self._until_s:
            return False
        probes = self._probes
        while probes and probes[0] <= now_s:
            probes.popleft()
        return len(probes) < self._policy.probes

    def retry_in_s(self, now_s: float) -> float:
        """How long until it may allow a request; 0.0 when not open."""
        return 0.0 if self.closed else max(0.0, self._until_s - now_s)

    def succeeded(self, now_s: float, begun_s: float = math.inf) -> None:
        """The endpoint answered as it should."""
        if self.closed:
            # Here the age of the attempt does not matter: what answers is well.
            slot = int(now_s * self._slots_per_s)
            if slot != self._slot:
                self._turn_to(slot)
            self._slot_successes += 1
            self._in_a_row = 0
        elif now_s >= self._until_s and begun_s >= self._opened_s:
            self._end_probe()
            self._probe_wins += 1
            if self._probe_wins >= self._policy.probe_successes:
                self.closed = True
                self._closed_since_s = now_s
                self._forget_window()

    def failed(self, now_s: float, begun_s: float = math.inf) -> None:
        """The endpoint failed (not the request: a 400 is the client's mistake and a success here)."""
        if begun_s < self._opened_s:
            return
        if self.closed:
            slot = int(now_s * self._slots_per_s)
            if slot != self._slot:
                self._turn_to(slot)
            self._slot_failures += 1
            self._in_a_row += 1
            if self._in_a_row >= self._policy.consecutive_failures or self._share_reached():
                self._fail_open(now_s)
        elif now_s >= self._until_s:
            self._fail_open(now_s)

    def told_to_wait(self, now_s: float, seconds: float) -> None:
        """The endpoint said not to come back for *seconds* (429 or 503 with `Retry-After`); zero only ends a probe.

        It opens at once and until then, at most `longest_wait_s` and never for less than it is open already. This does
        not count towards longer open times: an endpoint that says so works.
        """
        if not seconds > 0:  # also NaN
            self.probe_abandoned()
            return
        until_s = now_s + min(seconds, self._policy.longest_wait_s)
        if self.state(now_s) is State.OPEN:
            self._until_s = max(self._until_s, until_s)
        else:
            self._open(now_s, until_s)

    def probe_abandoned(self, begun_s: float = math.inf) -> None:
        """An attempt ended without saying anything of the endpoint; another may probe in its place."""
        if not self.closed and begun_s >= self._opened_s:
            self._end_probe()

    def _end_probe(self) -> None:
        # Which of them reported does not matter, and the oldest is the likeliest.
        if self._probes:
            self._probes.popleft()

    def _fail_open(self, now_s: float) -> None:
        policy = self._policy
        if self.closed and now_s - self._closed_since_s >= policy.longest_open_s:
            self._openings_in_a_row = 0
        self._openings_in_a_row += 1
        self._open(now_s, now_s + policy.open_s(self._openings_in_a_row, self._random()))

    def _open(self, now_s: float, until_s: float) -> None:
        self.openings += 1
        self.closed = False
        self._opened_s = now_s
        self._until_s = until_s
        self._probes.clear()
        self._probe_wins = 0

    def _forget_window(self) -> None:
        self._in_a_row = 0
        self._slot_successes = self._slot_failures = 0
        self._slots.clear()

    def _turn_to(self, slot: int) -> None:
        if self._slot_successes or self._slot_failures:
            self._slots.append((self._slot, self._slot_successes, self._slot_failures))
        while self._slots and self._slots[0][0] <= slot - SLOTS:
            self._slots.popleft()
        self._slot = slot
        self._slot_successes = self._slot_failures = 0

    def _share_reached(self) -> bool:
        failures = self._slot_failures + sum(one[2] for one in self._slots)
        requests = failures + self._slot_successes + sum(one[1] for one in self._slots)
        return requests >= self._policy.minimum_requests and failures >= self._policy.failure_share * requests
