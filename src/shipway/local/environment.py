"""The environment variables that a service gets. Pure."""

import sys
from collections.abc import Mapping
from pathlib import Path

from shipway.secret import Secret
from shipway.spec.app import App

RELEASE = "dev"
KEYS_VARIABLE = "SHIPWAY_API_KEYS"


def url_variable(service: str) -> str:
    """Name of the variable that holds the address of *service*."""
    return f"SHIPWAY_URL_{service.upper().replace('-', '_')}"


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every service starts from: the caller's environment without the gateway's keys.

    The folder of this Python comes first on PATH when it is a virtual environment that is not activated, so that
    `command = ["python", …]` means the Python that has the app's packages.
    """
    base = {name: value for name, value in environ.items() if name != KEYS_VARIABLE}
    programs = str(Path(sys.executable).parent)
    folders = base.get("PATH", "").split(":")
    if sys.prefix != sys.base_prefix and programs not in folders:
        base["PATH"] = ":".join([programs, *filter(None, folders)])
    return base


def service_environment(
    app: App,
    service: str,
    port: int,
    base: Mapping[str, str],
    own: Mapping[str, str],
    urls: Mapping[str, str],
    openai_url: str,
    key: Secret,
) -> dict[str, str]:
    """All variables of one replica of *service*.

    Args:
        base: What every service starts from.
        own: The service's `env`, with its references resolved. It wins over all but what Shipway has decided.
        urls: Address of each service.
        openai_url: Where the models answer, up to and with `/v1`.
    """
    return {
        **base,
        "PYTHONUNBUFFERED": "1",
        "OPENAI_BASE_URL": openai_url,
        "OPENAI_API_KEY": key.reveal(),
        **own,
        **{url_variable(other): url for other, url in urls.items() if other != service},
        "PORT": str(port),
        "SHIPWAY_SERVICE": service,
        "SHIPWAY_ENVIRONMENT": app.environment,
        "SHIPWAY_RELEASE": RELEASE,
    }
