"""The project that is deployed on a real engine, by tests and by the benchmark: one service whose behaviour is chosen."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.integration.docker.engine import BASE_IMAGE

APP = Path(__file__).with_name("answering_app.py")


@dataclass
class Project:
    """A folder with the app file and the app; change what is said here and `write` it.

    Attributes:
        drain: Of the service and of the gateway.
        service, gateway, build, more: Further lines of `[services.api]`, `[gateway]`, `[build]` and the environment.
    """

    folder: Path
    name: str
    port: int
    admin_port: int
    replicas: int = 1
    start_within: str = "20s"
    drain: str = "10s"
    rollout: str = '{ strategy = "blue_green", watch = "1s" }'
    base: str = BASE_IMAGE
    service: str = ""
    gateway: str = ""
    build: str = ""
    more: str = ""

    def write(self, behaviour: str = "good", version: int = 1) -> None:
        """Lay it out. *behaviour*: see `answering_app`."""
        (self.folder / "answering_app.py").write_text(APP.read_text())
        (self.folder / "behaviour.json").write_text(json.dumps({"behaviour": behaviour, "version": version}))
        (self.folder / "shipway.toml").write_text(f"""
name = "{self.name}"
[services.api]
app = "answering_app:app"
routes = [{{ path = "/", public = true }}]
health = {{ path = "/healthz", start = "{self.start_within}" }}
replicas = {self.replicas}
drain = "{self.drain}"
{self.service}
[gateway]
port = {self.port}
admin_port = {self.admin_port}
drain = "{self.drain}"
{self.gateway}
[build]
base_image = "{self.base}"
network = "host"
{self.build}
[environments.prod]
target = "docker"
rollout = {self.rollout}
{self.more}
""")
