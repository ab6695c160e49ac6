"""What did a container print? The `log` subresource, read from files that the kubelet writes.

A log is the file `<namespace>_<pod>_<container>.log` in one folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from weft.lab.apiserver import reads, status, store
from weft.lab.apiserver.cluster import Cluster


class Files:
    """The folder of logs; None where this server has none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    async def serve(
        self, http: web.BaseRequest, cluster: Cluster, pod: store.Item
    ) -> web.StreamResponse:
        obj = pod.parse()
        container = choose_container(obj, http.query.get("container", ""))
        if self._folder is None:
            raise status.bad_request("this server keeps no logs")
        path = self._folder / f"{pod.key[0]}_{pod.key[1]}_{container}.log"
        if not path.exists():
            raise status.bad_request(_waiting(obj, container))
        return web.Response(body=cut(path.read_bytes(), http.query), content_type="text/plain")


def choose_container(pod: dict[str, Any], asked: str) -> str:
    """The only container, or the one that was asked for."""
    spec = pod.get("spec") or {}
    names = [one["name"] for one in spec.get("containers") or ()]
    early = [one["name"] for one in spec.get("initContainers") or ()]
    name = pod["metadata"]["name"]
    if asked:
        if asked not in names + early:
            raise status.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(names) != 1:
        listed = " ".join(names)
        raise status.bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{listed}]"
        )
    return str(names[0])


def cut(data: bytes, query: Mapping[str, str]) -> bytes:
    """The last lines, or the first bytes, as the client asks."""
    if "tailLines" in query:
        lines = data.splitlines(keepends=True)
        count = reads.read_number(query, "tailLines")
        data = b"".join(lines[-count:]) if count else b""
    if "limitBytes" in query:
        data = data[: reads.read_number(query, "limitBytes")]
    return data


def _waiting(pod: dict[str, Any], container: str) -> str:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    reasons = [
        ((one.get("state") or {}).get("waiting") or {}).get("reason")
        for one in statuses
        if one.get("name") == container
    ]
    reason = next((one for one in reasons if one), "ContainerCreating")
    name = pod["metadata"]["name"]
    return f'container "{container}" in pod "{name}" is waiting to start: {reason}'
