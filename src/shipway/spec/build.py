"""`[build]`: how the images of the services and of the gateway are made."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from shipway.spec.fields import FilePath, Reference, Text
from shipway.spec.section import List, Section, mistake
from shipway.spec.wording import found

DEFAULT_BASE = "python:3.13-slim"
_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")


def _registry(value: str) -> str:
    if not _REGISTRY.fullmatch(value):
        raise mistake(
            f'expected a registry and a path there, such as "registry.example.com/team", found {found(value)}'
        )
    return value


Registry = Annotated[
    str,
    AfterValidator(_registry),
    WithJsonSchema({"type": "string", "pattern": f"^{_REGISTRY.pattern}$", "examples": ["registry.example.com/team"]}),
]


class Build(Section):
    """How images are made for services given by `app` or `command`, and for the gateway. It is the same in every
    environment, because a release is built once and promoted as it is."""

    base_image: Text = Field(
        default=DEFAULT_BASE,
        description="Image with `python3` and its `venv` that the images are made from; by digest it stays the same.",
        examples=["python:3.13-slim", "registry.example.com/python@sha256:…"],
    )
    requirements: FilePath | None = Field(
        default=None,
        description="What to install, a file of pip, `uv.lock`, `poetry.lock`, `pylock.toml` or `pyproject.toml`, from the app "
        "file's folder. By default the first of `uv.lock`, `poetry.lock`, `pylock.toml`, `requirements.txt` and "
        "`pyproject.toml` that is there.",
    )
    wheels: FilePath | None = Field(
        default=None,
        description="Folder of wheels to install from instead of an index, from the app file's folder; the build needs no "
        "network then.",
    )
    pip_config: Reference | None = Field(
        default=None,
        description="Reference to a configuration file of pip with the indexes that packages come from and their passwords. "
        "They are fetched with it before the build, as wheels, and it is in no image, layer or log.",
    )
    registry: Registry | None = Field(
        default=None,
        description="Where images are pushed to once they are built, and fetched from where they are missing, so that "
        "another machine can run the same release. Who may do so is `docker login`'s affair.",
    )
    network: Text = Field(
        default="default", description="Network that the steps of a build have, as `docker build --network` takes it."
    )
    exclude: Annotated[tuple[Text, ...], List] = Field(
        default=(), description="Patterns of files that stay out of the images, in the manner of `.dockerignore`."
    )

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        if "wheels" in given and "pip_config" in given:
            yield '"pip_config" has no meaning beside "wheels", which are installed without an index'
