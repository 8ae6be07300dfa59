"""Which child processes an app means: their commands, environments, probes, and the order of their coming and going."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shipway.local.addresses import LOOPBACK, Address
from shipway.local.allotment import Allotment, Replica
from shipway.local.children import ChildSpec, HealthPolicy
from shipway.local.environment import KEYS_VARIABLE, base_environment, service_environment
from shipway.local.models import ModelServer
from shipway.local.probes import AcceptsConnections, AnswersHttp, GeneratesToken
from shipway.local.supervisor import Stage
from shipway.secret import Secret
from shipway.spec.app import App
from shipway.spec.services import Service

# -P: without it the app's folder would come first on the path, and a `secret.py` there would be taken for a library's.
_PYTHON = (sys.executable, "-P", "-m")
GATEWAY = (*_PYTHON, "shipway.gateway")

SERVICES = "the services"
"""Title of their stage."""

_GATEWAY_START_S = 30.0
_MODEL_START_S = 600.0  # large weights from a slow disk
_MODEL_DRAIN_S = 3.0  # its requests have ended when the gateway has

_MODEL_HEALTH = HealthPolicy(interval_s=15.0, timeout_s=30.0, start_s=_MODEL_START_S, failures=3)
_MODEL_NOISE = re.compile(
    r"embeddings (enabled|required)|setting n_batch = n_ubatch|security: no API key|default pooling_type is"
    r"| W (slot|srv +(stop|operator\(\))):? "
)
"""Warnings that llama.cpp gives for the settings we chose and for single requests: that one was asked before, that its client
left, that it was no JSON. They would bury the gateway's lines, which say what became of a request."""

# The gateway leaves first: it accepts nothing more and waits for what runs, which needs services and models to the
# end. Then nobody asks the services, and then nobody the models.
_GATEWAY_LEAVES, _SERVICES_LEAVE, _MODELS_LEAVE = 0, 1, 2


@dataclass(frozen=True)
class Surroundings:
    """What children are given beside the app file.

    Attributes:
        environ: The environment of whoever runs `shipway up`.
        service_env: `env` of each service, references resolved.
        endpoints_file: Where the gateway reads its endpoints.
        cores: Cores that all processes together may use.
    """

    environ: Mapping[str, str]
    service_env: Mapping[str, Mapping[str, str]]
    key: Secret
    endpoints_file: Path
    log_format: str = "text"
    verbose: bool = False
    cores: int = 1
    gateway_command: tuple[str, ...] = GATEWAY


def stages(app: App, models: Sequence[ModelServer], allotment: Allotment, around: Surroundings) -> list[Stage]:
    """All children, in the order in which they start: models, the gateway in front of them, then the services, which
    may ask the models while they start."""
    servers = tuple(
        _model_server(one, at, len(models), around) for one, at in zip(models, allotment.models, strict=True)
    )
    services = tuple(_service(app, replica, allotment, around) for replica in allotment.replicas)
    return [
        Stage("the models", servers, _MODELS_LEAVE),
        Stage("the gateway", (_gateway(app, around),), _GATEWAY_LEAVES),
        Stage(SERVICES, services, _SERVICES_LEAVE),
    ]


def gateway_url(app: App) -> str:
    """Where clients on this machine reach the gateway, without a slash at the end."""
    scheme = "https" if app.gateway.tls else "http"
    return f"{scheme}://{Address(_reachable(app.gateway.host), app.gateway.port)}"


def admin_address(app: App) -> Address:
    return Address(_reachable(app.gateway.admin_host), app.gateway.admin_port)


def _reachable(host: str) -> str:
    """An address to call where *host* may mean all addresses."""
    return {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}.get(host, host)  # noqa: S104 - it is replaced


def _model_server(server: ModelServer, address: Address, servers: int, around: Surroundings) -> ChildSpec:
    # One core is left to the gateway and the services. llama.cpp's threads wait for each other at every layer, so one
    # that has to share its core slows all of them: on 2 busy cores, 2 threads gave 8 tokens/s and 1 thread 43.
    threads = max(1, (around.cores - 1) // servers)
    return ChildSpec(
        name=server.name,
        argv=(
            *(*_PYTHON, "shipway.local.model_server", "--model", str(server.path), "--name", server.name),
            *("--port", str(address.port), "--context", str(server.context), "--slots", str(server.slots)),
            *("--threads", str(threads), *(["--verbose"] if around.verbose else [])),
        ),
        env={**base_environment(around.environ), "PYTHONUNBUFFERED": "1"},
        cwd=server.path.parent,
        probe=GeneratesToken(),
        address=address,
        health=_MODEL_HEALTH,
        drain_s=_MODEL_DRAIN_S,
        noise=None if around.verbose else _MODEL_NOISE,
    )


def _gateway(app: App, around: Surroundings) -> ChildSpec:
    gateway = app.gateway
    keys = [around.key.reveal(), *filter(None, [around.environ.get(KEYS_VARIABLE)])]
    return ChildSpec(
        name="gateway",
        argv=(
            *(*around.gateway_command, str(app.source), "--environment", app.environment),
            *("--port", str(gateway.port), "--admin-port", str(gateway.admin_port)),
            *("--endpoints", str(around.endpoints_file), "--log-format", around.log_format),
        ),
        env={**around.environ, "PYTHONUNBUFFERED": "1", KEYS_VARIABLE: ",".join(keys)},
        cwd=app.root,
        probe=AnswersHttp("/readyz"),
        address=admin_address(app),
        health=HealthPolicy(start_s=_GATEWAY_START_S),
        drain_s=gateway.drain,
    )


def _service(app: App, replica: Replica, allotment: Allotment, around: Surroundings) -> ChildSpec:
    service = app.services[replica.service]
    health = service.health
    return ChildSpec(
        name=replica.name,
        argv=_service_command(service),
        env=service_environment(
            app,
            replica.service,
            replica.address.port,
            base_environment(around.environ),
            around.service_env.get(replica.service, {}),
            allotment.service_urls,
            f"{gateway_url(app)}/v1",
            around.key,
        ),
        cwd=(app.root / service.cwd).resolve(),
        probe=AnswersHttp(health.path) if health.path is not None else AcceptsConnections(),
        address=replica.address,
        sockets=replica.sockets,
        health=HealthPolicy(health.interval, health.timeout, health.start, health.failures),
        drain_s=service.drain,
    )


def _service_command(service: Service) -> tuple[str, ...]:
    if service.command is not None:
        return service.command
    assert service.app is not None  # noqa: S101 - images do not run here and URLs are not started
    drain_s = max(1, int(service.drain) - 1)  # it should end by itself before it is killed
    factory = ("--factory",) if service.factory else ()
    return (*_PYTHON, "shipway.local.serve_asgi", service.app, *factory, "--drain", str(drain_s))
