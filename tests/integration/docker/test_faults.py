"""Faults of the engine and its host: each is said in a sentence, and what served before goes on serving."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docker.conftest import Deployment
from tests.integration.docker.engine import BASE_IMAGE, RealEngine, base_archive

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def _answers_within(deployment: Deployment, seconds: float) -> tuple[int, str]:
    deadline_s = time.monotonic() + seconds
    while True:
        try:
            status, release, _ = deployment.get()
            if status == 200 or time.monotonic() > deadline_s:
                return status, release
        except OSError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.1)


def test_an_engine_that_does_not_run(deployment: Deployment, tmp_path: Path) -> None:
    deployment.docker_host = f"unix://{tmp_path}/none.sock"
    failed = deployment.shipway("deploy", "prod")
    assert failed.code == 1
    assert f"the Docker engine is not running: nothing answers at {tmp_path}/none.sock" in failed.stderr
    assert "hint: start it" in failed.stderr


def test_a_port_that_somebody_has(deployment: Deployment) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", deployment.port))
        taken.listen()
        failed = deployment.deploy()
    assert failed.code == 1
    assert f"0.0.0.0:{deployment.port} cannot be listened on: Address already in use" in failed.stderr
    assert deployment.shipway("abort", "prod").code == 0
    assert deployment.container_names() == []
    assert deployment.deploy().code == 0
    assert deployment.get()[0] == 200


def test_an_image_that_no_registry_has(deployment: Deployment) -> None:
    deployment.deploy()
    file = deployment.folder / "shipway.toml"
    file.write_text(file.read_text().replace('app = "answering_app:app"', 'image = "127.0.0.1:9/nothing:1"'))
    failed = deployment.shipway("deploy", "prod")
    assert failed.code == 1
    assert "the registry cannot be reached" in failed.stderr
    assert deployment.get()[:2] == (200, "v1")


def test_a_container_that_is_killed_comes_back_at_its_address(deployment: Deployment) -> None:
    deployment.deploy()
    client = deployment.engine.client
    for name in deployment.container_names():
        before = client.container(name)
        assert before is not None
        # From within, as a crash is: what the engine is asked to kill, it does not start again.
        inside = client._http.json("GET", f"/containers/{name}/json")["State"]["Pid"]
        os.kill(inside, 9)
        assert _answers_within(deployment, 20) == (200, "v1")
        after = client.container(name)
        assert after is not None
        assert (after.restarts, after.addresses) == (1, before.addresses)


def test_a_replica_that_is_killed_in_the_middle_of_a_rollout_does_not_stop_it(deployment: Deployment) -> None:
    deployment.rollout = '{ strategy = "rolling", steps = ["50%"], watch = "3s" }'
    deployment.replicas = 2
    deployment.deploy(version=1)
    deployment.write(version=2)
    process = deployment.start("deploy", "prod")
    _wait_for(process, "watch v2")
    victim = f"{deployment.name}.prod.api.v2.1"
    os.kill(deployment.engine.client._http.json("GET", f"/containers/{victim}/json")["State"]["Pid"], 9)
    process.communicate(timeout=100)
    assert process.returncode == 0
    assert _answers_within(deployment, 10) == (200, "v2")


def test_a_release_that_ends_unnoticed_while_it_is_watched_does_not_replace_the_old_one(deployment: Deployment) -> None:
    deployment.rollout = '{ strategy = "blue_green", watch = "2s" }'
    deployment.deploy(version=1)
    deployment.write(version=2)
    process = deployment.start("deploy", "prod")
    _wait_for(process, "watch v2")
    # As `docker stop`: no restart policy brings it back.
    deployment.engine.client.stop(f"{deployment.name}.prod.api.v2.1", 0)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "api v2 (replica 1) did not become healthy: it ends with status" in stderr
    assert deployment.get()[:2] == (200, "v1")


def test_a_deployer_that_is_killed_leaves_what_can_be_resumed(deployment: Deployment) -> None:
    deployment.rollout = '{ strategy = "rolling", steps = ["50%"], watch = "3s" }'
    deployment.deploy(version=1)
    deployment.write(version=2)
    process = deployment.start("deploy", "prod")
    _wait_for(process, "watch v2")
    process.kill()
    process.communicate()
    assert {deployment.get()[0] for _ in range(20)} == {200}
    refused = deployment.shipway("deploy", "prod")
    assert refused.code == 1
    resumed = deployment.shipway("resume", "prod", "--take-over")
    assert resumed.code == 0, resumed.stderr
    assert deployment.get()[:2] == (200, "v2")


@pytest.mark.timeout(600)
def test_a_deployer_that_is_killed_at_any_step_is_recovered_from(deployment: Deployment) -> None:
    deployment.rollout = '{ strategy = "rolling", steps = ["50%"], watch = "500ms" }'
    deployment.deploy(version=1)
    serving, number, total = "v1", 1, 2
    while number <= total:
        deployment.write(version=number + 1)
        process = deployment.start("deploy", "prod")
        line = _wait_for(process, f"[{number}/")
        process.kill()
        process.communicate()
        total = int(line.partition("/")[2].partition("]")[0])
        assert {deployment.get()[0] for _ in range(5)} == {200}, line
        command = "resume" if number % 2 else "abort"
        ended = deployment.shipway(command, "prod", "--take-over")
        assert ended.code == 0, f"{command} after {line}: {ended.stderr}"
        status, release, _ = deployment.get()
        assert status == 200, line
        if command == "abort" and number < total:
            assert release == serving, line
        elif command == "resume":
            assert release != serving, line
        serving = release
        alive = [name for name in deployment.container_names() if ".api." in name]
        assert alive == [f"{deployment.name}.prod.api.{serving}.1"], line
        number += 1


def test_an_engine_that_is_restarted_in_the_middle_of_a_rollout(deployment: Deployment) -> None:
    deployment.rollout = '{ strategy = "rolling", steps = ["50%"], watch = "4s" }'
    deployment.deploy(version=1)
    deployment.write(version=2)
    process = deployment.start("deploy", "prod")
    _wait_for(process, "watch v2")
    deployment.engine.stop()
    deployment.engine.start()
    _, said = process.communicate(timeout=100)
    assert _answers_within(deployment, 30)[0] == 200
    if process.returncode != 0:
        assert "error:" in said
        resumed = deployment.shipway("resume", "prod")
        assert resumed.code == 0, resumed.stderr
    assert deployment.get()[:2] == (200, "v2")
    assert len([name for name in deployment.container_names() if ".gateway." in name]) == 1


def test_everything_is_back_after_a_restart_of_the_engine(deployment: Deployment) -> None:
    deployment.replicas = 2
    deployment.deploy()
    deployment.engine.stop()
    failed = deployment.shipway("status", "prod")
    assert (failed.code, "is not running" in failed.stderr) == (1, True)
    deployment.engine.start()
    assert _answers_within(deployment, 30) == (200, "v1")
    assert deployment.shipway("status", "prod").code == 0


@pytest.fixture
def small_engine(engine: RealEngine) -> Iterator[RealEngine]:
    """An engine whose disk has hardly more room than its base image takes."""
    folder = Path(tempfile.mkdtemp(prefix="small-engine-"))
    (folder / "data").mkdir()
    size = base_archive().stat().st_size + (25 << 20)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder / "data")]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    small = RealEngine(folder)
    try:
        small.start()
        small.import_base()
        yield small
    finally:
        small.stop()
        subprocess.run(["umount", "--lazy", str(folder / "data")], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def test_an_engine_without_space(small_engine: RealEngine, deployment: Deployment) -> None:
    assert small_engine.client.image(BASE_IMAGE) is not None
    deployment.docker_host = small_engine.docker_host
    failed = deployment.deploy()
    deployment.docker_host = ""
    assert failed.code == 1
    assert "no space left on" in failed.stderr.lower()
    assert "hint: docker system df" in failed.stderr


def _wait_for(process: "subprocess.Popen[str]", text: str) -> str:
    """Read what *process* says on standard error until *text* is among it; that line."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if text in line:
            return line
    raise AssertionError("".join(said))
