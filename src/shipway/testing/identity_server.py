"""A fake of the places where a machine's identity becomes credentials: AWS's and Azure's metadata services, a container's
endpoint, AWS's token service, and Entra.

    with FakeIdentity() as fake:
        environ = fake.aws_container() | fake.entra_client("tenant", "client", "secret")

Each answer carries what `fake.expires_at_s` and `fake.number` say, and `fake.asked` has what was asked for, in order. Runs in a
thread, since those who ask block.
"""

import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

METADATA_TOKEN = "the-session"  # noqa: S105 - a fake one
CONTAINER_TOKEN = "the-container"  # noqa: S105
IDENTITY_HEADER = "the-app-service"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its form if it had one, else its query."""

    path: str
    values: dict[str, str]


class FakeIdentity:
    """The server, on a free port of 127.0.0.1 while it is entered.

    Attributes:
        expires_at_s: When what it gives out expires, in seconds since 1970.
        number: Part of everything that it gives out; raise it to tell one answer from the next.
        status: Answer with this status instead of a credential, if it is not 200.
        garbage: Answer with this instead of a credential, if it is not None.
    """

    def __init__(self, expires_at_s: float = 4_000_000_000.0) -> None:
        self.expires_at_s = expires_at_s
        self.number = 1
        self.status = 200
        self.garbage: bytes | None = None
        self.asked: list[Asked] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._answer()

            def do_PUT(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                target = urlsplit(self.path)
                values = parse_qs(self.rfile.read(length).decode() or target.query)
                asked = Asked(target.path, {name: found[0] for name, found in values.items()})
                fake.asked.append(asked)
                status, kind, body = fake._answer(asked, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02))

    def __enter__(self) -> "FakeIdentity":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def aws_instance(self) -> dict[str, str]:
        """The environment of a virtual machine with an instance profile, which it asks by IMDSv2."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url}

    def aws_container(self) -> dict[str, str]:
        """The environment of a task of ECS, or of a pod with EKS Pod Identity."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": CONTAINER_TOKEN,
        }

    def aws_web_identity(self, token_file: str) -> dict[str, str]:
        """The environment of a pod with a service account's role."""
        return {
            "AWS_WEB_IDENTITY_TOKEN_FILE": token_file,
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/fake",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_STS": f"{self.url}/sts",
        }

    def entra_client(self, tenant: str, client: str, secret: str) -> dict[str, str]:
        """The environment of an application that has a secret."""
        return {
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": tenant,
            "AZURE_CLIENT_ID": client,
            "AZURE_CLIENT_SECRET": secret,
        }

    def _answer(self, asked: Asked, headers: dict[str, str]) -> tuple[int, str, bytes]:
        if self.status != 200:
            return self.status, "text/plain", b"no"
        if self.garbage is not None:
            return 200, "application/json", self.garbage
        keys = self._aws_keys()
        match asked.path:
            case "/latest/api/token":
                return 200, "text/plain", METADATA_TOKEN.encode()
            case "/latest/meta-data/iam/security-credentials/":
                return self._if(headers.get("x-aws-ec2-metadata-token") == METADATA_TOKEN, b"fake-role")
            case "/latest/meta-data/iam/security-credentials/fake-role":
                known = headers.get("x-aws-ec2-metadata-token") == METADATA_TOKEN
                return self._if(known, json.dumps({"Code": "Success", **keys}).encode())
            case "/container":
                return self._if(headers.get("authorization") == CONTAINER_TOKEN, json.dumps(keys).encode())
            case "/sts/" | "/sts":
                return 200, "text/xml", self._assumed(keys).encode()
            case "/metadata/identity/oauth2/token":
                return self._if(headers.get("metadata") == "true", self._token(absolute=True))
            case "/app-service":
                return self._if(headers.get("x-identity-header") == IDENTITY_HEADER, self._token(absolute=True))
            case path if path.endswith("/oauth2/v2.0/token"):
                return 200, "application/json", self._token(absolute=False)
        return 404, "text/plain", b""

    def _if(self, allowed: bool, body: bytes) -> tuple[int, str, bytes]:
        return (200, "application/json", body) if allowed else (401, "text/plain", b"")

    def _aws_keys(self) -> dict[str, str]:
        expiry = datetime.fromtimestamp(self.expires_at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": f"AKIAFAKE{self.number}", "SecretAccessKey": f"secret-{self.number}"}
        return {**keys, "Token": f"token-{self.number}", "Expiration": expiry}

    def _assumed(self, keys: dict[str, str]) -> str:
        named = {**keys, "SessionToken": keys["Token"]}
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in named.items() if name != "Token")
        return (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleWithWebIdentityResult><Credentials>{inner}</Credentials></AssumeRoleWithWebIdentityResult>"
            "</AssumeRoleWithWebIdentityResponse>"
        )

    def _token(self, *, absolute: bool) -> bytes:
        times = {"expires_on": str(int(self.expires_at_s))} if absolute else {"expires_in": 3599}
        return json.dumps({"token_type": "Bearer", "access_token": f"token-{self.number}", **times}).encode()
