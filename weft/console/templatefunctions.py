"""Functions that templates of several pages call: names of kinds, counts, paths of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft.kube.resources import Resource

_SPACED = {
    "network-attachment-definitions": "NetworkAttachmentDefinitions",
    "multi-networkpolicies": "MultiNetworkPolicies",
}


def kinds(kind: Resource) -> str:
    """A kind in the plural, as people write it."""
    if kind.plural in _SPACED:
        return _SPACED[kind.plural]
    ending = kind.plural.removeprefix(kind.kind.lower())
    return kind.kind + ending if kind.plural.startswith(kind.kind.lower()) else kind.plural


def counted(number: int, one: str, many: str = "") -> str:
    """Such as "1 node" or "3 nodes"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def segments(kind: str, namespace: str, name: str) -> tuple[str, ...]:
    """The path of the page about an object, for `link`; empty if no page is about its kind."""
    match kind:
        case "Network":
            return "networks", name
        case "VirtualMachine" | "VirtualMachineInstance":
            return "machines", namespace, name
        case "Node":
            return ("nodes",)
    return ()


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "kinds": kinds,
    "counted": counted,
    "segments": segments,
}
