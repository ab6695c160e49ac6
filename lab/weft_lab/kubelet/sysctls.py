"""Sets the kernel parameters of a pod's network namespace, and refuses others.

It allows `net.*`, as a kubelet with --allowed-unsafe-sysctls=net.* does. Names have dots or slashes
(sysctl(8)); the one that comes first in a name separates its parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from weft import errors
from weft.host import netlink

Object = Mapping[str, Any]
_PART = r"[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_PART}(?:[./]{_PART})+")
_LONGEST = 253


def forbidden(pod: Object) -> str:
    """Why the pod may not run; empty if it may."""
    for name, _ in _requested(pod):
        if len(name) > _LONGEST or not _NAME.fullmatch(name) or not _path(name).startswith("net/"):
            return f'forbidden sysctl: "{name[:_LONGEST]}" not allowlisted'
        if pod["spec"].get("hostNetwork"):
            return f'forbidden sysctl: "{name}" not allowed with host net enabled'
    return ""


def _requested(pod: Object) -> Sequence[tuple[str, str]]:
    listed = (pod["spec"].get("securityContext") or {}).get("sysctls") or ()
    return [(str(one.get("name", "")), str(one.get("value", ""))) for one in listed]


def _path(name: str) -> str:
    """The path of a parameter, relative to /proc/sys."""
    separators = [letter for letter in name if letter in "./"]
    return name.translate(str.maketrans("./", "/.")) if separators[:1] == ["."] else name


def of(pod: Object) -> dict[str, str]:
    """Paths below /proc/sys, in the order that they are set; of a pod that may run."""
    return {_path(name): value for name, value in _requested(pod)}


def write(values: Mapping[str, str]) -> None:
    """Set parameters in this thread's namespace. Raise InvalidInput if the kernel refuses one."""
    for path, value in values.items():
        try:
            netlink.set_sysctl(path, value)
        except (netlink.Failed, ValueError) as error:
            name, rule = path.replace("/", "."), "is not taken by the kernel"
            raise errors.InvalidInput(f"sysctl {name}", "value", value, rule) from error
