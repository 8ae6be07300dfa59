"""Images in a registry with a password, Debian's docker-registry: pushed once, fetched where they are missing."""

import base64
import hashlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.docker.conftest import Deployment, free_ports

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="not installed: docker-registry"),
]

USER, PASSWORD = "deployer", "not-on-any-command-line"
PASSWORDS = f"{USER}:$2b$04$CWz/39UCFiy2fTg29rxma.79jOE19mhJSwwdS8/EmhFQhU9laljKK\n"


@dataclass(frozen=True)
class Registry:
    """A running one, and the folders of Docker's configuration of somebody who has logged in, and of somebody who has not."""

    host: str
    member: Path
    stranger: Path

    def names(self) -> list[str]:
        return list(json.loads(self._ask("GET", "/v2/_catalog"))["repositories"])

    def add_image_for_another_machine(self, name: str) -> str:
        """An image that exists for one kind of processor, which is not ours. Returns its reference."""
        config = json.dumps({"architecture": "s390x", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
        self._ask("POST", f"/v2/{name}/blobs/uploads/?digest={_digest(config)}", config, "application/octet-stream")
        kind = "application/vnd.docker.distribution"
        about = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config)}
        image = {
            **{"schemaVersion": 2, "mediaType": f"{kind}.manifest.v2+json"},
            **{"config": {**about, "digest": _digest(config)}, "layers": []},
        }
        one = json.dumps(image)
        self._ask("PUT", f"/v2/{name}/manifests/{_digest(one)}", one, f"{kind}.manifest.v2+json")
        entry = {
            **{"mediaType": f"{kind}.manifest.v2+json", "digest": _digest(one), "size": len(one)},
            "platform": {"architecture": "s390x", "os": "linux"},
        }
        listed = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.list.v2+json", "manifests": [entry]}
        self._ask("PUT", f"/v2/{name}/manifests/1", json.dumps(listed), f"{kind}.manifest.list.v2+json")
        return f"{self.host}/{name}:1"

    def _ask(self, method: str, path: str, body: str | None = None, kind: str = "application/json") -> bytes:
        """One request with the login."""
        address = path if path.startswith("http") else f"http://{self.host}{path}"
        headers = {"Authorization": f"Basic {_login()}", "Content-Type": kind}
        data = None if body is None else body.encode()
        request = urllib.request.Request(address, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            location, content = answer.headers.get("Location"), bytes(answer.read())
        if method == "POST":  # it only tells where the content is to be put
            digest = path.partition("?")[2]
            return self._ask("PUT", f"{location}&{digest}", body, kind)
        return content


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _login() -> str:
    return base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    (port,) = free_ports(1)
    host = f"127.0.0.1:{port}"
    (folder / "passwords").write_text(PASSWORDS)
    (folder / "config.yml").write_text(f"""
version: 0.1
storage: {{ filesystem: {{ rootdirectory: {folder}/data }} }}
http: {{ addr: "{host}" }}
auth: {{ htpasswd: {{ realm: test, path: {folder}/passwords }} }}
""")
    for name, logins in (("member", {host: {"auth": _login()}}), ("stranger", {})):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"auths": logins}))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    one = Registry(host, folder / "member", folder / "stranger")
    try:
        until_s = time.monotonic() + 20
        while True:
            try:
                one.names()
                break
            except OSError:
                assert time.monotonic() < until_s, (folder / "log").read_text()
                time.sleep(0.1)
        yield one
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def shared(deployment: Deployment, registry: Registry) -> Deployment:
    """A deployment whose images go to the registry."""
    deployment.build = f'registry = "{registry.host}/team"'
    deployment.environ["DOCKER_CONFIG"] = str(registry.member)
    return deployment


def test_a_registry_that_refuses_is_said_and_what_serves_goes_on(shared: Deployment, registry: Registry) -> None:
    assert shared.deploy(version=1).code == 0
    shared.environ["DOCKER_CONFIG"] = str(registry.stranger)
    failed = shared.deploy(version=2)
    assert failed.code == 1
    assert f"{registry.host}/team/{shared.name}/api:" in failed.stderr
    assert ": the registry refuses: " in failed.stderr
    assert f"hint: docker login {registry.host}" in failed.stderr
    assert shared.get()[:2] == (200, "v1")


def test_an_image_that_is_not_for_this_machine_is_said(shared: Deployment, registry: Registry) -> None:
    shared.deploy()
    reference = registry.add_image_for_another_machine("team/foreign")
    file = shared.folder / "shipway.toml"
    file.write_text(file.read_text().replace('app = "answering_app:app"', f'image = "{reference}"'))
    failed = shared.shipway("deploy", "prod")
    assert failed.code == 1
    assert f"error: {reference}: the image does not exist for this machine's platform: no matching" in failed.stderr
    assert "hint: use an image that is built for it" in failed.stderr
    assert shared.get()[:2] == (200, "v1")


def test_what_somebody_else_has_built_is_fetched_instead(shared: Deployment, registry: Registry) -> None:
    first = shared.deploy()
    assert first.code == 0, first.stderr
    assert f"pushing {registry.host}/team/{shared.name}/api" in first.stderr
    assert {f"team/{shared.name}/api", "team/gateway"} <= set(registry.names())
    again = shared.shipway("deploy", "prod")
    assert (again.code, "pushing" in again.stderr) == (0, False)
    assert shared.shipway("destroy", "prod", "--yes").code == 0
    for image in shared.engine.client.images({}):
        for tag in (tag for tag in image.tags if tag.startswith(f"{registry.host}/team/{shared.name}")):
            shared.engine.client.remove_image(tag)
    elsewhere = shared.shipway("deploy", "prod")
    assert elsewhere.code == 0, elsewhere.stderr
    assert "building" not in elsewhere.stderr
    assert shared.get()[0] == 200


def test_a_release_whose_images_were_removed_is_returned_to(shared: Deployment) -> None:
    shared.deploy(version=1)
    shared.deploy(version=2)
    shared.rollout = '{ strategy = "rolling", steps = ["50%"], watch = "1s" }'
    shared.deploy(version=3)
    client = shared.engine.client
    for name in (f"shipway/{shared.name}/prod/api:v1", *_tags_of(shared, f"shipway/{shared.name}/prod/api:v1")):
        client.remove_image(name)
    assert client.image(f"shipway/{shared.name}/prod/api:v1") is None
    back = shared.shipway("rollback", "prod", "v1")
    assert back.code == 0, back.stderr
    assert shared.get()[:2] == (200, "v1")


def test_an_image_says_what_it_was_built_from(shared: Deployment) -> None:
    git = ["git", "-C", str(shared.folder), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True).stdout
    done = shared.shipway("deploy", "prod")
    assert done.code == 0, done.stderr
    image = shared.engine.client.image(f"shipway/{shared.name}/prod/api:v1")
    assert image is not None
    assert image.labels["org.opencontainers.image.revision"] == head.strip()
    assert image.labels["org.opencontainers.image.created"].endswith("Z")
    subprocess.run([*git, "commit", "-qm", "two", "--allow-empty"], check=True)
    again = shared.shipway("deploy", "prod")
    assert again.stdout == "nothing to change: v1 serves in prod\n"


def _tags_of(deployment: Deployment, reference: str) -> tuple[str, ...]:
    image = deployment.engine.client.image(reference)
    assert image is not None
    return image.tags
