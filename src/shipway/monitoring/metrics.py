"""Every metric of the gateway, declared once: name, meaning, unit, labels, buckets.

The registry, the text that is scraped, the reference page, dashboards and alert rules follow from this table. A new
metric is one declaration here and one observation where the fact happens.

Names that begin with `gen_ai_` are those of OpenTelemetry's conventions for generative AI, with the units that Prometheus
puts into names. The conventions are still in development: a change of theirs is a change of this file alone.
Source: open-telemetry/semantic-conventions-genai.
"""

from __future__ import annotations

from typing import Any

from shipway.cost.prices import CLASSES
from shipway.monitoring.declarations import Label, Metric, counter, gauge, histogram, info
from shipway.monitoring.registry import Registry
from shipway.spec.prices import PICO

# -- buckets

_CALL_S = tuple(round(0.01 * 2**n, 2) for n in range(14))
_FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_OUTPUT_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_TOKENS = tuple(4**n for n in range(14))
_SERVICE_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_GUARD_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SIMILARITY = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1)
_OVERHEAD_S = (0.00005, 0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.1, 1)

# -- labels; those without values take them from the app file (`Registry.allow`)

OPERATION = Label(
    "gen_ai_operation_name",
    "What is asked of a model.",
    ("chat", "text_completion", "embeddings", "count_tokens", "image_generation", "speech", "transcription", "rerank"),
)
PROVIDER = Label("gen_ai_provider_name", "Who answered: a provider of the app file.")
MODEL = Label("gen_ai_request_model", "The model that was asked for: a model of the app file.")
TOKEN_TYPE = Label("gen_ai_token_type", "Which side of a call the tokens are on.", ("input", "output"))
TOKEN_CLASS = Label(
    "class",
    "What the tokens were, each in one class: of what went in those read from the provider's cache, written to it, audio, "
    "images, and the rest (`input`); of what came out thoughts (`reasoning`), audio, images, and the rest (`output`).",
    CLASSES,
)
ERROR_TYPE = Label("error_type", "Code of the error that ended the call; absent on success.")
RELEASE = Label("release", "The release that answered, where several share the traffic.")
KIND = Label(
    "kind", "What a request was for: a model, a service, or the gateway itself.", ("model", "service", "gateway")
)
TARGET = Label("target", "Name of the service or model in the app file; absent where the request named none.")
STATUS = Label(
    "status_class",
    "First digit of the status; `499` is a client that left before any answer.",
    ("1xx", "2xx", "3xx", "4xx", "5xx", "499"),
)
CODE = Label("code", "Code of the error; what never became a request has one by its status.")
UPSTREAM = Label("upstream", "A provider with its model, or the name of a service.")
OUTCOME = Label(
    "outcome",
    "How the attempt ended: a whole response, one with an error status that may be tried elsewhere, or the fault.",
    (
        "answered",
        "error_status",
        "connect",
        "connect_timeout",
        "unsent",
        "reset",
        "cut",
        "garbage",
        "error",
        "first_byte_timeout",
        "first_token_timeout",
        "idle_timeout",
        "total_timeout",
        "client_left",
    ),
)
DEADLINE = Label(
    "deadline",
    "Which deadline passed.",
    ("connect", "first_byte", "first_token", "idle", "total", "header", "body", "unread"),
)
REASON = Label(
    "reason",
    "Why it was tried again: a kept connection was closed, the upstream failed, answered with an error, or was too slow.",
    ("stale", "fault", "status", "deadline"),
)
STREAM_OUTCOME = Label(
    "outcome",
    "Whether the stream was whole, was cut by the upstream, was left by the client, or carried an error event, as also one does "
    "that the gateway's own end breaks off.",
    ("whole", "cut", "client_left", "in_band_error"),
)
CACHE_RESULT = Label(
    "result",
    "Whether a kept answer was given, one to a question of nearly the same meaning (`similar`), one that another request was "
    "waiting for (`shared`), none that was kept, or none was looked for: the request or its client did not want one, or it "
    "cannot be kept.",
    ("hit", "similar", "shared", "miss", "bypass"),
)
COST_UNKNOWN = Label(
    "reason",
    "What is not known: the price of the model, or what the call used of what has a price.",
    ("price", "usage"),
)
MET = Label("result", "Whether the objective was met.", ("good", "bad"))
QUALITY = Label("label", "What somebody said of an answer.", ("good", "bad"))
STORE_FAULT = Label(
    "fault",
    "No answer in time, an error, or not asked since it was known to be ill or had too much to do.",
    ("timeout", "error", "skipped"),
)
GUARD = Label("guard", "A guard of the app file.")
WHEN = Label(
    "when", "What was checked: what a model is asked (`before`) or what it answers (`after`).", ("before", "after")
)
GUARD_OUTCOME = Label(
    "outcome",
    "How the check ended: the guard's verdict, or why there is none. `resting`: it was not asked, since it failed of late; "
    "`unreadable`: nobody could read what it should have seen.",
    ("allowed", "refused", "timeout", "raised", "nonsense", "unreachable", "resting", "unreadable"),
)
GUARD_REASON = Label("reason", "Why the guard refused: a reason that the app file declares for it.")
DIRECTION = Label("direction", "Which way the bytes of bodies went.", ("to_client", "to_upstream"))
SIDE = Label("side", "Who is at the other end.", ("client", "upstream", "admin"))
RESULT = Label("result", "Whether the new app file was taken.", ("ok", "refused"))
VERSION = Label("version", "Version of Shipway.")
PYTHON = Label("python", "Version of Python.")
BUILD = Label("build", "Whether the data path was compiled, or runs from its source.", ("compiled", "source"))

