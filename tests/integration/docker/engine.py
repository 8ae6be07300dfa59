"""A Docker engine of the tests' own: started here, with its data in a folder of its own, beside any other on the machine.

It leaves the host's firewall alone (`--iptables=false`) and has no default bridge, so it cannot disturb another engine.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.transport import Transport
from shipway.errors import EngineUnavailableError

BASE_IMAGE = "python-base:local"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shipway-tests"
_PACKAGES = "python3-minimal,python3-venv,ca-certificates"


def why_not() -> str | None:
    """Why no engine can run here; None when one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "an engine of the tests' own needs Linux and root"
    missing = [name for name in ("dockerd", "debootstrap") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


@dataclass
class RealEngine:
    """One engine; `start` and `stop` as often as a test likes."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def docker_host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    @property
    def client(self) -> Engine:
        return Engine(Transport(self.folder / "docker.sock"))

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("dockerd", "--host", self.docker_host, "--bridge", "none", "--iptables=false"),
                    *("--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")),
                    *("--pidfile", str(self.folder / "pid")),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + 60
        while True:
            try:
                self.client.version()
                return
            except EngineUnavailableError:
                if self.process.poll() is not None or time.monotonic() > deadline_s:
                    raise AssertionError((self.folder / "log").read_text()[-3000:]) from None
                time.sleep(0.1)

    def stop(self) -> None:
        """As the system stops it: containers end too, and come back by their restart policy."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None
            # The engine leaves this mounted, and then its folder cannot be removed.
            netns = str(self.folder / "exec" / "netns" / "default")
            subprocess.run(["umount", netns], stderr=subprocess.DEVNULL, check=False)

    @contextmanager
    def let_through(self, network: str) -> Iterator[None]:
        """Let containers of *network* talk to each other, which another engine's firewall rules on this machine may stop."""
        found = self.client.network(network)
        assert found is not None
        bridge = f"br-{found.id[:12]}"
        rule = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]
        subprocess.run(["iptables", "-I", *rule], check=True)
        try:
            yield
        finally:
            subprocess.run(["iptables", "-D", *rule], check=True)

    def import_base(self) -> None:
        """Have the base image, which is made once for a machine."""
        if self.client.image(BASE_IMAGE) is None:
            subprocess.run(
                ["docker", "--host", self.docker_host, "import", str(base_archive()), BASE_IMAGE],
                check=True,
                stdout=subprocess.DEVNULL,
            )


def base_archive() -> Path:
    """Debian with Python as an archive; a minute to make, and kept in the user's cache."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = system["VERSION_CODENAME"].strip('"')
    archive = _CACHE / f"python-base-{codename}.tar"
    if archive.exists():
        return archive
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="python-base-") as name:
        root = Path(name) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", codename, str(root), _mirror(codename)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        # What the machine trusts and where it installs from holds in its images too.
        for file in (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf")):
            if file.exists():
                shutil.copy(file, root / file.relative_to("/"))
        for rubbish in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
            shutil.rmtree(root / rubbish, ignore_errors=True)
        part = archive.with_suffix(".part")
        subprocess.run(["tar", "-C", str(root), "-cf", str(part), "."], check=True)
        part.rename(archive)
    return archive


def _mirror(codename: str) -> str:
    """Where this machine's own packages of that suite come from."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for file in files:
        for stanza in (file.read_text() if file.is_file() else "").split("\n\n"):
            lines = [line for line in stanza.splitlines() if not line.startswith("#")]
            fields = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
            if codename in fields.get("Suites", ()):
                return fields["URIs"][0]
            for line in lines:
                words = [word for word in line.split() if not word.startswith("[") and not word.endswith("]")]
                if len(words) > 2 and words[0] == "deb" and words[2] == codename:
                    return words[1]
    raise AssertionError(f"no source of packages of {codename} in {files}")
