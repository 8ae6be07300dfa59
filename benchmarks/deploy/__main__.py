"""Runs all parts in turn, prints what came out, and keeps it in benchmarks/results/deploy.json."""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.deploy.scene import STRATEGIES, Scene, Watcher
from tests.integration.docker.engine import BASE_IMAGE, RealEngine, why_not

RESULTS = Path(__file__).parents[1] / "results" / "deploy.json"
NEXT_BASE = "python-base:next"


def deploys(scene: Scene, count: int, rate: float, streams: float) -> dict[str, Any]:
    """So many good releases one after the other, strategies in turn, and then another gateway, all under traffic."""
    done = []
    began_s, waited_s = time.monotonic(), _cpu_waited_s()
    with scene.load(rate, streams) as client:
        for number, strategy in enumerate(islice(cycle(STRATEGIES), count), start=2):
            scene.write(strategy, version=number)
            code, seconds, said = scene.shipway("deploy", "prod")
            done.append({"strategy": strategy, "seconds": round(seconds, 1)})
            print(f"  deploy {number - 1:2} {strategy:10} {seconds:5.1f} s, exit {code}", flush=True)
            assert code == 0, said
        scene.write("blue_green", version=count + 2, base=NEXT_BASE)
        code, seconds, said = scene.shipway("deploy", "prod")
        print(f"  gateway upgrade       {seconds:5.1f} s, exit {code}", flush=True)
        assert code == 0, said
        assert "the new gateway has the port" in said, said
    starved = (_cpu_waited_s() - waited_s) / (time.monotonic() - began_s)
    return {"cpu_waited": round(starved, 2), "deploys": done, "gateway_upgrade_s": round(seconds, 1), "client": client}