# -- model calls (OpenTelemetry's names)

MODEL_DURATION = histogram(
    "gen_ai_server_request_duration_seconds",
    "Time from a model call's arrival to the last byte of its answer.",
    OPERATION,
    PROVIDER,
    MODEL,
    RELEASE,
    ERROR_TYPE,
    unit="seconds",
    bounds=_CALL_S,
)
FIRST_TOKEN = histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "Time from a model call's arrival to the first token of its stream.",
    OPERATION,
    PROVIDER,
    MODEL,
    RELEASE,
    unit="seconds",
    bounds=_FIRST_TOKEN_S,
)
OUTPUT_TOKEN = histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Mean time between tokens of a stream, after the first.",
    OPERATION,
    PROVIDER,
    MODEL,
    RELEASE,
    unit="seconds",
    bounds=_OUTPUT_TOKEN_S,
)
TOKENS = histogram(
    "gen_ai_client_token_usage",
    "Tokens of a model call, as the upstream reported them; calls without a report are not in it.",
    OPERATION,
    PROVIDER,
    MODEL,
    RELEASE,
    TOKEN_TYPE,
    unit="tokens",
    bounds=_TOKENS,
)
TOKEN_CLASSES = counter(
    "shipway_tokens_total",
    "Tokens of model calls in classes that do not overlap, as upstreams reported them: what each is paid by.",
    OPERATION,
    PROVIDER,
    MODEL,
    RELEASE,
    TOKEN_CLASS,
)

# -- money; counted in whole parts of a dollar, so that sums are exact

COST = counter(
    "shipway_cost_usd_total",
    "What calls of models cost by the tokens that their upstreams reported and the prices of those; a call whose cost is "
    "unknown is not in it.",
    MODEL,
    PROVIDER,
    RELEASE,
    unit="usd",
    parts=PICO,
)
COST_UNKNOWN_CALLS = counter(
    "shipway_cost_unknown_total",
    "Calls of models that an upstream may bill and whose cost is unknown.",
    MODEL,
    PROVIDER,
    RELEASE,
    COST_UNKNOWN,
)
COST_OBJECTIVE = counter(
    "shipway_cost_objective_total",
    "Calls of models of known cost, by whether they met the objective `cost` of the app file.",
    MODEL,
    RELEASE,
    MET,
)
QUALITY_LABELS = counter(
    "shipway_quality_labels_total",
    "Answers that were labelled good or bad through the admin API, by the release that gave them.",
    RELEASE,
    QUALITY,
)

