"""Brings a lab up, stops it and removes it: checks, starts the supervisor, asks it.

Each function may be called at any time and repeatedly; it changes only what differs. The supervisor
runs the lab's processes; this process ends with the command.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from weft import errors
from weft.app import settings
from weft_lab import consolerecord, layout, plan, spec, state
from weft_lab.runtime import cache, databases, pythonpath, toolchain
from weft_lab.vm import disks

ROOM = 64_000_000  # bytes for objects, certificates and logs
PATIENCE = 8.0  # seconds until a supervisor that was asked to stop is killed

Progress = Callable[[Mapping[str, object]], None]


def up(
    name: str,
    options: spec.Options,
    *,
    tools: toolchain.Toolchain,
    components: tuple[str, ...] = (),
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Bring the lab `name` up, or complete it; its status, with `started` if it was not there.

    `components` are the Python components to run; empty: all. Raises when it cannot be.
    """
    folder = state.Folder.of(name)
    began = time.time()
    with folder.lock():
        peer = folder.connect()
        stored = folder.load() or spec.Lab(name=name)
        if peer is None:
            lab = spec.change(stored, options, running=False)
            _check_host(folder, lab)
            folder.make()
            _check_room(folder)
            try:
                progress({"step": "making the databases"})
                empty = databases.ensure(tools)
                lab = _start(folder, lab, tools, components, empty)
            except OSError as error:
                raise state.unusable(error, folder.path) from error
            started = True
        else:
            peer.close()
            lab = spec.change(stored, options, running=True)
            started = False
        folder.store(lab)
        try:
            _follow(folder, {"order": "up", "lab": spec.render(lab)}, progress)
            progress({"step": "waiting for the nodes"})
            _wait_for_nodes(folder, lab.members, began if started else 0.0)
            if not started:
                _forget_nodes(folder, stored.members[lab.nodes :])
        except BaseException:
            if started:  # an incomplete lab is of no use; its logs stay
                _end(folder)
            raise
    return {**status(name), "started": started}


def status(name: str) -> dict[str, Any]:
    """What the lab is now: its spec, services and paths; `running` is False when it is not."""
    folder = state.Folder.of(name)
    lab = folder.load()
    answer: dict[str, Any] = {
        "name": name,
        "exists": lab is not None,
        "running": False,
        "lab": spec.render(lab) if lab else None,
        "folder": str(folder.path),
        "kubeconfig": str(folder.kubeconfig),
        "console": consolerecord.address(folder),
        "services": [],
    }
    peer = folder.connect()
    if peer is not None:
        with peer:
            answer.update(peer.ask({"order": "status"}))
            answer.update(running=True, pid=peer.pid)
    return answer


def stop(name: str) -> bool:
    """End the running lab and keep its folder, so that `up` finds its objects again."""
    folder = state.Folder.of(name)
    with folder.lock():
        return _end(folder)


def down(name: str) -> bool:
    """End the running lab and remove its folder; False if there was neither."""
    folder = state.Folder.of(name)
    with folder.lock():
        ended = _end(folder)
        existed = folder.path.exists()
        shutil.rmtree(folder.path, ignore_errors=True)
        if folder.path.exists():
            raise errors.Unavailable("the lab's folder cannot be removed", where=str(folder.path))
        return ended or existed


