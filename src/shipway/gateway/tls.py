"""TLS on both sides: the listener's certificate, replaced without a drop; what upstreams must prove, and why they did not."""

from __future__ import annotations

import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Final

from shipway.errors import CertificateError


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How an upstream's certificate is verified and what is shown to it. Verification is always on.

    Attributes:
        ca: PEM file that replaces the system's authorities.
        cert: Client certificate (PEM), with *key* unless that is in the same file.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises: CertificateError."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(path) for path in (self.ca, self.cert, self.key) if path is not None)
            raise CertificateError(
                f"the TLS files for an upstream cannot be used ({files}): {_reason(error)}"
            ) from error
        context.set_alpn_protocols(["http/1.1"])
        return context


SYSTEM_TRUST = UpstreamTls()

WARN_EVERY_S: Final = 10.0


class TlsWarnings:
    """Says on standard error why TLS with one upstream failed, at most once in `WARN_EVERY_S`.

    The words are OpenSSL's own: nothing that a certificate holds is among them.
    """

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._silent_until_s = -inf

    def failed(self, error: Exception, now_s: float) -> None:
        """A connection failed with *error*, which is passed over unless it is of TLS; *now_s* is on the loop's clock."""
        if not isinstance(error, ssl.SSLError) or now_s < self._silent_until_s:
            return
        self._silent_until_s = now_s + WARN_EVERY_S
        with suppress(OSError, ValueError):  # nobody reads standard error any more
            sys.stderr.write(f"warning: TLS with {self._authority} failed: {error}\n")


class ListenerCertificate:
    """The certificate that the listener shows. New connections see a replaced file after `reload`; open ones go on."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises: CertificateError."""
        self._cert = cert
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._stamp()
        self._load(self.context)

    def reload_if_changed(self) -> bool:
        """Take the files if they changed since they were last looked at.

        Returns:
            Whether they did.

        Raises:
            CertificateError: they cannot be used; the certificate in use stays, and each change is reported once.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # a pair that does not match must not spoil the one in use
        self._load(self.context)
        return True

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_passphrase)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(
                f"the listener's certificate cannot be used ({self._cert}, {self._key}): {_reason(error)}",
                hint="gateway.tls wants a PEM certificate chain and its unencrypted private key",
            ) from error

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_file_stamp(path) for path in (self._cert, self._key))


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _no_passphrase() -> str:
    return ""  # an encrypted key is an error, not a prompt on the terminal of a server


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return (error.strerror or type(error).__name__).lower()