def _cpu_waited_s() -> float:
    """Seconds so far in which somebody on this machine waited for a core: what a shared machine takes from a measurement."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except (OSError, IndexError):
        return 0.0


def bad_release(scene: Scene, rate: float, version: int) -> dict[str, Any]:
    """A release of which each tenth answer is an error, as a canary."""
    scene.write("canary", version=version, behaviour="errors", base=NEXT_BASE)
    with scene.load(rate, 0) as client:
        code, seconds, said = scene.shipway("deploy", "prod")
    assert code == 1, said
    to_it = sum(client["failed"].values()) + client["by_release"].get(f"v{version}", 0)
    return {
        "seconds": round(seconds, 1),
        "failed_requests": sum(client["failed"].values()),
        "requests_to_it": to_it,
        "requests": client["requests"] + sum(client["failed"].values()),
        "failed": client["failed"],
        "said": [line for line in said.splitlines() if line.startswith("error:")],
    }


def rollbacks(scene: Scene, kind: str, versions: Iterable[int]) -> dict[str, Any]:
    """A deploy and a rollback of it for each of *versions*, to a release that

    stands by, has to be started, or (`over_an_upgrade`) has to be started and had another gateway.
    """
    strategy = "blue_green" if kind == "stands_by" else "rolling"
    base = BASE_IMAGE if kind == "over_an_upgrade" else NEXT_BASE
    began_s, waited_s = time.monotonic(), _cpu_waited_s()
    found = []
    for version in versions:
        scene.write(strategy, version=version, base=base)
        code, _, said = scene.shipway("deploy", "prod")
        assert code == 0, said
        assert ("the new gateway has the port" in said) == (kind == "over_an_upgrade"), said
        found.append(_rolled_back(scene))
    starved = (_cpu_waited_s() - waited_s) / (time.monotonic() - began_s)
    firsts = [one["first_answer_s"] for one in found]
    print(f"  rollback, {kind.replace('_', ' ')}: {firsts} s", flush=True)
    return {"median_s": statistics.median(firsts), "cpu_waited": round(starved, 2), "each": found}


def _rolled_back(scene: Scene) -> dict[str, Any]:
    """From the start of the command to the first answer of the release before, and to the last one of the other."""
    watcher = Watcher(scene.port)
    time.sleep(0.5)
    present = watcher.answers[-1][1]
    began_s = time.monotonic()
    code, seconds, said = scene.shipway("rollback", "prod")
    time.sleep(0.3)
    watcher.close()
    assert code == 0, said
    first = next(at for at, release in watcher.answers if release not in (present, "failed"))
    last = max(at for at, release in watcher.answers if release == present)
    return {
        "first_answer_s": round(first - began_s, 2),
        "all_traffic_s": round(last - began_s, 2),
        "command_s": round(seconds, 2),
        "failed": sum(release == "failed" for _, release in watcher.answers),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench deploy", description="Deploys on a real engine under traffic.")
    parser.add_argument("--deploys", type=int, default=10)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second (open loop)")
    parser.add_argument("--streams", type=float, default=3.0, help="streams of 2 s that start in a second")
    parser.add_argument("--rollbacks", type=int, default=5, help="of each kind")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if (reason := why_not()) is not None:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="bench-deploy-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for part in ("engine", "project"):
            (folder / part).mkdir()
        engine = RealEngine(folder / "engine")
        engine.start()
        try:
            result = _run(Scene.in_folder(folder / "project", engine.docker_host), engine, arguments)
        finally:
            engine.stop()
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    return _report(result)


def _run(scene: Scene, engine: RealEngine, arguments: argparse.Namespace) -> dict[str, Any]:
    engine.import_base()
    base = engine.client.image(BASE_IMAGE)
    assert base is not None
    engine.client.tag(base.id, *NEXT_BASE.split(":"))
    scene.write("rolling", version=1)
    code, seconds, said = scene.shipway("deploy", "prod")
    assert code == 0, said
    print(f"  first deploy, builds and all, {seconds:.1f} s", flush=True)
    under_load = deploys(scene, arguments.deploys, arguments.rate, arguments.streams)
    version = arguments.deploys + 3
    bad = bad_release(scene, arguments.rate, version)
    print(f"  bad release: {bad['failed_requests']} failed requests in {bad['seconds']} s", flush=True)
    back = {}
    for kind in ("stands_by", "started", "over_an_upgrade"):
        back[kind] = rollbacks(scene, kind, range(version + 1, version + 1 + arguments.rollbacks))
        version += arguments.rollbacks
    scene.shipway("destroy", "prod", "--yes")
    return {
        "machine": f"{platform.system()} {platform.release()}, engine {engine.client.version().version}",
        "rate": arguments.rate,
        "streams_per_s": arguments.streams,
        "under_load": under_load,
        "bad_release": bad,
        "rollback": back,
    }


def _report(result: dict[str, Any]) -> int:
    client, bad, back = result["under_load"]["client"], result["bad_release"], result["rollback"]
    lost, cut = sum(client["failed"].values()), sum(client["streams_cut"].values())
    print(f"""
{len(result["under_load"]["deploys"])} deploys and a gateway's upgrade under {result["rate"]:g} requests/s and \
{result["streams_per_s"]:g} streams/s:
  lost {lost} of {client["requests"] + lost} requests, cut {cut} of {client["streams"] + cut} streams
  latency {client["latency_ms"]}; somebody waited for a core in {result["under_load"]["cpu_waited"]:.0%} of the time
a release with 10% errors: taken back by itself after {bad["seconds"]} s, \
{bad["failed_requests"]} failed requests of {bad["requests"]}
rollback, from command to traffic, median of {len(back["started"]["each"])}: {back["stands_by"]["median_s"]} s to a release \
that stands by, {back["started"]["median_s"]} s to one that has to be started, \
{back["over_an_upgrade"]["median_s"]} s to one that also had another gateway""")
    for failure in client["first_failures"]:
        print(f"  {failure}")
    in_time = all(kind["median_s"] <= 2 and not any(one["failed"] for one in kind["each"]) for kind in back.values())
    return 0 if lost == cut == 0 and in_time else 1


if __name__ == "__main__":
    sys.exit(main())
