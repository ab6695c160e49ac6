"""Serves a pod's `log` subresource from files that the kubelet writes.

A log is the file that `logfiles.name` names in one folder; beside it stands that of the
container's run before.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from aiohttp import web

from weft.host import inotify
from weft_lab.apiserver import logfiles, reads, request, status, store
from weft_lab.apiserver.cluster import Cluster

_PIECE = 64 * 1024  # bytes that are read and sent at once


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
        path = self._folder / logfiles.name(*pod.key, container)
        if request.flag(http.query, "previous"):
            path = path.with_name(path.name + logfiles.PREVIOUS)
            if not _restarts(obj, container) or not path.exists():
                text = f'previous terminated container "{container}" in pod "{pod.key[1]}"'
                raise status.bad_request(f"{text} not found")
            return await _send(http, path)
        if not path.exists():
            raise status.bad_request(_waiting(obj, container))
        if request.flag(http.query, "follow"):
            return await _follow(http, cluster, pod, path, container)
        return await _send(http, path)


async def _send(http: web.BaseRequest, path: Path) -> web.StreamResponse:
    """What is in the file now, part by part: a log has any size."""
    with path.open("rb") as file:
        byte_range = await asyncio.to_thread(choose, file, http.query)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(http)
        await _write(response, file, byte_range)
    await response.write_eof()
    return response


async def _write(response: web.StreamResponse, file: BinaryIO, byte_range: ByteRange) -> None:
    """Send that part of the file; each piece when the client has taken the one before."""
    file.seek(byte_range.start)
    left = byte_range.end - byte_range.start
    while left > 0 and (data := await asyncio.to_thread(file.read, min(left, _PIECE))):
        left -= len(data)
        await response.write(data)


async def _follow(
    http: web.BaseRequest, cluster: Cluster, pod: store.Item, path: Path, container: str
) -> web.StreamResponse:
    """Send what is there and what comes, until the container has ended and all is sent."""
    changed = asyncio.Event()

    def listen(change: store.Change) -> None:
        if change.item.uid == pod.uid:
            changed.set()

    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    cluster.listeners.append(listen)
    try:
        with path.open("rb") as file, _watching(path, changed):
            await response.prepare(http)
            byte_range = await asyncio.to_thread(choose, file, http.query)
            await _write(response, file, byte_range)
            file.seek(byte_range.size)
            while not _has_ended(cluster, pod, container):
                await changed.wait()
                changed.clear()
                await _write(response, file, _rest(file))
            await _write(response, file, _rest(file))
    finally:
        cluster.listeners.remove(listen)
    await response.write_eof()
    return response


def _restarts(pod: dict[str, Any], container: str) -> int:
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    return sum(one.get("restartCount") or 0 for one in states if one.get("name") == container)


@contextmanager
def _watching(path: Path, changed: asyncio.Event) -> Iterator[None]:
    """Set `changed` whenever the file is written, or goes away."""
    with closing(inotify.Inotify(changed.set)) as watch:
        watch.add(path, inotify.MODIFIED | inotify.ATTRIB | inotify.DELETED)
        yield


def _has_ended(cluster: Cluster, pod: store.Item, container: str) -> bool:
    item = cluster.store.collection("pods").items.get(pod.key)
    if item is None or item.uid != pod.uid:
        return True
    found = item.parse().get("status") or {}
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    states = [one for kind in kinds for one in found.get(kind) or () if one["name"] == container]
    return any((one.get("state") or {}).get("terminated") for one in states)


def choose_container(pod: dict[str, Any], container: str) -> str:
    """The only container, or the one that was asked for."""
    spec = pod.get("spec") or {}
    names = [one["name"] for one in spec.get("containers") or ()]
    kinds = ("initContainers", "ephemeralContainers")
    others = [one["name"] for kind in kinds for one in spec.get(kind) or ()]
    name = pod["metadata"]["name"]
    if container:
        if container not in names + others:
            raise status.bad_request(f"container {container} is not valid for pod {name}")
        return container
    if len(names) != 1:
        listed = " ".join(names)
        raise status.bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{listed}]"
        )
    return str(names[0])


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From which byte to which a client wants a log; `size` is how long it was then."""

    start: int
    end: int
    size: int


def choose(file: BinaryIO, query: Mapping[str, str]) -> ByteRange:
    """The last lines, or the first bytes, as the client asks."""
    size = file.seek(0, io.SEEK_END)
    start = 0
    if "tailLines" in query:
        start = _start_of_last(file, size, reads.read_number(query, "tailLines"))
    end = size
    if "limitBytes" in query:
        end = min(size, start + reads.read_number(query, "limitBytes"))
    return ByteRange(start, end, size)


def _start_of_last(file: BinaryIO, size: int, lines: int) -> int:
    """Where the last lines begin, read from the end backwards, piece by piece."""
    if lines == 0:
        return size
    place = size
    while place > 0:
        begin = max(0, place - _PIECE)
        file.seek(begin)
        data = file.read(place - begin)
        if place == size and data.endswith(b"\n"):
            lines += 1  # the end of the last line begins no other
        found = data.count(b"\n")
        if found >= lines:
            at = len(data)
            for _ in range(lines):
                at = data.rindex(b"\n", 0, at)
            return begin + at + 1
        lines -= found
        place = begin
    return 0


def _rest(file: BinaryIO) -> ByteRange:
    """What came since; all of it if the file was started again."""
    here, size = file.tell(), file.seek(0, io.SEEK_END)
    return ByteRange(here if here <= size else 0, size, size)


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
