"""`[gateway]`: where the gateway listens and what it allows a connection."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shipway.spec.fields import FilePath, Host, Port, SessionHeader
from shipway.spec.section import Section
from shipway.spec.units import Bytes, Seconds
from shipway.spec.wording import found


class Timeouts(Section):
    """How long the gateway waits, on either side."""

    connect: Seconds = Field(default=5.0, description="For a connection to an upstream or a service.")
    first_byte: Seconds = Field(
        default=120.0, description="From the end of the request to the first byte of the answer."
    )
    first_token: Seconds = Field(
        default=60.0, description="From a try at an upstream to the first token of its stream; then the next is tried."
    )
    heartbeat: Seconds = Field(
        default=15.0, description="After so much silence in a model's stream the client is sent a comment."
    )
    idle: Seconds = Field(default=60.0, description="Between two parts of an answer that has begun.")
    total: Seconds = Field(default=600.0, description="For the whole answer.")
    header: Seconds = Field(default=10.0, description="For a client to send the head of its request.")
    body: Seconds = Field(default=30.0, description="Between two parts of a request's body.")
    keep_alive: Seconds = Field(default=75.0, description="For the next request on an open connection.")


class Tls(Section):
    """Certificate and key for HTTPS, PEM files."""

    cert: FilePath = Field(description="Certificate chain, from the app file's folder.")
    key: FilePath = Field(description="Private key, from the app file's folder.")


class Gateway(Section):
    """The one way in: listens, checks keys, routes."""

    host: Host = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=8080, description="Port to listen on.")
    admin_host: Host = Field(default="127.0.0.1", description="Address of the admin listener.")
    admin_port: Port = Field(default=8081, description="Port of the admin listener.")
    drain: Seconds = Field(
        default=30.0, description="How long running requests may take to end when the gateway stops."
    )
    timeouts: Timeouts = Field(default=Timeouts(), description="How long the gateway waits.")
    max_header: Bytes = Field(default=32 * 1024, description="Largest head of a request.")
    max_target: Bytes = Field(default=8 * 1024, description="Longest path with query.")
    max_body: Bytes = Field(default=32 * 1024 * 1024, description="Largest body of a request.")
    session_header: SessionHeader = Field(
        default="x-session-id",
        description="Request header that names the conversation, so that all of it is answered by the same release.",
    )
    tls: Tls | None = Field(default=None, description="Serve HTTPS with this certificate.")

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        ports = [given.get(key, cls.model_fields[key].default) for key in ("port", "admin_port")]
        if ports[0] == ports[1]:
            yield f"port and admin_port are both {found(ports[0])}"
