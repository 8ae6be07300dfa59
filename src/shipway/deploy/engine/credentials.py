"""What opens a registry: what `docker login` left on this machine, read as the engine's own client reads it.

It travels to the engine in a header of the request that needs it, never on a command line or in a file.
"""

import base64
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipway.errors import RegistryError

HUB = "https://index.docker.io/v1/"
"""What the hub's credentials are kept under."""

_HELPER_S = 30.0
_NOBODY: dict[str, str] = {}


@dataclass(frozen=True)
class Credentials:
    """The logins in the configuration file at *path*; none where there is no such file."""

    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Credentials":
        """Those of whoever runs this."""
        folder = environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker"
        return cls(Path(folder) / "config.json")

    def header_for(self, reference: str) -> dict[str, str]:
        """The header with which the engine asks the registry of the image *reference*. Raises: RegistryError."""
        return {"X-Registry-Auth": _encoded(self._login(registry_of(reference)))}

    def headers_for_build(self, references: Iterable[str]) -> dict[str, str]:
        """The header with which a build gets the images that it starts from. Raises: RegistryError."""
        hosts = {registry_of(reference) for reference in references}
        logins = {host: login for host in sorted(hosts) if (login := self._login(host))}
        return {"X-Registry-Config": _encoded(logins)} if logins else {}

    def _login(self, host: str) -> dict[str, str]:
        settings = self._settings()
        helper = settings.get("credHelpers", {}).get(host) or settings.get("credsStore")
        if helper:
            return _helped(str(helper), host)
        entry = settings.get("auths", {}).get(host) or settings.get("auths", {}).get(f"https://{host}") or {}
        if token := entry.get("identitytoken"):
            return {"identitytoken": token, "serveraddress": host}
        try:
            user, _, password = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
        except ValueError as error:
            raise RegistryError(f"{self.path}: the login of {host} is damaged", f"docker login {host}") from error
        return {"username": user, "password": password, "serveraddress": host} if user else _NOBODY

    def _settings(self) -> Any:
        try:
            return json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RegistryError(
                f"{self.path} cannot be read: {error}", "docker login REGISTRY writes it anew"
            ) from error


def registry_of(reference: str) -> str:
    """The registry that an image comes from, as logins are kept under it."""
    host, slash, _ = reference.partition("/")
    return host if slash and ("." in host or ":" in host or host == "localhost") else HUB


def _helped(helper: str, host: str) -> dict[str, str]:
    """What a credential helper has for *host*; nothing when it knows none."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=host, capture_output=True, text=True, timeout=_HELPER_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RegistryError(
            f"the credential helper {program} cannot be asked: {error}", f"docker login {host}"
        ) from error
    if done.returncode != 0:
        return _NOBODY
    try:
        found = json.loads(done.stdout)
        user, password = found["Username"], found["Secret"]
    except (ValueError, KeyError, TypeError):
        # Its output is not shown, nor kept as a cause: it may hold the secret.
        raise RegistryError(f"{program} answers in a form that is not known", f"docker login {host}") from None
    if user == "<token>":
        return {"identitytoken": password, "serveraddress": host}
    return {"username": user, "password": password, "serveraddress": host}


def _encoded(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
