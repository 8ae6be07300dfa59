"""`[build]`: how the images of the services and of the gateway are made."""

from typing import Annotated

from pydantic import Field

from shipway.spec.fields import FilePath, Text
from shipway.spec.section import List, Section

DEFAULT_BASE = "python:3.13-slim"


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
    network: Text = Field(
        default="default", description="Network that the steps of a build have, as `docker build --network` takes it."
    )
    exclude: Annotated[tuple[Text, ...], List] = Field(
        default=(), description="Patterns of files that stay out of the images, in the manner of `.dockerignore`."
    )
