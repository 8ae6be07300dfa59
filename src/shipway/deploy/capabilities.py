"""What of an app file a target cannot honour. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from shipway.deploy.releases import flat
from shipway.deploy.targets import Capabilities
from shipway.errors import UnsupportedError
from shipway.spec.app import App
from shipway.spec.wording import path_text

BY_THE_GATEWAY = frozenset(
    {
        "name",
        "limits",
        "models",
        # Not `call`: the app's code is not where the gateway runs.
        "guards.*.url",
        "guards.*.deadline",
        "guards.*.on_failure",
        "guards.*.window",
        "guards.*.hold",
        "guards.*.concurrency",
        "guards.*.reasons",
        "providers.*.kind",
        "providers.*.base_url",
        "providers.*.api_key",
        "providers.*.headers",
        "providers.*.api_version",
        "providers.*.region",
        "providers.*.profile",
        "providers.*.health",
        "services.*.url",
        "services.*.releases",
        "services.*.routes",
        "services.*.public",
        "services.*.example",
        "gateway.grace",
        "gateway.drain",
        "gateway.timeouts",
        "gateway.max_header",
        "gateway.max_target",
        "gateway.max_body",
        "gateway.session_header",
    }
)
"""What every target honours that has our gateway in front."""

BY_THE_ROLLOUT = frozenset({"objectives", "build"})
"""What the control plane sees to itself."""


Setting = tuple[str, ...]
"""The keys of a setting in the app file."""


def losses(resolved: Mapping[str, Any], capabilities: Capabilities) -> tuple[Setting, ...]:
    """The settings in the app file *resolved* that the target does not honour."""
    honours = capabilities.honours | BY_THE_ROLLOUT
    return tuple(keys for keys in flat(resolved) if not any(matches(one, keys) for one in honours))


def refuse_losses(lost: tuple[Setting, ...], app: App, capabilities: Capabilities) -> None:
    """Do nothing when the app file accepts all of *lost*. Raises: UnsupportedError, with all that it does not accept."""
    accepted = app.settings.accept_loss
    refused = [keys for keys in lost if not any(matches(pattern, keys) for pattern in accepted)]
    if refused:
        lines = [f"the target {app.target} cannot honour {path_text(one)}{_why(one, capabilities)}" for one in refused]
        patterns = ", ".join(f'"{".".join(one)}"' for one in refused)
        raise UnsupportedError(
            "\n".join(lines), f"if it may be lost: accept_loss = [{patterns}] in [environments.{app.environment}]"
        )


def refuse_unchecked(app: App) -> None:
    """Do nothing when Shipway can tell when each service is ready to take over. Raises: UnsupportedError.

    An `app` is served by Shipway, so that its port opens when its start-up is complete; what opens a port otherwise may
    still be loading, and a rollout would send it requests.
    """
    unchecked = [
        name
        for name, service in app.services.items()
        if service.source in ("command", "image") and service.health.path is None
    ]
    accepted = app.settings.accept_loss
    refused = [name for name in unchecked if not any(matches(one, ("services", name, "health")) for one in accepted)]
    if refused:
        patterns = ", ".join(f'"services.{name}.health"' for name in refused)
        raise UnsupportedError(
            "\n".join(
                f"services.{name} has no health.path, so nothing tells when a release of it is ready"
                for name in refused
            ),
            f"set it; or if an open port is enough: accept_loss = [{patterns}] in [environments.{app.environment}]",
        )


def refuse_what_stays_here(app: App) -> None:
    """Do nothing when the gateway needs nothing that is only on the machine where the app is written.

    That loss cannot be accepted: a model without its upstream or its guard is not that model any more.

    Raises:
        UnsupportedError: With all that is needed, and what to write in its place.
    """
    found = [*_staying_guards(app), *_staying_models(app), *_staying_regions(app)]
    if found:
        lines, hints = zip(*found, strict=True)
        raise UnsupportedError("\n".join(lines), "; ".join(dict.fromkeys(hints)))


def _staying_guards(app: App) -> Iterator[tuple[str, str]]:
    for name, guard in app.guards.items():
        if guard.call is not None:
            yield (
                f"guards.{name}.call: {guard.call} is the app's own code, which is not in the gateway's image",
                f"serve it over HTTP, and set url in [environments.{app.environment}.guards.{name}]",
            )


def _staying_models(app: App) -> Iterator[tuple[str, str]]:
    for name, model in app.models.items():
        for upstream in model.upstreams_by_place.values():
            if app.providers[upstream.provider].kind == "local":
                yield (
                    f"models.{name}: {upstream.target} is run by shipway up alone, not yet on the target {app.target}",
                    "run a model server there, and name it as a provider: "
                    '[providers.NAME] with kind = "openai" and base_url = "http://HOST:PORT/v1"',
                )


def _staying_regions(app: App) -> Iterator[tuple[str, str]]:
    used = {upstream.provider for model in app.models.values() for upstream in model.upstreams_by_place.values()}
    for name, provider in app.providers.items():
        if name in used and provider.kind == "bedrock" and provider.region is None:
            yield (
                f"providers.{name}.region: the AWS_REGION of this machine is not where the gateway runs",
                f'set region in [providers.{name}], such as "eu-central-1"',
            )


def matches(pattern: str, keys: Setting) -> bool:
    """Whether *pattern* names the setting at *keys*, or a table that it is in."""
    parts = pattern.split(".")
    return len(parts) <= len(keys) and all(
        part in ("*", key) for part, key in zip(parts, keys[: len(parts)], strict=True)
    )


def _why(keys: Setting, capabilities: Capabilities) -> str:
    return next((f": {why}" for pattern, why in capabilities.because.items() if matches(pattern, keys)), "")
