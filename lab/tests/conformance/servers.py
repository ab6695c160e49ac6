"""Starts the real kube-apiserver with etcd, and the lab's, both on loopback with the same users."""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster import debiantree, goparts, missing
from tests.support import apiserver
from tests.support.kubeapiserver import KubeApiServer
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
    options = (
        *(f"--token-auth-file={folder}/tokens", "--authorization-mode=Node,RBAC"),
        "--disable-admission-plugins=ServiceAccount",
        "--etcd-compaction-interval=0",  # cases ask for old revisions, however long they take
    )
    with KubeApiServer(folder, kube_apiserver, etcd_server, *options) as started:
        started.ready()
        yield Api("real", started.url)


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
