"""A validating webhook for tests: what it answers is said by the path that it is asked at."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from weft.app import servingcertificate

Object = dict[str, Any]
DENIED = {"code": 422, "reason": "Invalid", "message": "it may not be", "details": {"kind": "x"}}
_ANSWERS: dict[str, Object] = {
    "allow": {"allowed": True},
    "warn": {"allowed": True, "warnings": ["first", "second"]},
    "deny": {"allowed": False, "status": DENIED, "warnings": ["unwise"]},
    "silent": {"allowed": False},
    "reason": {"allowed": False, "status": {"reason": "Forbidden"}},
    "good": {"allowed": False, "status": {"code": 200, "status": "Success", "message": "good"}},
    "other": {"allowed": True, "uid": "other"},
    "patch": {"allowed": True, "patch": "W10=", "patchType": "JSONPatch"},
}


@dataclass
class Judge:
    """Where it listens, by what it is known, and what it was asked, in order.

    patient: when it answers who asks at `slow`. arrived: whether anybody has asked.
    """

    url: str
    bundle: str
    asked: list[Object] = field(default_factory=list)
    patient: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    def reviews(self) -> list[Object]:
        """What it was asked since the last call."""
        found, self.asked[:] = list(self.asked), []
        return found


@contextmanager
def running() -> Iterator[Judge]:
    made = servingcertificate.make(["127.0.0.1"], datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load(context)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            review = json.loads(body)
            agent = self.headers["User-Agent"].partition("/")[0]
            judge.asked.append({"path": self.path, "agent": agent, **review})
            judge.arrived.set()
            name = self.path.partition("?")[0].strip("/")
            if name == "slow":
                judge.patient.wait(60.0)
            code, text = _answer(name, review)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asked has gone
                self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    url = f"https://127.0.0.1:{server.server_address[1]}"
    judge = Judge(url, base64.b64encode(made.pem).decode())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        judge.patient.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(name: str, review: Object) -> tuple[int, bytes]:
    if name == "odd":
        return 200, b"{"
    if name == "empty":
        return 200, json.dumps({**_plain(review)}).encode()
    if name == "error":
        return 500, b"{}"
    response = {"uid": review["request"]["uid"], **_ANSWERS.get(name, {"allowed": True})}
    return 200, json.dumps({**_plain(review), "response": response}).encode()


def _plain(review: Object) -> Object:
    return {"apiVersion": review["apiVersion"], "kind": review["kind"]}
