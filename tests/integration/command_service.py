"""A service that is a plain command and, as scripts do, leaves a child of its own running beside it."""

import http.server
import os
import subprocess


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"third {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


subprocess.Popen(["sleep", "600"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
