"""Releases on a real engine: good ones, bad ones, returning, looking after them."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.docker.conftest import Deployment, free_ports

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def _served(deployment: Deployment) -> tuple[int, str, str]:
    status, release, body = deployment.get()
    return status, release, " ".join(body.split()[:2])


def test_a_release_serves_and_the_next_replaces_it_and_can_be_left_again(deployment: Deployment) -> None:
    deployment.replicas = 2
    first = deployment.deploy(version=1)
    assert (first.code, first.stdout) == (0, "v1 serves in prod\n"), first.stderr
    assert _served(deployment) == (200, "v1", "ok 1")
    assert json.loads(deployment.get("/environment")[2]) == {
        "TOKEN": "hush-hush",
        "SHIPWAY_RELEASE": "v1",
        "SHIPWAY_SERVICE": "api",
        "PORT": "8000",
    }
    second = deployment.deploy(version=2)
    assert (second.code, second.stdout) == (0, "v2 serves in prod, in place of v1\n"), second.stderr
    assert _served(deployment) == (200, "v2", "ok 2")
    again = deployment.shipway("deploy", "prod")
    assert (again.code, again.stdout) == (0, "nothing to change: v2 serves in prod\n")
    back = deployment.shipway("rollback", "prod")
    assert back.code == 0, back.stderr
    assert _served(deployment) == (200, "v1", "ok 1")


def test_a_release_is_promoted_as_it_was_built(deployment: Deployment) -> None:
    port, admin_port = free_ports(2)
    deployment.more = f"""
