"""Makes the request with which a pod's first process starts a container.

Pure: computed from the pod's specification and the node's files. CRI calls it ContainerConfig.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weft_lab.kubelet import containers, images, logs, resolver, security, volumes

Object = dict[str, Any]
LONGEST_HOSTNAME = 63
LONGEST_FILE = 512 << 20  # bytes, of any file, logs included, which are on the machine's disk


@dataclass(frozen=True, slots=True)
class Environment:
    """What containers find. `plain` are the variables of an image's containers."""

    folder: Path
    logs: Path
    image: Path
    plain: dict[str, str]
    host_ip: str
    host_name: str


def on_host(pod: Object) -> bool:
    """Whether the pod uses its node's network namespace (`hostNetwork`)."""
    return bool(pod["spec"].get("hostNetwork"))


def hostname(pod: Object, place: Environment) -> str:
    """The pod's host name: with `hostNetwork` the node's, else its own."""
    if on_host(pod):
        return place.host_name
    name = str(pod["spec"].get("hostname") or pod["metadata"]["name"])
    return name[:LONGEST_HOSTNAME].rstrip("-.")


def start(
    pod: Object, container: Object, ips: Sequence[str], root: Path, place: Environment
) -> Object:
    """The request that starts `container` in a pod with these addresses.

    `root` is the folder below which its root is mounted. Raise InvalidInput for a field that no
    container can have.
    """
    meta = pod["metadata"]
    status = {"podIP": ips[0], "podIPs": ",".join(ips)}
    seen = {**pod, "status": {**status, "hostIP": place.host_ip, "hostIPs": place.host_ip}}
    variables = containers.environment(container, seen, {})
    log = logs.path(place.logs, meta["namespace"], meta["name"], container["name"])
    allowed = security.of(pod, container)
    return {
        "argv": [containers.expand(part, variables) for part in images.command(container)],
        "env": containers.environment(container, seen, place.plain),
        "cwd": container.get("workingDir") or "/",
        "log": str(log),
        "longest_file": 0 if images.is_native(container.get("image", "")) else LONGEST_FILE,
        "root": str(root),
        "binds": [
            [str(place.image / "bin"), "/bin", False],
            *volumes.mounts(pod, container, root.parent),
        ],
        "links": {"sbin": "bin", "usr": "."},
        "stdin": bool(container.get("stdin")),
        "stdin_once": bool(container.get("stdinOnce")),
        "tty": bool(container.get("tty")),
        "etc": etc_files(pod, hostname(pod, place), ips[0]),
        **asdict(allowed),
    }


def etc_files(pod: Object, name: str, address: str) -> dict[str, str]:
    return {
        "hostname": f"{name}\n",
        "hosts": resolver.hosts(pod, name, address),
        "resolv.conf": resolver.resolv_conf(pod),
        "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "group": "root:x:0:\nnogroup:x:65534:\n",
    }
