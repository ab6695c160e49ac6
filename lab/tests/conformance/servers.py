"""Starts the real kube-apiserver with etcd, and the lab's, both on loopback with the same users."""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cluster import debiantree, goparts, missing
from tests.support import apiserver
from tests.support.kubernetes import free_port
from tests.support.patience import PATIENCE

SERVER, ETCD = os.environ.get("WEFT_KUBE_APISERVER", ""), os.environ.get("WEFT_ETCD", "")
# A real server that runs already, with the same tokens.
RUNNING = os.environ.get("WEFT_KUBE_APISERVER_URL", "")
TOKENS = (
    'admin,admin,admin,"system:masters"\n'
    'tenant,tenant,tenant-uid,"tenants"\n'
    "nobody,nobody,nobody-uid\n"
)


@dataclass
class Api:
    """One of the two servers; keeps its connection open."""

    name: str
    url: str
    kubeconfig: Path = Path()
    _open: http.client.HTTPConnection | None = field(default=None, repr=False)

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=PATIENCE, context=context
        )

    def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, list[str]], bytes]:
        for fresh in (False, True):
            if self._open is None or fresh:
                self._open = self.connect()
            try:
                self._open.request(method, path, body, headers)
                answer = self._open.getresponse()
                found: dict[str, list[str]] = {}
                for name, value in answer.getheaders():
                    found.setdefault(name.lower(), []).append(value)
                return answer.status, found, answer.read()
            except (http.client.HTTPException, ConnectionError):
                self._open = None
                if fresh:
                    raise
        raise AssertionError


def _programs() -> tuple[str, str]:
    """kube-apiserver and etcd; those of the tests' own cluster where none are named.

    Skips where they cannot be had.
    """
    if SERVER and ETCD:
        return SERVER, ETCD
    with missing.skipped():
        server, tree = goparts.program(goparts.NEWEST, "kube-apiserver"), debiantree.ensure()
    return str(server), str(tree / "usr/bin/etcd")


@contextmanager
def real(folder: Path) -> Iterator[Api]:
    if RUNNING:
        yield Api("real", RUNNING)
        return
    kube_apiserver, etcd_server = _programs()
    (folder / "tokens").write_text(TOKENS)
    (folder / "sa.key").write_bytes(_key())
    client, peer, port = free_port(), free_port(), free_port()
    etcd = f"http://127.0.0.1:{client}"
    with (folder / "log").open("wb") as log, _ended() as children:
        children.append(
            subprocess.Popen(
                [
                    *(
                        etcd_server,
                        "--data-dir",
                        str(folder / "etcd"),
                        "--listen-client-urls",
                        etcd,
                    ),
                    *("--advertise-client-urls", etcd, "--unsafe-no-fsync"),
                    *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
                ],
                stdout=log,
                stderr=log,
            )
        )
        _until_ready(Api("etcd", etcd), "/health")
        children.append(
            subprocess.Popen(
                [
                    *(kube_apiserver, "--etcd-servers", etcd, "--secure-port", str(port)),
                    *("--bind-address", "127.0.0.1", "--cert-dir", str(folder / "certs")),
                    *("--token-auth-file", str(folder / "tokens")),
                    *("--authorization-mode", "Node,RBAC", "--service-account-issuer", "https://x"),
                    *("--service-account-key-file", str(folder / "sa.key")),
                    *("--service-account-signing-key-file", str(folder / "sa.key")),
                    *("--service-cluster-ip-range", "10.96.0.0/16"),
                    *("--disable-admission-plugins", "ServiceAccount"),
                ],
                stdout=log,
                stderr=log,
            )
        )
        found = Api("real", f"https://127.0.0.1:{port}")
        _until_ready(found, "/readyz")
        yield found


async def ours(folder: Path) -> AsyncGenerator[Api, None]:
    (folder / "apiserver").mkdir(parents=True)
    (folder / "apiserver/tokens.csv").write_text(TOKENS)
    async with apiserver.running(folder, crds=()) as server:
        yield Api("lab", server.url, server.kubeconfig)


async def _first(running: AsyncIterator[Api]) -> Api:
    return await anext(running)


@contextmanager
def lab(folder: Path) -> Iterator[Api]:
    """The lab's server, driven from a test that is not asynchronous."""
    with asyncio.Runner() as runner:
        running = ours(folder)
        try:
            yield runner.run(_first(running))
        finally:
            runner.run(running.aclose())


@contextmanager
def _ended() -> Iterator[list[subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []
    try:
        yield children
    finally:
        for child in reversed(children):
            child.terminate()
            child.wait()


def _key() -> bytes:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _until_ready(api: Api, path: str) -> None:
    end = time.monotonic() + PATIENCE
    response: object = None
    while time.monotonic() < end:
        try:
            response = api.send("GET", path, None, {"Authorization": "Bearer admin"})
            if response[0] == 200:
                return
        except OSError as error:
            response = error
        time.sleep(0.1)  # nobody tells when the server begins to listen
    raise AssertionError(f"{api.url}{path}: {response}")
