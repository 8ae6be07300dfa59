"""TLS on both sides, with certificates made by openssl for the test."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from shipway.errors import CertificateError
from shipway.gateway.tls import ListenerCertificate, TlsWarnings
from tests.gateway.conftest import AUTH, KEY, StartGateway, service_app
from tests.gateway.echo_service import echo_service


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority (ca.pem) and what it signed (one, two, client, elsewhere); self.pem signs itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates of these tests and is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(("openssl", *arguments), cwd=folder, check=True, capture_output=True)

    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
    openssl("req", "-x509", *new, "-keyout", "self.key", "-out", "self.pem", "-days", "2", *subject)
    elsewhere = ("-subj", "/CN=elsewhere", "-addext", "subjectAltName=DNS:elsewhere.example")
    for name in ("one", "two", "client", "elsewhere"):
        shown = elsewhere if name == "elsewhere" else subject
        openssl("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", *shown)
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", f"{name}.pem"),
            *("-days", "2", "-copy_extensions", "copy"),
        )
    return folder


async def serial(port: int, trust: Path) -> str:
    """Connect and tell the serial number of the certificate that was shown."""
    context = ssl.create_default_context(cafile=str(trust))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(f"GET /open/x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        certificate = writer.get_extra_info("peercert")
        return str(certificate["serialNumber"])
    finally:
        writer.close()


async def test_listener_serves_tls_and_shows_a_replaced_certificate_to_new_connections(
    start_gateway: StartGateway, certificates: Path, tmp_path: Path
) -> None:
    shutil.copy(certificates / "one.pem", tmp_path / "cert.pem")
    shutil.copy(certificates / "one.key", tmp_path / "cert.key")
    async with echo_service() as service:
        gateway = await start_gateway(service_app(service.url) + '[gateway.tls]\ncert="cert.pem"\nkey="cert.key"\n')
        context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
        first = await serial(gateway.port, certificates / "ca.pem")
        shutil.copy(certificates / "two.pem", tmp_path / "cert.pem")
        shutil.copy(certificates / "two.key", tmp_path / "cert.key")
        gateway.server.reload_certificate()
        second = await serial(gateway.port, certificates / "ca.pem")
        writer.write(f"GET /open/x HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")  # the connection from before is still good
        writer.close()
    assert first != second
    assert b"X-Forwarded-Proto: https" in service.requests[0]


def test_broken_replacement_is_reported_once_and_the_certificate_in_use_stays(
    certificates: Path, tmp_path: Path
) -> None:
    shutil.copy(certificates / "one.pem", tmp_path / "cert.pem")
    shutil.copy(certificates / "one.key", tmp_path / "cert.key")
    certificate = ListenerCertificate(tmp_path / "cert.pem", tmp_path / "cert.key")
    shutil.copy(certificates / "two.key", tmp_path / "cert.key")
    with pytest.raises(CertificateError, match="mismatch"):
        certificate.reload_if_changed()
    assert certificate.reload_if_changed() is False


def test_missing_certificate_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="no such file"):
        ListenerCertificate(tmp_path / "none.pem", tmp_path / "none.key")


@asynccontextmanager
async def tls_model(folder: Path, name: str, *, client_ca: Path | None = None) -> AsyncIterator[int]:
    """A model server behind TLS with the certificate *name*; with *client_ca* it wants one from its clients too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            body = b'{"choices":[{"message":{}}]}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("served", "wants_client", "tls", "status"),
    [
        ("one", False, 'tls = { ca = "ca.pem" }', 200),
        ("one", False, "", 503),
        ("self", False, 'tls = { ca = "ca.pem" }', 503),
        ("one", True, 'tls = { ca = "ca.pem", cert = "client.pem", key = "client.key" }', 200),
    ],
)
async def test_upstream_is_trusted_only_with_a_certificate_that_verifies(
    start_gateway: StartGateway,
    certificates: Path,
    tmp_path: Path,
    served: str,
    wants_client: bool,
    tls: str,
    status: int,
) -> None:
    shutil.copytree(certificates, tmp_path, dirs_exist_ok=True)
    client_ca = certificates / "ca.pem" if wants_client else None
    async with tls_model(certificates, served, client_ca=client_ca) as port:
        gateway = await start_gateway(
            f'name="a"\n[providers.p]\nkind="openai"\nbase_url="https://127.0.0.1:{port}/v1"\n{tls}\n'
            '[models.chat]\nupstreams=["p/m"]\n'
        )
        response = await gateway.http.post("/v1/chat/completions", json={"model": "chat", "messages": []})
    assert response.status_code == status
    assert KEY not in response.text


