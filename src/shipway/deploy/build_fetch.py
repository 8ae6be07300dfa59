"""Packages from an index with a password, as wheels, fetched before the build in a container of its own.

The engine's own builder knows no secrets: what a step of it can read stays in a layer or in the image's history. So the
packages come first. The configuration with the password is a file in a container that is never kept as an image, and is gone
when the packages are there; the build itself needs no index.
"""

import re
import shlex

from shipway.deploy.build_context import MAX_CONTEXT_BYTES, Entry
from shipway.deploy.build_images import Context
from shipway.deploy.engine.client import Engine
from shipway.errors import BuildError
from shipway.secret import Secret

_FETCH_S = 1800.0
_LAST_LINES = 12
_CONFIGURATION = "/fetch/pip.conf"
_PASSWORD = re.compile(r"://[^/\s@]+@")


def fetched_wheels(engine: Engine, context: Context, network: str, configuration: Secret) -> dict[str, Entry]:
    """The wheels that *context* lacks, by path.

    Args:
        network: That the container has.
        configuration: Of pip.

    Raises:
        BuildError: pip found no such packages, or was not let in.
    """
    files = {
        f"/fetch/{path}": entry.content for path, entry in context.entries.items() if path.startswith("requirements/")
    }
    container = engine.create("", _container(context, network))
    try:
        engine.put_files(container, {**files, _CONFIGURATION: configuration.reveal().encode()}, owner=0)
        engine.start(container)
        if engine.wait(container, _FETCH_S) != 0:
            lines = (_PASSWORD.sub("://****@", line) for line in engine.last_lines(container, _LAST_LINES))
            raise BuildError(
                "\n".join([f"the packages of {context.name} could not be fetched:", *(f"  {line}" for line in lines)]),
                "build.pip_config says where they come from; there they have to be as wheels",
            )
        wheels = engine.get_folder(container, "/wheels")
    finally:
        engine.remove(container)
    if sum(map(len, wheels.values())) > MAX_CONTEXT_BYTES:
        raise BuildError(
            f"the packages of {context.name} are more than {MAX_CONTEXT_BYTES >> 20} MiB",
            "install the largest ones into a base image of your own",
        )
    return {f"wheels/{name}": Entry(content) for name, content in wheels.items()}


def _container(context: Context, network: str) -> dict[str, object]:
    download = ["/tmp/venv/bin/pip", "download", "--only-binary=:all:", "--dest", "/wheels"]  # noqa: S108 - in there
    script = [
        f"trap 'rm -f {_CONFIGURATION}' EXIT",  # also when nobody is left to remove the container
        "python3 -m venv /tmp/venv",
        *(shlex.join([*download, *arguments]) for arguments in context.fetches),
    ]
    return {
        "Image": context.base,
        "User": "0:0",
        "WorkingDir": "/fetch",
        "Entrypoint": ["/bin/sh", "-ec"],
        "Cmd": ["\n".join(script)],
        "Env": [f"PIP_CONFIG_FILE={_CONFIGURATION}", "PIP_NO_CACHE_DIR=1", "PIP_PROGRESS_BAR=off", "PIP_NO_INPUT=1"],
        "HostConfig": {"NetworkMode": network},
    }