# -- requests

REQUESTS = counter("shipway_requests_total", "Requests answered.", KIND, TARGET, STATUS, RELEASE)
SERVICE_DURATION = histogram(
    "shipway_service_request_duration_seconds",
    "Time from a service request's arrival to the last byte of its answer.",
    TARGET,
    RELEASE,
    unit="seconds",
    bounds=_SERVICE_S,
)
SERVICE_CUT = counter(
    "shipway_service_answers_cut_total",
    "Answers of services that broke off after their status was sent.",
    TARGET,
    RELEASE,
)
OVERHEAD = histogram(
    "shipway_overhead_seconds",
    "The gateway's own part of a request: its whole time less the time spent waiting for upstreams.",
    KIND,
    unit="seconds",
    bounds=_OVERHEAD_S,
)
REFUSALS = counter(
    "shipway_refusals_total", "Requests that the gateway refused or ended with an error of its own.", CODE
)
STREAMS = counter("shipway_streams_total", "Streams of models that had begun, by how they ended.", STREAM_OUTCOME)
RELAYED = counter("shipway_relayed_bytes_total", "Bytes of bodies passed on.", DIRECTION, unit="bytes")
IN_FLIGHT = gauge("shipway_requests_in_flight", "Requests being answered now.")
CONNECTIONS = gauge("shipway_connections_open", "Connections open now.", SIDE)

# -- upstreams

ATTEMPTS = counter("shipway_upstream_attempts_total", "Attempts to have an upstream answer.", UPSTREAM, OUTCOME)
RETRIES = counter("shipway_retries_total", "Attempts after the first one of a request.", REASON)
RETRIES_WITHHELD = counter(
    "shipway_retries_withheld_total", "Attempts that were not made because the retry budget was used up."
)
DEADLINES = counter("shipway_deadlines_expired_total", "Deadlines that passed.", DEADLINE)
BREAKER = gauge("shipway_upstream_breaker_state", "Breaker of an upstream: 0 closed, 1 half-open, 2 open.", UPSTREAM)
BREAKER_OPENINGS = counter("shipway_upstream_breaker_openings_total", "How often a breaker opened.", UPSTREAM)
UPSTREAM_IN_FLIGHT = gauge("shipway_upstream_requests_in_flight", "Requests at an upstream now.", UPSTREAM)

# -- kept answers

CACHE_LOOKUPS = counter("shipway_cache_lookups_total", "Calls of models that have a cache.", MODEL, CACHE_RESULT)
CACHE_TOKENS_SAVED = counter(
    "shipway_cache_tokens_saved_total",
    "Tokens of kept answers that were given again, as their upstreams reported them.",
    MODEL,
    TOKEN_TYPE,
)
CACHE_SAVED = counter(
    "shipway_cache_saved_usd_total",
    "What kept answers that were given again had cost when they were made; those of unknown cost are not in it.",
    MODEL,
    unit="usd",
    parts=PICO,
)
CACHE_BYTES = gauge("shipway_cache_bytes", "Memory of kept answers.", MODEL, unit="bytes")
CACHE_EVICTIONS = counter(
    "shipway_cache_evictions_total", "Kept answers that made room for others before their time was over.", MODEL
)
CACHE_STORE_FAULTS = counter(
    "shipway_cache_store_faults_total", "Times that a shared store of answers was of no use.", STORE_FAULT
)
CACHE_SIMILARITY = histogram(
    "shipway_cache_similarity_ratio",
    "Cosine between a question and the nearest one that was compared with it, whether or not its answer was given.",
    MODEL,
    unit="ratio",
    bounds=_SIMILARITY,
)
CACHE_VECTOR_BYTES = gauge(
    "shipway_cache_vector_bytes", "Memory of the vectors of questions whose answers are kept.", MODEL, unit="bytes"
)
CACHE_EMBEDDING_FAULTS = counter(
    "shipway_cache_embedding_faults_total",
    "Times that no vector was there to compare a question by.",
    MODEL,
    STORE_FAULT,
)

