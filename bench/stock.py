"""Measures the burst of `burst.py` beside a stock kube-apiserver with etcd, on loopback.

It needs what `make test-cluster` needs, but no root: the two programs are built and fetched first.
The server and etcd take most of a pod's time, so that the rate alone has a limit: as in the lab,
pods are annotated nine tenths as fast as the server takes their creates, or faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import burst
from bench.figures import Figure
from tests.cluster import debiantree, goparts
from tests.support import kubernetes

ADMIN = "admin"  # a token of the server's


@contextmanager
def api_server(folder: Path) -> Iterator[Path]:
    """The kubeconfig of a running server that has weft's CRDs."""
    program = goparts.program(goparts.NEWEST, "kube-apiserver")
    etcd = debiantree.ensure() / "usr/bin/etcd"
    with kubernetes.running(folder, str(program), str(etcd)) as made:
        kubernetes.apply(made.api, [kubernetes.namespace("weft-system")])
        yield made.kubeconfig(ADMIN)


def run() -> Iterable[Figure]:
    return burst.measured(api_server, bounds_times=False)
