"""The whole app, as one environment sees it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from shipway.spec.build import Build
from shipway.spec.environments import DEFAULT, Environment
from shipway.spec.fields import ModelName, Name
from shipway.spec.gateway import Gateway
from shipway.spec.guards import Guard
from shipway.spec.limits import Limits
from shipway.spec.models import Model
from shipway.spec.objectives import Objectives
from shipway.spec.providers import Provider, built_in_providers
from shipway.spec.section import Section
from shipway.spec.services import Service


class Sections(Section):
    """The sections that an environment can change, and the name."""

    name: Name = Field(description="Name of the app: lowercase letters, digits and hyphens, a letter first.")
    services: Mapping[Name, Service] = Field(
        default_factory=dict, description="Processes of yours that answer HTTP, by name."
    )
    providers: Mapping[Name, Provider] = Field(
        default_factory=built_in_providers,
        description="Who answers for models, by name; `openai` and `local` exist without being declared.",
    )
    models: Mapping[ModelName, Model] = Field(
        default_factory=dict, description="Names that clients ask for, each with what answers for it."
    )
    guards: Mapping[Name, Guard] = Field(
        default_factory=dict, description="Hooks before and after models, by name; a model names those it has."
    )
    limits: Limits = Field(default=Limits(), description="What callers may use in a time.")
    gateway: Gateway = Field(default=Gateway(), description="The one way in.")
    objectives: Objectives = Field(default=Objectives(), description="What counts as good.")
    build: Build = Field(default=Build(), description="How services become images.")

    @classmethod
    def file_keys(cls) -> tuple[str, ...]:
        return (*Sections.model_fields, "environments")


class AppFile(Sections):
    """An AI application for Shipway: its services, the models it calls, its limits, its gateway, its environments."""

    environments: Mapping[Name, Environment] = Field(
        default_factory=dict, description=f"Where the app runs, by name; `{DEFAULT}` exists without being declared."
    )


class App(Sections):
    """What `load_app` gives: the file with one environment's overrides merged in.

    Paths inside (`cwd`, `tls`, `file:` references) are as written; `root / path` is where they lead.
    """

    environment: str = DEFAULT
    environments: tuple[str, ...] = (DEFAULT,)
    """All environments of the file, "dev" first."""
    settings: Environment = Environment()
    """What the file says about this environment itself."""
    root: Path = Path()
    """Folder of the app file; absolute when loaded."""
    source: Path = Path("shipway.toml")
    """The app file itself."""

    @property
    def target(self) -> str:
        return self.settings.target
