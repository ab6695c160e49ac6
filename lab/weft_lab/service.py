"""Defines one process of the lab, as data: plan.py makes it, services.py runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

# Descriptors of services that are forked: the API's sockets on the host and in the lab, and where
# a service reports that it is ready.
API_DESCRIPTORS = (3, 4)
READY_DESCRIPTOR = 5


class Ready(Enum):
    """What makes a service ready, so that those after it may start."""

    STARTED = "started"
    KEPT = "kept"  # no process: the supervisor itself has written it, and keeps it
    LISTENS = "listens"  # something accepts connections at `socket`
    REPORTS = "reports"  # it writes a line to descriptor TELL_DESCRIPTOR


@dataclass(frozen=True, slots=True)
class Service:
    """`argv` runs as a program; with `entry` ("module:function") as a fork of a warm Python.

    `node` is "" for what runs in the lab's own namespaces. `socket` is a path as the service
    sees it. `listening`: it inherits the API's listening sockets.
    `database`: the file that it serves, as it sees it, and the schema of that.
    `imports` are modules that `entry` will import later: shared if they are there before the fork.
    """

    name: str
    argv: tuple[str, ...]
    node: str = ""
    entry: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    ready: Ready = Ready.STARTED
    socket: str = ""
    listening: bool = False
    database: tuple[str, str] = ("", "")
    imports: tuple[str, ...] = ()
