"""Reads a container's securityContext into its user and capabilities. Pure.

Capabilities count in the pod's own user namespace: none of them reaches the node or its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weft import errors

Object = Mapping[str, Any]

# In the order of the kernel's numbers.
NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
# containerd's default capabilities.
DEFAULT = (
    *(
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
    ),
    *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
LARGEST = 65535  # of the users and groups that a pod has


@dataclass(frozen=True, slots=True)
class Security:
    """User, groups and `capabilities`, which are sorted numbers (capabilities(7))."""

    capabilities: tuple[int, ...]
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    no_new_privs: bool = False
    read_only: bool = False


def of(pod: Object, container: Object) -> Security:
    """Read a container's securityContext. Raise InvalidInput for what no container can have."""
    shared = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    both = {**shared, **own}
    where = f"container {container['name']}"
    uid, gid = (_number(where, key, both.get(key)) for key in ("runAsUser", "runAsGroup"))
    if both.get("runAsNonRoot") and uid == 0:
        rule = "the stand-ins for images run as root"
        hint = "set runAsUser as well"
        raise errors.InvalidInput(where, "runAsNonRoot", True, rule, hint=hint)
    groups = [
        _number(where, "supplementalGroups", each)
        for each in shared.get("supplementalGroups") or ()
    ]
    return Security(
        capabilities=_capabilities(where, own),
        uid=uid,
        gid=gid,
        groups=tuple(groups),
        no_new_privs=own.get("allowPrivilegeEscalation") is False,
        read_only=bool(own.get("readOnlyRootFilesystem")),
    )


def _number(where: str, field: str, value: Any) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= LARGEST:
        rule = f"must be from 0 to {LARGEST}, the users of a pod's own namespace"
        raise errors.InvalidInput(where, field, value, rule)
    return value


def _capabilities(where: str, own: Object) -> tuple[int, ...]:
    if own.get("privileged"):
        return tuple(range(len(NAMES)))
    capabilities = own.get("capabilities") or {}
    added, dropped = (_named(where, key, capabilities.get(key) or ()) for key in ("add", "drop"))
    base = set() if "ALL" in dropped else set(DEFAULT)
    chosen = set(NAMES) if "ALL" in added else base | set(added)
    return tuple(sorted(NAMES.index(name) for name in chosen - set(dropped)))


def _named(where: str, key: str, listed: Sequence[Any]) -> list[str]:
    names = [str(each).upper().removeprefix("CAP_") for each in listed]
    for name in names:
        if name != "ALL" and name not in NAMES:
            rule = "is no capability of Linux"
            raise errors.InvalidInput(where, f"capabilities.{key}", name, rule)
    return names


def ignored(container: Object) -> Iterator[str]:
    """Messages on settings that have another effect in the lab than on a cluster."""
    if (container.get("securityContext") or {}).get("privileged"):
        yield (
            "privileged gives every capability inside the pod alone: the node's files, devices and "
            "network stay out of reach in the lab"
        )
