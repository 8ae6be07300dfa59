"""`[build]`: how services become images."""

from pydantic import Field

from shipway.spec.fields import Text
from shipway.spec.section import Section


class Build(Section):
    """How services that are given by `app` or `command` become images. It is the same in every environment, because a
    release is built once and promoted as it is."""

    base_image: Text = Field(
        default="python:3.12-slim", description="Image with Python that services and the gateway are built on."
    )
