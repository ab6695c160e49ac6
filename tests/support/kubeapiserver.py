"""Starts a stock kube-apiserver with its etcd on loopback, which can be stopped and started again.

No scheduler, controller or kubelet is there. Who may ask is up to the caller's options.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import IO, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.patience import PATIENCE


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class KubeApiServer:
    """A context manager; what it holds is kept in `folder` over a restart.

    options: those of kube-apiserver beside its addresses and keys.
    """

    def __init__(self, folder: Path, server: str, etcd: str, *options: str) -> None:
        self._folder = folder
        client, peer, port = free_port(), free_port(), free_port()
        self.url = f"https://127.0.0.1:{port}"
        self._etcd = _etcd_command(etcd, folder, client, peer)
        self._server = [
            *(server, f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={port}"),
            *("--bind-address=127.0.0.1", f"--cert-dir={folder}/certs"),
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/sa.key",
            f"--service-account-signing-key-file={folder}/sa.key",
            *("--service-cluster-ip-range=10.96.0.0/16", *options),
        ]
        self.children: list[subprocess.Popen[bytes]] = []
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        (self._folder / "sa.key").write_bytes(_signing_key())
        self._log = (self._folder / "log").open("ab")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._log is not None:
            self._log.close()

    def start(self) -> None:
        """Starts both programs without waiting for them; `ready` waits."""
        self.children = [
            subprocess.Popen(argv, stdout=self._log, stderr=self._log)
            for argv in (self._etcd, self._server)
        ]

    def stop(self) -> None:
        for child in reversed(self.children):
            child.terminate()
            child.wait()
        self.children = []

    def ready(self, patience: float = PATIENCE) -> None:
        """Returns when the API server answers that it is ready.

        patience: in seconds. Raises AssertionError then, or if a program has ended.
        """
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        end, text = time.monotonic() + patience, ""
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", context=context) as answer:
                    if answer.status == 200:
                        return
            except OSError as error:
                text = str(error)
            if any(child.poll() is not None for child in self.children):
                break
            time.sleep(0.05)  # nobody tells when the server begins to listen
        raise AssertionError(f"{self.url} is not ready: {text}; see {self._folder / 'log'}")


def _etcd_command(etcd: str, folder: Path, client_port: int, peer_port: int) -> list[str]:
    client, peer = (f"http://127.0.0.1:{port}" for port in (client_port, peer_port))
    return [
        *(etcd, f"--data-dir={folder}/etcd", "--unsafe-no-fsync"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
        f"--initial-cluster=default={peer}",
    ]


def _signing_key() -> bytes:
    """What service accounts' tokens are signed with and known by."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*pem, serialization.NoEncryption())
