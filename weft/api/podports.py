"""Reads the named ports of a pod's containers.

Invalid entries that an API server has accepted are skipped, not reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from weft.policy.netpolicy import Protocol

_PROTOCOLS = {str(each): each for each in Protocol}


def named_ports(pod: object) -> dict[tuple[Protocol, str], int]:
    """The number of each named port; if two containers use one name, the first counts."""
    found: dict[tuple[Protocol, str], int] = {}
    for port in all_ports(pod):
        name, number = port.get("name"), port.get("containerPort")
        protocol = port.get("protocol", Protocol.TCP)
        if not (isinstance(name, str) and name and isinstance(number, int)):
            continue
        if isinstance(protocol, str) and protocol in _PROTOCOLS:
            found.setdefault((_PROTOCOLS[protocol], name), number)
    return found


class NamedPorts(Mapping[tuple[Protocol, str], int]):
    """`named_ports` of a pod, read once somebody asks: of many pods nobody does."""

    __slots__ = ("_found", "_pod")

    def __init__(self, pod: object) -> None:
        self._pod = pod
        self._found: dict[tuple[Protocol, str], int] | None = None

    def _read(self) -> dict[tuple[Protocol, str], int]:
        if self._found is None:
            self._found = named_ports(self._pod)
        return self._found

    def __getitem__(self, key: tuple[Protocol, str]) -> int:
        return self._read()[key]

    def __iter__(self) -> Iterator[tuple[Protocol, str]]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def all_ports(pod: object) -> list[Mapping[str, object]]:
    """The ports of containers and sidecars, which run for the pod's whole life, in order."""
    spec = pod.get("spec") if isinstance(pod, Mapping) else None
    if not isinstance(spec, Mapping):
        return []
    containers = _objects(spec.get("containers"))
    for container in _objects(spec.get("initContainers")):
        if container.get("restartPolicy") == "Always":  # a sidecar
            containers.append(container)
    return [port for container in containers for port in _objects(container.get("ports"))]


def _objects(value: object) -> list[Mapping[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
