"""Whether a replica can answer, asked directly and not through the gateway."""

import http.client
import socket

from shipway.spec.health import Health


def ill_because(host: str, port: int, health: Health) -> str | None:
    """Why the replica at that address is not healthy; None when it is."""
    if health.path is None:
        try:
            with socket.create_connection((host, port), health.timeout):
                return None
        except OSError as error:
            return f"port {port} does not accept connections: {error.strerror or error}"
    connection = http.client.HTTPConnection(host, port, timeout=health.timeout)
    try:
        connection.request("GET", health.path, headers={"Host": host, "Connection": "close"})
        status = connection.getresponse().status
    except TimeoutError:
        return f"{health.path} did not answer within {health.timeout:g} s"
    except (OSError, http.client.HTTPException) as error:
        return f"{health.path} cannot be asked: {getattr(error, 'strerror', None) or error!r}"
    finally:
        connection.close()
    return None if 200 <= status < 300 else f"{health.path} answers {status}"