def reboot(name: str, node: str, *, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Power a node off without a shutdown, and start it again; returns the lab's status."""
    folder = state.Folder.of(name)
    with folder.lock():
        running(name).close()
        lab = folder.load() or spec.Lab(name=name)
        member = next((one for one in lab.members if one.name == node), None)
        if member is None:
            known = ", ".join(one.name for one in lab.members)
            raise errors.InvalidInput(f"lab {name!r}", "node", node, f"must be one of {known}")
        began = time.time()
        _follow(folder, {"order": "reboot", "node": node}, progress)
        progress({"step": f"waiting for {node}"})
        _wait_for_nodes(folder, [member], began)
    return status(name)


def running(name: str) -> state.Peer:
    """The supervisor of the lab `name`; raises when it is not up."""
    peer = state.Folder.of(name).connect()
    if peer is None:
        option = "" if name == spec.DEFAULT_NAME else f" --name {name}"
        raise errors.Unavailable(
            "this lab is not running", where=f"lab {name!r}", hint=f"weft lab up{option}"
        )
    return peer


def _check_host(folder: state.Folder, lab: spec.Lab) -> None:
    """What the lab needs of this machine and can be checked beforehand."""
    if lab.datapath == "netdev":
        _check_tun()
    lent = [Path(disks.parse(one).path) for one in lab.disks]
    for path in lent:
        if not path.is_dir():
            raise errors.Unavailable(
                "there is no such folder for disks of virtual machines",
                where=str(path),
                hint="make it, or name another one: --disks [FORMAT:]FOLDER",
            )
    own = (folder.path, cache.folder(), Path(sys.prefix), *pythonpath.PACKAGES)
    for path in (*own, *lent):
        if path.resolve().is_relative_to("/run"):
            raise errors.Unavailable(
                "this folder is below /run, which every lab has for itself",
                where=str(path),
                hint="choose another with XDG_STATE_HOME, WEFT_CACHE or another checkout",
            )


def _check_room(folder: state.Folder) -> None:
    free = shutil.disk_usage(folder.path).free
    if free < ROOM:
        raise errors.Unavailable(
            f"a lab needs {ROOM / 1e6:.0f} MB, and {free / 1e6:.1f} MB are free",
            where=str(folder.path),
            hint="free some space, or set XDG_STATE_HOME to a folder on another disk",
        )


def _check_tun() -> None:
    tun = "/dev/net/tun"
    try:
        os.close(os.open(tun, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        raise errors.Unavailable(
            "the device for virtual network links is not there",
            where=tun,
            hint="as root: modprobe tun; in a container: start it with --device /dev/net/tun",
        ) from None
    except OSError as error:
        raise errors.Unavailable(
            f"this user may not open it ({error.strerror})",
            where=tun,
            hint=f"as root: chmod 0666 {tun}, which is what udev sets on Debian",
        ) from None


def _start(
    folder: state.Folder,
    lab: spec.Lab,
    tools: toolchain.Toolchain,
    components: tuple[str, ...],
    empty: Path,
) -> spec.Lab:
    """Start the supervisor and return when it listens; the lab with its port chosen. `empty` is the
    folder of databases to begin with."""
    with _listen(lab) as listening:
        lab = replace(lab, port=listening.getsockname()[1])
        orders = {
            "lab": spec.render(lab),
            "folder": str(folder.path),
            "databases": str(empty),
            "components": list(components or installed()),
            "env": service_env(tools),
            "api": listening.fileno(),
        }
        for old in folder.logs.glob("*.log"):
            old.unlink()
        with open(folder.log("supervisor"), "ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "weft_lab.supervisor"],
                input=json.dumps(orders).encode(),
                stdout=subprocess.PIPE,
                stderr=log,
                env=service_env(tools),
                pass_fds=(listening.fileno(),),
                start_new_session=True,
                cwd="/",
                check=False,
            )
    answer = json.loads(done.stdout or b"{}")
    if not answer.get("listening"):
        raise errors.Unavailable(
            str(answer.get("error", "its first process ended at once")),
            where=str(answer.get("where") or f"lab {lab.name!r}"),
            hint=str(answer.get("hint") or f"see {folder.log('supervisor')}"),
        )
    return lab


def _listen(lab: spec.Lab) -> socket.socket:
    """The API's socket on the host's loopback; made here, where the host's network is."""
    try:
        return socket.create_server(("127.0.0.1", lab.port), backlog=512)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise errors.Unavailable(
            f"port {lab.port}, which this lab's kubeconfig names, is taken by another program",
            where="127.0.0.1",
            hint=f"end that program, or take another port: weft lab up --name {lab.name} --port 0",
        ) from None


def installed() -> tuple[str, ...]:
    """The Python components that are there to be run."""
    return tuple(
        component
        for component, module in plan.COMPONENTS.items()
        if importlib.util.find_spec(module)
    )


def service_env(tools: toolchain.Toolchain) -> dict[str, str]:
    """The environment of everything in the lab, and of what `exec` runs there."""
    kept = (
        "HOME",
        "LANG",
        "LC_ALL",
        "TERM",
        "USER",
        "XDG_STATE_HOME",
        "WEFT_SUITE",
        "WEFT_POD_ENDPOINTS",
    )
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **tools.env,
        "PATH": f"{tools.bin}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        "PYTHONPATH": pythonpath.value(),
        "PYTHONUNBUFFERED": "1",
        "OVS_RUNDIR": "/run/openvswitch",
        "OVN_RUNDIR": "/run/ovn",
        "OVS_DBDIR": "/run/openvswitch",
        "OVN_DBDIR": "/run/ovn",
        settings.ACL_LOG.env: str(layout.ACL_LOG),
        "WEFT_CACHE": str(cache.folder()),
    }


def _follow(folder: state.Folder, order: dict[str, object], progress: Progress) -> None:
    """Have the supervisor do it, and return when all that the lab has is ready."""
    peer = folder.connect()
    if peer is None:
        raise _died(folder)
    with peer:
        peer.send(order)
        for answer in peer.answers():
            if "end" in answer:
                return
            state.raise_reported(answer)
            progress(answer)
    raise _died(folder)


def _wait_for_nodes(folder: state.Folder, nodes: Iterable[spec.Node], since: float) -> None:
    """Until the API shows each of the nodes as ready, if there are kubelets to say so."""
    names = _with_kubelet(folder, nodes)
    if names:
        from weft_lab import cluster  # a client is costly to load, and most commands need none

        cluster.wait_ready(str(folder.kubeconfig), names, since=since)


def _with_kubelet(folder: state.Folder, nodes: Iterable[spec.Node]) -> list[str]:
    names = {service["name"] for service in status(folder.path.name)["services"]}
    return [node.name for node in nodes if f"{node.name}/kubelet" in names]


def _forget_nodes(folder: state.Folder, nodes: Iterable[spec.Node]) -> None:
    """Delete the Nodes of removed nodes and their pods, if the lab has an API."""
    gone = [node.name for node in nodes]
    if gone and any(each["name"] == "lab/api" for each in status(folder.path.name)["services"]):
        from weft_lab import cluster

        cluster.remove(str(folder.kubeconfig), gone)


def _died(folder: state.Folder) -> errors.WeftError:
    return errors.Unavailable(
        f"its supervisor ended while it came up: {folder.last_words('supervisor')}",
        where=f"lab {folder.path.name!r}",
        hint=f"see {folder.log('supervisor')}",
    )


def _end(folder: state.Folder) -> bool:
    """Ask the supervisor to end, and make sure: when it is gone, so is every process of the lab.
    Its console, which is outside of it, ends before."""
    consolerecord.end(folder)
    peer = folder.connect()
    if peer is None:
        return False
    with peer, contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(peer.pid)
        try:
            peer.send({"order": "stop"})
            if not select.select([process], [], [], PATIENCE)[0]:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [])
        finally:
            os.close(process)
    folder.control.unlink(missing_ok=True)
    return True