[environments.staging]
target = "docker"
[environments.staging.gateway]
port = {port}
admin_port = {admin_port}
[environments.staging.services.api]
env = {{ TOKEN = "of-staging" }}
"""
    deployment.write(version=1)
    built = deployment.shipway("deploy", "staging")
    assert built.code == 0, built.stderr
    try:
        deployment.write(version=2)  # what is in the folder by now is not what is promoted
        promoted = deployment.shipway("promote", "v1", "--from", "staging", "--to", "prod")
        assert (promoted.code, promoted.stdout) == (0, "v1 serves in prod\n"), promoted.stderr
        assert "building" not in promoted.stderr
        assert _served(deployment) == (200, "v1", "ok 1")
        assert json.loads(deployment.get("/environment")[2])["TOKEN"] == "hush-hush"
        compared = deployment.shipway("diff", "v1@staging", "v1@prod")
        assert f"gateway.port: {port}" in compared.stdout, compared.stdout
        assert "images" not in compared.stdout
    finally:
        deployment.shipway("destroy", "staging", "--yes")
    assert _served(deployment) == (200, "v1", "ok 1")
    deployed = deployment.shipway("deploy", "prod")
    assert (deployed.code, _served(deployment)) == (0, (200, "v2", "ok 2"))


def test_nothing_that_changed_is_not_built_again(deployment: Deployment) -> None:
    deployment.deploy()
    images = {image.id for image in deployment.engine.client.images({})}
    deployment.shipway("deploy", "prod")
    assert {image.id for image in deployment.engine.client.images({})} == images


def test_a_release_whose_health_never_passes_leaves_the_old_one_serving(deployment: Deployment) -> None:
    deployment.deploy(version=1)
    began_s = time.monotonic()
    failed = deployment.deploy("ill", version=2)
    assert failed.code == 1
    assert "api v2 (replica 1) did not become healthy: /healthz answers 503" in failed.stderr
    assert time.monotonic() - began_s < 50
    assert _served(deployment) == (200, "v1", "ok 1")
    assert [name for name in deployment.container_names() if ".v2." in name] == []


def test_a_release_that_cannot_start_is_told_by_its_own_last_lines(deployment: Deployment) -> None:
    deployment.deploy(version=1)
    failed = deployment.deploy("broken", version=2)
    assert failed.code == 1
    assert "the reason why it cannot start" in failed.stderr
    assert "it ends with status 3" in failed.stderr
    assert _served(deployment) == (200, "v1", "ok 1")


def test_secrets_are_in_no_image_no_record_and_no_description_of_a_container(deployment: Deployment) -> None:
    deployment.deploy()
    client = deployment.engine.client
    described = [
        client._http.data("GET", f"/containers/{one.id}/json")
        for one in client.containers({"dev.shipway.app": deployment.name})
    ]
    assert len(described) == 3  # a replica, the gateway, the way to the secrets
    assert not any(secret in text for text in described for secret in (b"hush-hush", b"sk-test"))
    kept = [file for file in (deployment.folder / ".shipway").rglob("*") if file.is_file()]
    assert kept
    assert not any(b"hush-hush" in file.read_bytes() for file in kept)


def test_what_others_have_on_the_engine_is_not_touched(deployment: Deployment) -> None:
    client = deployment.engine.client
    body = {"Image": "python-base:local", "Cmd": ["sleep", "600"], "NetworkDisabled": True}
    foreign = client.create(f"{deployment.name}.prod.api.v1.1", body)
    try:
        refused = deployment.deploy()
        assert refused.code == 1
        assert f"a container that is not ours is called {deployment.name}.prod.api.v1.1" in refused.stderr
        deployment.shipway("destroy", "prod", "--yes")
        assert client.container(foreign) is not None
    finally:
        client.remove(foreign)


def test_looking_after_an_environment(deployment: Deployment) -> None:
    deployment.replicas = 2
    deployment.deploy()
    name = f"{deployment.name}.prod.api.v1"
    status = deployment.shipway("status", "prod", "--json")
    assert status.code == 0
    assert [(part["service"], part["release"], part["state"]) for part in status.json["parts"]] == [
        ("gateway", "", "running"),
        ("api", "v1", "running"),
        ("api", "v1", "running"),
    ]
    logs = deployment.shipway("logs", "prod", "gateway")
    assert "the gateway listens on" in logs.stderr
    inside = deployment.shipway("exec", "prod", "api", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (inside.code, inside.stdout, inside.stderr) == (7, "out\n", "err\n")
    restarted = deployment.shipway("restart", "prod", "api")
    assert restarted.stdout == f"restarted {name}.1\nrestarted {name}.2\n"
    assert _served(deployment) == (200, "v1", "ok 1")
    assert deployment.shipway("stop", "prod").code == 0
    assert deployment.shipway("status", "prod").code == 1
    assert deployment.container_names() == []
    again = deployment.shipway("restart", "prod", "--json")
    assert again.json["restarted"] == [f"{name}.1", f"{name}.2", f"{deployment.name}.prod.gateway.1"]
    assert _served(deployment) == (200, "v1", "ok 1")
    destroyed = deployment.shipway("destroy", "prod", "--yes", "--json")
    assert destroyed.code == 0
    assert f"container {name}.1" in destroyed.json["removed"]
    assert deployment.engine.client.tags(f"shipway*/{deployment.name}/*", f"shipway*/{deployment.name}/*/*") == {}
    assert deployment.engine.client.containers({"dev.shipway.app": deployment.name}) == []
    assert deployment.engine.client.volumes({"dev.shipway.app": deployment.name}) == []


def test_restarting_two_replicas_loses_no_request(deployment: Deployment) -> None:
    deployment.replicas = 2
    deployment.deploy()
    process = deployment.start("restart", "prod", "api")
    seen = []
    while process.poll() is None:
        seen.append(deployment.get()[0])
        time.sleep(0.01)
    process.communicate()
    assert process.returncode == 0
    assert set(seen) == {200}


def test_a_gateway_that_is_configured_anew_hands_its_port_over(deployment: Deployment) -> None:
    deployment.deploy()
    before = [name for name in deployment.container_names() if ".gateway." in name]
    deployment.environ["SHIPWAY_API_KEYS"] = "sk-test,sk-more"
    with ThreadPoolExecutor(1) as pool:
        stream = pool.submit(deployment.get, "/stream")
        time.sleep(0.3)
        deployed = deployment.shipway("deploy", "prod")
        assert deployed.code == 0, deployed.stderr
        assert stream.result()[2].endswith("data: [DONE]\n\n")
    after = [name for name in deployment.container_names() if ".gateway." in name]
    assert len(before) == len(after) == 1
    assert before != after
    assert _served(deployment)[0] == 200


def test_what_no_kept_release_needs_is_gone_from_the_engine(deployment: Deployment) -> None:
    deployment.more = "retain = 1"
    deployment.deploy(version=1)
    deployment.environ["TOKEN"] = "another"
    deployment.rollout = '{ strategy = "rolling", steps = ["50%"], watch = "1s" }'
    assert deployment.deploy(version=2).code == 0
    client = deployment.engine.client
    tags = client.tags(f"shipway/{deployment.name}/prod/*", f"shipway-build/{deployment.name}/*")
    assert {name: len(known) for name, known in tags.items()} == {
        f"shipway/{deployment.name}/prod/api": 1,
        f"shipway-build/{deployment.name}/api": 1,
    }
    kept = client.list_folder(f"{deployment.name}.prod.store", "/run/shipway/secrets")
    assert sorted(name.partition("-")[0] for name in kept) == ["admin", "app", "env", "env"]
    assert json.loads(deployment.get("/environment")[2])["TOKEN"] == "another"


def test_records_that_are_lost_do_not_hinder_a_new_start(deployment: Deployment) -> None:
    deployment.deploy(version=1)
    shutil.rmtree(deployment.folder / ".shipway")
    assert deployment.shipway("status", "prod").code == 0
    assert deployment.shipway("destroy", "prod", "--yes").code == 0
    assert deployment.deploy(version=2).code == 0
    assert _served(deployment)[0] == 200


def test_services_reach_the_models_and_each_other(deployment: Deployment) -> None:
    deployment.environ["OPENAI_API_KEY"] = "sk-provider"
    file = deployment.folder / "shipway.toml"
    more = """
[services.back-end]
app = "answering_app:app"
routes = []
health = "/healthz"
[models.chat]
upstreams = ["openai/gpt-5-mini"]
"""
    file.write_text(file.read_text() + more)
    deployed = deployment.shipway("deploy", "prod")
    assert deployed.code == 0, deployed.stderr
    assert [model["id"] for model in json.loads(deployment.get("/models")[2])["data"]] == ["chat"]
    with deployment.engine.let_through(f"{deployment.name}.prod.network"):
        assert json.loads(deployment.get("/other")[2])["SHIPWAY_SERVICE"] == "back-end"
