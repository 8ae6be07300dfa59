"""The target docker keeps the contract of targets, on a real engine."""

import os

import msgspec
import pytest

from shipway.deploy.releases import Release
from shipway.deploy.targets import Surroundings
from shipway.deploy.targets.docker import DockerTarget
from shipway.secret import Secret
from shipway.spec.load import load_app, tables
from tests.deploy.targets.contract import Scene, TargetContract
from tests.integration.docker.conftest import Deployment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


class TestDockerTarget(TargetContract):
    @pytest.fixture
    def scene(self, deployment: Deployment) -> Scene:
        """v1 and v2 are good, v3 is never healthy; each is built from its own state of the project."""
        app = load_app(deployment.folder, "prod")
        source, resolved = tables(deployment.folder, "prod")
        releases: dict[int, Release] = {}
        environ = {**os.environ, "DOCKER_HOST": deployment.engine.docker_host}
        around = Surroundings(app, releases.__getitem__, lambda reference, version: Secret("hush-hush"), Secret)
        target = DockerTarget(around, environ)
        for number, behaviour in ((1, "good"), (2, "good"), (3, "ill")):
            deployment.write(behaviour, number)
            made = Release(
                number=number,
                app=app.name,
                environment="prod",
                images=target.images(build=True, say=lambda text: None),
                source=source,
                resolved=resolved,
                secrets={"env:TOKEN": "v1"},
            )
            releases[number] = msgspec.structs.replace(made, rendered=target.render(made))
        return Scene(target, releases)
