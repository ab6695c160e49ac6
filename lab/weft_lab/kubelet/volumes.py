"""Writes the volumes of a pod: downwardAPI volumes, with files of the pod's metadata.

The files are the node's; no container can write to them. A change of the pod writes them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from weft import errors, names
from weft.kube import cache, client
from weft.kube.resources import PODS, key
from weft_lab.kubelet import containers

Object = dict[str, Any]
ROOM = 1 << 20  # of all files of a pod, bytes
PATIENCE = 10.0  # seconds
_FOLDER, _FRESH = "volumes", "volume.new"
_OF_METADATA = ("annotations", "labels")


def has(pod: Object) -> bool:
    return any("downwardAPI" in volume for volume in pod["spec"].get("volumes") or ())


def mounts(pod: Object, container: Object, folder: Path) -> list[list[Any]]:
    """The mounts of a container, each [source, target, is writable].

    `folder` is the sandbox's. Raise InvalidInput for a bad mountPath.
    """
    known = {
        volume["name"]: _place(folder, number)
        for number, volume in enumerate(pod["spec"].get("volumes") or ())
        if "downwardAPI" in volume
    }
    found: list[list[Any]] = []
    for mount in container.get("volumeMounts") or ():
        if mount["name"] in known:
            target = PurePosixPath(str(mount["mountPath"]))
            if not target.is_absolute() or ".." in target.parts or len(target.parts) < 2:
                rule = "must be a path from the root, without .."
                where = f"container {container['name']}"
                raise errors.InvalidInput(where, "mountPath", str(target), rule)
            found.append(
                [str(known[mount["name"]]), f"/{target.relative_to(target.anchor)}", False]
            )
    return found


def files(pod: Object) -> dict[tuple[int, str], bytes]:
    """File contents by volume number and path in it. Raise InvalidInput for a bad path or field."""
    found: dict[tuple[int, str], bytes] = {}
    room = ROOM
    for number, volume in enumerate(pod["spec"].get("volumes") or ()):
        where = f"volume {volume['name']}"
        for item in (volume.get("downwardAPI") or {}).get("items") or ():
            if not item.get("fieldRef"):
                continue  # an Event says that it has no effect
            path = PurePosixPath(str(item["path"]))
            if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
                rule = "must be a relative path, without .."
                raise errors.InvalidInput(where, "items.path", str(path), rule)
            text = _text(where, str(item["fieldRef"].get("fieldPath", "")), pod)
            room -= len(text)
            if room < 0:
                rule = f"the files of a pod can have {ROOM} bytes together"
                raise errors.InvalidInput(where, "items", None, rule)
            found[number, str(path)] = text
    return found


def _text(where: str, path: str, pod: Object) -> bytes:
    top, _, name = path.partition(".")
    if top != "metadata":
        raise errors.InvalidInput(where, "fieldPath", path, "must name a field of metadata")
    if name in _OF_METADATA:
        values: Mapping[str, str] = pod["metadata"].get(name) or {}
        lines = (f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values))
        return "\n".join(lines).encode()
    return containers.field(path, pod).encode()


async def up_to_date(api: client.Client, pods: cache.Cache, pod: Object) -> Object:
    """The pod from the cache, which must know the network-status that was just written.

    Raise NotReady if it does not know it in time, and errors of the API server.
    """
    meta = pod["metadata"]
    now = await api.get(PODS, meta["name"], meta["namespace"])

    def is_reported(seen: Object) -> bool:
        return bool(seen["metadata"]["uid"] == meta["uid"] and _status(seen) == _status(now))

    return await pods.wait_for(key(pod), is_reported, PATIENCE)


def _status(pod: Object) -> str | None:
    found: str | None = (pod["metadata"].get("annotations") or {}).get(names.NETWORK_STATUS)
    return found


def write(folder: Path, files: Mapping[tuple[int, str], bytes]) -> None:
    """Write the files, each at once: readers see old or new contents. Raise OSError."""
    for (number, path), data in files.items():
        top = _place(folder, number)
        target = top / path
        _make(folder / _FOLDER, top, target.parent)
        if target.is_file() and target.read_bytes() == data:
            continue
        fresh = folder / _FRESH
        fresh.write_bytes(data)
        fresh.chmod(0o644)
        fresh.replace(target)


def _make(start: Path, top: Path, last: Path) -> None:
    """Make folders that all users may read: a pod's users are no users of this machine."""
    for each in (start, top, *reversed([p for p in (last, *last.parents) if top in p.parents])):
        each.mkdir(exist_ok=True)
        each.chmod(0o755)


def _place(folder: Path, number: int) -> Path:
    return folder / _FOLDER / str(number)
