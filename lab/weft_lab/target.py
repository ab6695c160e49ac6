"""Finds where in a lab a command is to run: a node, a pod, the lab itself, or a console.

Everything is found from outside, through the root directory of the lab's process 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft import errors
from weft.host import process
from weft_lab import layout, nsenter, state

ITSELF = "lab"


@dataclass(frozen=True, slots=True)
class Place:
    """Join the namespaces of process `pid`, then `into`, then make `root` the root, if it is set.

    The paths are as processes at the place before see them. `limits`: a container's.
    """

    pid: int
    env: Mapping[str, str]
    into: tuple[str, ...] = ()
    root: str = ""
    limits: Mapping[str, Any] | None = None


def find(peer: state.Peer, target: str) -> Place:
    """The place that `target` names: `lab`, a node, or NAMESPACE/POD."""
    env = peer.ask({"order": "env"})["env"]
    assert isinstance(env, dict)
    if target == ITSELF:
        return Place(peer.pid, env)
    nodes = sorted(path.parent.name for path in _outside(peer, layout.HOME).glob("*/run"))
    if target in nodes:
        return Place(peer.pid, env, nsenter.node(target))
    namespace, slash, pod = target.partition("/")
    if slash:
        return _pod(peer, namespace, pod)
    raise errors.InvalidInput(
        "weft lab exec",
        "TARGET",
        target,
        f"must be {ITSELF}, one of {', '.join(nodes)}, or a pod as NAMESPACE/POD",
    )


def run(place: Place, argv: Sequence[str]) -> int:
    """Run it there, on this terminal or, in a container, by one of its own; its exit status."""
    return nsenter.run(
        place.pid,
        argv,
        env=place.env,
        into=place.into,
        root=place.root,
        limits=place.limits,
    )


def command(place: Place, argv: Sequence[str]) -> process.Command:
    """What runs it there. In a process of its own, as joining cannot be undone."""
    code = "import sys, json; from weft_lab import target; sys.exit(target.from_json(sys.argv[1]))"
    own = (sys.executable, "-c", code, json.dumps([_plain(place), list(argv)]))
    return process.Command(own, {**os.environ, "PYTHONPATH": place.env.get("PYTHONPATH", "")})


def captured(place: Place, argv: Sequence[str], data: bytes | None = None) -> dict[str, Any]:
    """Run it there and return what it wrote.

    `data` is its standard input; None: this process' own.
    """
    there = command(place, argv)
    done = subprocess.run(
        there.argv,
        env=dict(there.env),
        input=data,
        capture_output=True,
        check=False,
    )
    return {
        "exit": done.returncode,
        "stdout": done.stdout.decode(errors="replace"),
        "stderr": done.stderr.decode(errors="replace"),
    }


def from_json(text: str) -> int:
    """The other half of `command`."""
    fields, argv = json.loads(text)
    return run(Place(**fields), argv)


def _plain(place: Place) -> dict[str, object]:
    return {
        "pid": place.pid,
        "env": dict(place.env),
        "into": place.into,
        "root": place.root,
        "limits": place.limits,
    }


def _outside(peer: state.Peer, path: os.PathLike[str]) -> Path:
    """A path of the lab as this process can use it."""
    return Path(f"/proc/{peer.pid}/root{os.fspath(path)}")


def _runs(peer: state.Peer) -> list[Path]:
    """Every node's /run."""
    return sorted(_outside(peer, layout.HOME).glob("*/run"))


def pods(peer: state.Peer) -> dict[str, int]:
    """The first process of every pod by "<namespace>/<name>"; who has just ended is left out."""
    found = {
        f"{about['namespace']}/{about['pod']}": state.owner(record.with_name("init.sock"))
        for record, about in _records(peer)
    }
    return {pod: pid for pod, pid in found.items() if pid}


def _records(peer: state.Peer) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What each pod's kubelet wrote of it, and where."""
    for run_folder in _runs(peer):
        for record in run_folder.glob("weft/*/*/pod.json"):
            yield record, json.loads(record.read_bytes())


def _pod(peer: state.Peer, namespace: str, name: str) -> Place:
    for record, about in _records(peer):
        if (about.get("namespace"), about.get("pod")) == (namespace, name):
            return _container(record.with_name("init.sock"), f"{namespace}/{name}")
    raise errors.Unavailable(
        "no such pod runs in the lab",
        where=f"pod {namespace}/{name}",
        hint="kubectl get pods -A; a virtual machine of that name has `weft lab console`",
    )


def _container(door: Path, pod: str) -> Place:
    """The first container that runs, by what the owner of the pod's processes says at `door`."""
    try:
        link = state.dial(door)
    except OSError as error:
        raise errors.Unavailable(
            f"its first process does not answer ({error.strerror})", where=f"pod {pod}"
        ) from None
    with state.Peer(link) as init:
        reported: Any = next(iter(init.answers()), {})
        for name, container in reported.get("state", {}).items():
            if container.get("pid") and container.get("status") is None:
                init.send({"op": "enter", "name": name})
                answers: Iterator[Any] = init.answers()
                limits = next((each["limits"] for each in answers if each.get("limits")), None)
                if limits is not None:
                    inside = f"/proc/{container['pid']}"
                    env = {**limits["env"], "TERM": os.environ.get("TERM", "xterm")}
                    into = (f"{inside}/ns/mnt",)
                    return Place(init.pid, env, into, f"{inside}/root", limits)
    raise errors.Unavailable(
        "none of its containers runs", where=f"pod {pod}", hint="kubectl get pods -A"
    )


def serial(peer: state.Peer, namespace: str, vm: str) -> dict[str, Any]:
    """Where the serial console of a virtual machine is: its node, and paths that can be used."""
    places = (each / "weft/vm" / layout.machine(namespace, vm) for each in _runs(peer))
    found = [each for each in places if (each / "serial.sock").exists()]
    if found:
        # Of one that is being moved, the guest is in the older until that is gone.
        place = min(found, key=lambda each: (each / "serial.sock").stat().st_mtime)
        path = place / "serial.sock"
        about = {"namespace": namespace, "vm": vm, "node": path.parts[-6]}
        return {**about, "socket": str(path), "log": str(place / layout.CONSOLE_LOG)}
    raise errors.Unavailable(
        "no such virtual machine runs in the lab",
        where=f"virtual machine {namespace}/{vm}",
        hint="--namespace says where to look; those that run: kubectl get vmi -A",
    )
