"""Runs a stock kube-apiserver with etcd on loopback, which can be stopped and started again.

The programs are those of the tests' own cluster. No admission plugin, scheduler or controller
takes part: who measures creates Nodes and bound Pods.
"""

from __future__ import annotations

import ssl
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import IO

from bench.processes import Usage, usage
from tests.cluster import credentials, debiantree, goparts
from tests.support.kubernetes import free_port

PATIENCE = 120.0
MASTERS = ("system:masters",)


class ControlPlane:
    """A context manager; its objects are kept in `folder` over a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = goparts.program(goparts.NEWEST, "kube-apiserver")
        self._etcd_program = debiantree.ensure() / "usr/bin/etcd"
        self._etcd, self._peer, self._port = free_port(), free_port(), free_port()
        self._authority = credentials.Authority("bench")
        self._children: list[subprocess.Popen[bytes]] = []
        self._log: IO[bytes] | None = None
        self.server = f"https://127.0.0.1:{self._port}"
        serving = self._authority.issue("kube-apiserver", names=["127.0.0.1", "localhost"])
        tokens = credentials.signing_pair()
        self._files = {
            "ca.crt": self._authority.certificate,
            "server.crt": serving.certificate,
            "server.key": serving.key,
            "tokens.pub": tokens.certificate,
            "tokens.key": tokens.key,
        }

    def kubeconfig(self, user: str) -> Path:
        """Writes and returns the kubeconfig of a user who may do everything."""
        path = self._folder / f"{user}.conf"
        path.write_text(self._authority.kubeconfig(self.server, user, MASTERS))
        return path

    def __enter__(self) -> ControlPlane:
        for name, content in self._files.items():
            (self._folder / name).write_bytes(content)
        self._log = (self._folder / "log").open("ab")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._log is not None:
            self._log.close()

    def start(self) -> None:
        """Starts both programs without waiting for them; `ready` waits."""
        self._children = [
            subprocess.Popen(argv, stdout=self._log, stderr=self._log)
            for argv in (self._etcd_command(), self._apiserver_command())
        ]

    def stop(self) -> None:
        for child in reversed(self._children):
            child.terminate()
            child.wait()
        self._children = []

    def ready(self) -> None:
        """Returns when the API server answers that it is ready."""
        context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
        end, text = time.monotonic() + PATIENCE, ""
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.server}/readyz", context=context) as answer:
                    if answer.status == 200:
                        return
            except OSError as error:
                text = str(error)
            if any(child.poll() is not None for child in self._children):
                break
            time.sleep(0.05)
        raise AssertionError(f"{self.server} is not ready: {text}; see {self._folder / 'log'}")

    def usage(self) -> Usage:
        """Returns what both programs have used since they started."""
        each = [usage(child.pid) for child in self._children]
        return Usage(sum(one.cpu for one in each), sum(one.memory for one in each))

    def _etcd_command(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd, self._peer))
        return [
            *(str(self._etcd_program), f"--data-dir={self._folder}/etcd"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            *(f"--initial-cluster=default={peer}", "--unsafe-no-fsync"),
        ]

    def _apiserver_command(self) -> list[str]:
        folder = self._folder
        return [
            str(self._program),
            f"--etcd-servers=http://127.0.0.1:{self._etcd}",
            *("--bind-address=127.0.0.1", f"--secure-port={self._port}"),
            *(f"--client-ca-file={folder}/ca.crt", f"--tls-cert-file={folder}/server.crt"),
            *(f"--tls-private-key-file={folder}/server.key", "--authorization-mode=RBAC"),
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/tokens.pub",
            f"--service-account-signing-key-file={folder}/tokens.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount,NodeRestriction,TaintNodesByCondition",
            *("--profiling=false", "--contention-profiling=false"),
        ]