@contextmanager
def refusing_server(
    folder: Path, name: str, *, wants_client: bool, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Iterator[int]:
    """A server behind TLS that answers nothing. Unlike asyncio's it says in an alert why it refuses a client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    context.maximum_version = newest
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                try:
                    with context.wrap_socket(connection, server_side=True) as shaken:
                        shaken.recv(65536)
                finally:
                    connection.recv(65536)  # what is left unread would have the alert lost in a reset

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # closing it would not wake who waits there
            thread.join(5)


def model_behind(port: int, tls: str, health: str = "") -> str:
    return (
        f'name="a"\n[providers.p]\nkind="openai"\nbase_url="https://127.0.0.1:{port}/v1"\n{tls}\n{health}\n'
        '[models.chat]\nupstreams=["p/m"]\n[gateway]\ngrace="1ms"\n'
    )


@pytest.mark.parametrize(
    ("served", "wants_client", "newest", "reason"),
    [
        ("self", False, ssl.TLSVersion.TLSv1_3, "certificate verify failed: self-signed certificate"),
        (
            *("elsewhere", False, ssl.TLSVersion.TLSv1_3),
            "certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'.",
        ),
        ("one", True, ssl.TLSVersion.TLSv1_2, "sslv3 alert handshake failure"),
        ("one", True, ssl.TLSVersion.TLSv1_3, "tlsv13 alert certificate required"),
    ],
)
async def test_why_tls_with_an_upstream_fails_is_said_once_to_the_operator_and_not_to_the_client(
    start_gateway: StartGateway,
    certificates: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    served: str,
    wants_client: bool,
    newest: ssl.TLSVersion,
    reason: str,
) -> None:
    shutil.copy(certificates / "ca.pem", tmp_path)
    with refusing_server(certificates, served, wants_client=wants_client, newest=newest) as port:
        gateway = await start_gateway(model_behind(port, 'tls = { ca = "ca.pem" }'))
        for _ in range(2):
            response = await gateway.http.post("/v1/chat/completions", json={"model": "chat", "messages": []})
            assert response.status_code in {502, 503}, response.text
            assert "certificate" not in response.text
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"warning: TLS with 127.0.0.1:{port} failed: ")
    assert reason in said


async def test_a_health_check_that_fails_by_tls_says_why(
    start_gateway: StartGateway, certificates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with refusing_server(certificates, "self", wants_client=False) as port:
        await start_gateway(model_behind(port, "", 'health = { path = "/health" }'))
        said = ""
        async with asyncio.timeout(5):
            while not said:
                await asyncio.sleep(0.01)
                said = capsys.readouterr().err
    assert "certificate verify failed: self-signed certificate" in said


def test_a_failure_of_tls_that_lasts_is_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    warnings = TlsWarnings("a.example:8443")
    refused = ssl.SSLError(1, "refused")
    said = []
    for error, now_s in ((OSError("no route"), 0.0), (refused, 1.0), (refused, 10.9), (refused, 11.0)):
        warnings.failed(error, now_s)
        said.append(capsys.readouterr().err)
    assert said == ["", line := "warning: TLS with a.example:8443 failed: refused\n", "", line]