# -- guards

GUARD_CHECKS = counter(
    "shipway_guard_checks_total", "Checks by guards; a stream has several.", GUARD, WHEN, GUARD_OUTCOME
)
GUARD_DURATION = histogram(
    "shipway_guard_check_duration_seconds", "Time that a check took.", GUARD, WHEN, unit="seconds", bounds=_GUARD_S
)
GUARD_REFUSALS = counter("shipway_guard_refusals_total", "Verdicts that refused.", GUARD, GUARD_REASON)

# -- the gateway and its process

SNAPSHOT_VERSION = gauge("shipway_snapshot_version", "Number of the configuration in use; it grows with each reload.")
RELOADS = counter("shipway_reloads_total", "Changes of the app file, by whether they were taken.", RESULT)
LOG_LINES_DROPPED = counter("shipway_log_lines_dropped_total", "Log lines lost because nobody read the log.")
BUILD_INFO = info("shipway_build_info", "What is running; always 1.", VERSION, PYTHON, BUILD)
PROCESS_START_TIME = gauge(
    "process_start_time_seconds", "When the process started, in seconds since 1970.", unit="seconds"
)
PROCESS_CPU = counter("process_cpu_seconds_total", "Processor time used by the process.", unit="seconds")
PROCESS_RESIDENT_MEMORY = gauge("process_resident_memory_bytes", "Memory of the process in RAM.", unit="bytes")
PROCESS_OPEN_FDS = gauge("process_open_fds", "File descriptors in use.")
PROCESS_MAX_FDS = gauge("process_max_fds", "File descriptors that may be in use.")

TABLE: tuple[tuple[str, tuple[Metric[Any], ...]], ...] = (
    ("Model calls", (MODEL_DURATION, FIRST_TOKEN, OUTPUT_TOKEN, TOKENS, TOKEN_CLASSES)),
    ("Money and quality", (COST, COST_UNKNOWN_CALLS, COST_OBJECTIVE, QUALITY_LABELS)),
    (
        "Requests",
        (REQUESTS, SERVICE_DURATION, SERVICE_CUT, OVERHEAD, REFUSALS, STREAMS, RELAYED, IN_FLIGHT, CONNECTIONS),
    ),
    ("Upstreams", (ATTEMPTS, RETRIES, RETRIES_WITHHELD, DEADLINES, BREAKER, BREAKER_OPENINGS, UPSTREAM_IN_FLIGHT)),
    ("Guards", (GUARD_CHECKS, GUARD_DURATION, GUARD_REFUSALS)),
    (
        "Kept answers",
        (
            CACHE_LOOKUPS,
            CACHE_TOKENS_SAVED,
            CACHE_SAVED,
            CACHE_BYTES,
            CACHE_EVICTIONS,
            CACHE_STORE_FAULTS,
            CACHE_SIMILARITY,
            CACHE_VECTOR_BYTES,
            CACHE_EMBEDDING_FAULTS,
        ),
    ),
    (
        "The gateway and its process",
        (
            SNAPSHOT_VERSION,
            RELOADS,
            LOG_LINES_DROPPED,
            BUILD_INFO,
            PROCESS_START_TIME,
            PROCESS_CPU,
            PROCESS_RESIDENT_MEMORY,
            PROCESS_OPEN_FDS,
            PROCESS_MAX_FDS,
        ),
    ),
)
"""All metrics under the headings of the reference page."""


def gateway_registry() -> Registry:
    """A registry of all metrics above."""
    return Registry(metric for _, metrics in TABLE for metric in metrics)
