"""Runs a stock kube-apiserver with etcd on loopback for measurements.

The programs are those of the tests' own cluster. No admission plugin, scheduler or controller
takes part: who measures creates Nodes and bound Pods.
"""

from __future__ import annotations

from pathlib import Path

from bench.processes import Usage, usage
from tests.cluster import credentials, debiantree, goparts
from tests.support.kubeapiserver import KubeApiServer

MASTERS = ("system:masters",)


class ControlPlane(KubeApiServer):
    """A context manager; its objects are kept in `folder` over a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = credentials.Authority("bench")
        serving = self._authority.issue("kube-apiserver", names=["127.0.0.1", "localhost"])
        files = {
            "ca.crt": self._authority.certificate,
            "server.crt": serving.certificate,
            "server.key": serving.key,
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)
        super().__init__(
            folder,
            str(goparts.program(goparts.NEWEST, "kube-apiserver")),
            str(debiantree.ensure() / "usr/bin/etcd"),
            *(f"--client-ca-file={folder}/ca.crt", f"--tls-cert-file={folder}/server.crt"),
            *(f"--tls-private-key-file={folder}/server.key", "--authorization-mode=RBAC"),
            "--disable-admission-plugins=ServiceAccount,NodeRestriction,TaintNodesByCondition",
            *("--profiling=false", "--contention-profiling=false"),
        )

    def kubeconfig(self, user: str) -> Path:
        """Writes and returns the kubeconfig of a user who may do everything."""
        path = self._folder / f"{user}.conf"
        path.write_text(self._authority.kubeconfig(self.url, user, MASTERS))
        return path

    def usage(self) -> Usage:
        """Returns what both programs have used since they started."""
        each = [usage(child.pid) for child in self.children]
        return Usage(sum(one.cpu for one in each), sum(one.memory for one in each))
