"""The target `docker`: one host, whose engine runs the gateway and the releases behind it."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from shipway.deploy.build import PORT
from shipway.deploy.build_images import Context, ImageBuilder, gateway_context, service_context
from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.faults import MissingError
from shipway.deploy.engine.transport import Transport, socket_of
from shipway.deploy.front import as_toml, front_table
from shipway.deploy.layout import Layout
from shipway.deploy.releases import Image, Images, Release, Rendered, release_name, release_number, secret_file_name
from shipway.deploy.steps import Gateway, Install, Remove, Start, Stop, TargetStep, Verify
from shipway.deploy.targets import Capabilities, Say, Surroundings
from shipway.deploy.targets.docker.gateway import GatewayContainer, Wanted
from shipway.deploy.targets.docker.names import Names
from shipway.deploy.targets.docker.replicas import Replicas
from shipway.deploy.targets.docker.store import ADMIN_TOKEN, APP_KEY, SecretStore
from shipway.deploy.traffic import Traffic
from shipway.errors import TargetError, UnsupportedError
from shipway.spec.app import App, Sections
from shipway.spec.gateway import Gateway as GatewaySettings
from shipway.spec.load import validated

GATEWAY_PART = "-gateway"
"""In place of a service, in the name of an image that is kept; no service has such a name."""

API_KEYS = "env:SHIPWAY_API_KEYS"
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - where a gateway in production listens unless told otherwise

CAPABILITIES = Capabilities(
    honours=frozenset()
)
