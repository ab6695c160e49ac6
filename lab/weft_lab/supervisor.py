"""Runs as process 1 of a lab: makes its namespaces, runs its services, answers requests.

Started by up.py with the listening socket of the API's host port. When it dies, by whatever
means, the kernel takes every process of the lab and with them all namespaces, links and mounts.
A new supervisor needs nothing of its state.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from weft import errors
from weft.host import dbfiles, files
from weft_lab import (
    control,
    identities,
    layout,
    nodelinks,
    plan,
    services,
    spec,
    state,
    switches,
    tunnelpeers,
)
from weft_lab.apiserver import tokens
from weft_lab.runtime import (
    daemons,
    forks,
    inotify,
    namespaces,
    ovssettings,
)
from weft_lab.runtime.processes import Processes
from weft_lab.service import API_DESCRIPTORS, READY_DESCRIPTOR, Service
from weft_lab.services import Running, Services

PATIENCE = 3.0  # seconds that Python processes get to end well
TWICE = 3  # counting this one, starts of a database server that was not ready in the two before


@dataclass(frozen=True, slots=True)
class Orders:
    """What up.py wants; sent as JSON on standard input."""

    lab: spec.Lab
    folder: state.Folder
    databases: Path  # empty ones
    components: tuple[str, ...]
    env: dict[str, str]  # of every service
    api: int  # descriptor of the listening socket on the host's loopback


def read_orders(text: str) -> Orders:
    raw = json.loads(text)
    return Orders(
        lab=spec.parse(raw["lab"]),
        folder=state.Folder(Path(raw["folder"])),
        databases=Path(raw["databases"]),
        components=tuple(raw["components"]),
        env=raw["env"],
        api=raw["api"],
    )


class Supervisor:
    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._lab = orders.lab
        self._processes = Processes()
        self._forks = forks.Forks(self._start_forkserver)
        self._folders = inotify.Folders()
        self._services = Services(
            self._processes, self._start, self._changed, self._folders, self._hold
        )
        self._wiring = nodelinks.Wiring(self._lab, self._wired)
        self._wired_nodes: set[str] = set()
        self._listeners: set[asyncio.Queue[dict[str, object]]] = set()
        self._stop = asyncio.Event()
        self._api = (orders.api, self._listen_in_lab())
        self._group: asyncio.TaskGroup

    async def run(self, link: socket.socket) -> None:
        """Until asked to stop; then the caller ends, and everything with it."""
        loop = asyncio.get_running_loop()
        self._processes.install()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        async with asyncio.TaskGroup() as self._group:
            serving = self._group.create_task(control.serve(link, self._handle))
            self._group.create_task(self._stop_when_forgotten())
            self._grow(self._lab)
            await self._stop.wait()
            await self._services.stop(lambda service: bool(service.entry), PATIENCE)
            serving.cancel()
            os._exit(0)  # the kernel does the rest, and nothing needs an orderly end

    async def _stop_when_forgotten(self) -> None:
        """End when the lab's folder is removed: no command could find the lab to stop it."""
        await self._folders.wait_removed(self._orders.folder.control)
        self._stop.set()

    def _grow(self, lab: spec.Lab) -> None:
        """Start whatever `lab` has and is not there yet."""
        desired = self._plan(lab)
        new = plan.missing(desired, self._services.running)
        self._lab = lab
        if any(service.entry for service in new):
            self._forks.open()  # it imports while the databases start
        known = {one.service.node for one in self._services.running.values()}
        self._wiring.carry_vlans(lab.vlans)
        for host in desired.hosts:
            self._wiring.add_host(host)
        for node in desired.links:
            if node.node not in known:
                self._wiring.add(node)
        for service in new:
            self._prepare(service)
        self._spread_kubeconfig()
        self._services.add(new, self._group)

    def _plan(self, lab: spec.Lab) -> plan.Plan:
        return plan.make(
            lab,
            state=str(self._orders.folder.path),
            manifests=[
                str(Path(__file__).with_name(name))
                for name in ("crds", "access", *(("webhook",) if lab.webhook else ()))
            ],
            components=self._orders.components,
        )

    async def _halt(self, node: str) -> None:
        """Take a node away as if it had lost its power: processes, pods, databases, links."""
        await self._services.remove(node)
        for door in Path(layout.seen(node, layout.KUBECONFIG)).parent.glob("*/*/init.sock"):
            pid = state.owner(door)
            if pid:
                await services.kill(pid)
        self._wired_nodes.discard(node)
        for links in self._plan(self._lab).links:
            if links.node == node:
                self._wiring.remove(links)

    async def _shrink(self, lab: spec.Lab) -> None:
        """Halt every node that `lab` does not have, and all of the VLANs if they change."""
        kept = {node.name for node in lab.members}
        for node in self._lab.members:
            if node.name not in kept:
                await self._halt(node.name)
        if lab.vlans != self._lab.vlans:
            for host in plan.vlans(self._lab):
                await self._services.remove(host.name)
                self._wiring.remove_host(host)

    def _prepare(self, service: Service) -> None:
        """An empty database in the /run of the service that serves it."""
        shown, schema = service.database
        if shown:
            place = layout.seen(service.node, shown)
            shutil.copyfile(self._orders.databases / f"{schema}.db", place)

    def _spread_kubeconfig(self) -> None:
        """The lab itself gets the user's; each part of it, and of a node, one of its own."""
        folder = self._orders.folder
        with contextlib.suppress(FileNotFoundError):
            admin = json.loads(folder.kubeconfig.read_text())
            key = (folder.path / tokens.KEY_FILE).read_bytes()
            server = f"https://{self._lab.api}:{spec.API_PORT}"
            own = admin["users"][0]["user"]["token"]
            self._write_kubeconfig("", layout.KUBECONFIG, admin, server, own)
            for component, user in identities.of_cluster().items():
                token = identities.token(key, user)
                self._write_kubeconfig("", layout.kubeconfig(component), admin, server, token)
            for node in self._lab.members:
                for component, user in identities.of_node(node.name).items():
                    place = (
                        layout.KUBECONFIG if component == "agent" else layout.kubeconfig(component)
                    )
                    token = identities.token(key, user)
                    self._write_kubeconfig(node.name, place, admin, server, token)

    def _write_kubeconfig(
        self, node: str, place: PurePosixPath, admin: dict[str, Any], server: str, token: str
    ) -> None:
        path = Path(layout.seen(node, place))
        if path.parent.exists():
            found = identities.kubeconfig(admin, server, token)
            files.replace(path, json.dumps(found).encode())

    async def _start(self, service: Service, ready_descriptor: int | None) -> int:
        kinds = layout.NAMESPACES if service.node else ()
        enter = tuple(str(layout.namespace(service.node, kind)) for kind in kinds)
        env = {**self._orders.env, **service.env}
        log = self._log(service.name)
        try:
            if service.database[0]:
                await self._mend_database(self._services.running[service.name], log)
            if service.entry:
                sockets = self._api if service.listening else ()
                keep = dict(zip(API_DESCRIPTORS, sockets, strict=False))
                if ready_descriptor is not None:
                    keep[READY_DESCRIPTOR] = ready_descriptor
                return await self._forks.fork(service, forks.Order(env, enter, log, keep))
            program = shutil.which(service.argv[0], path=env["PATH"]) or service.argv[0]
            argv = (program, *service.argv[1:])
            return self._processes.start(argv, env=env, log=log, enter=enter)
        finally:
            os.close(log)

    async def _mend_database(self, one: Running, log: int) -> None:
        """Replace a database file that its server cannot open and would end at each start."""
        shown, schema = one.service.database
        corruption = "its server ended again before it was ready" if one.unready == TWICE else ""
        path = Path(layout.seen(one.service.node, shown))
        template = self._orders.databases / f"{schema}.db"
        try:
            what = await asyncio.to_thread(
                dbfiles.mend, path, template, shown=shown, corruption=corruption
            )
        except errors.WeftError as error:
            if str(error) != one.note:  # not for each time that it is tried
                _write_line(log, error.in_full())
            raise
        if what:
            one.note = f"database {shown}: {what} ({time.strftime('%H:%M:%S')})"
            _write_line(log, one.note)

    async def _hold(self, one: Running) -> None:
        """The settings of a node's switch, for as long as the node is there."""
        name = one.service.node
        database = layout.seen(name, layout.OVS_RUN / "db.sock")
        progress = switches.Progress(one, self._services, self._orders.folder.log(one.service.name))
        desired = ovssettings.desired(self._lab, name)
        await switches.SwitchReconciler(f"unix:{database}", desired, progress).run()

    def _log(self, service: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._orders.folder.log(service), flags, 0o600)

    def _start_forkserver(self, far_end: int) -> asyncio.Future[int]:
        log = self._log("forkserver")
        argv = (sys.executable, "-m", "weft_lab.runtime.forkserver", str(far_end))
        pid = self._processes.start(argv, env=self._orders.env, log=log, keep=[far_end])
        os.close(log)
        return self._processes.watch(pid)

    def _listen_in_lab(self) -> int:
        """The API's socket on the management network; it outlives the API process."""
        listening = socket.create_server((str(self._lab.api), spec.API_PORT), backlog=512)
        return listening.detach()

    def _wired(self, node: str) -> None:
        others = self._wired_nodes - {node}
        self._wired_nodes.add(node)
        self._publish({"node": node, "state": "wired"})
        members = {one.name: one for one in self._lab.members}
        for other in others:
            for here, there in ((node, other), (other, node)):
                introduction = tunnelpeers.introduce(self._services, members[here], members[there])
                self._group.create_task(introduction)

    def _changed(self, one: Running) -> None:
        if one.service.name.endswith(daemons.SWITCH) and not one.is_up:
            self._wired_nodes.discard(one.service.node)
        if one.service.listening and one.is_up:
            self._spread_kubeconfig()
        self._publish({"service": one.service.name, "state": one.state})

    def _publish(self, event: dict[str, object]) -> None:
        for listener in self._listeners:
            listener.put_nowait(event)

    async def _handle(self, request: dict[str, object]) -> control.Answers:
        match request.get("order"):
            case "status":
                yield self._status()
            case "up":
                desired = spec.parse(request["lab"])  # type: ignore[arg-type]
                await self._shrink(desired)
                self._grow(desired)
                async for event in self._until_up():
                    yield event
            case "reboot":
                await self._halt(str(request["node"]))
                self._grow(self._lab)
                async for event in self._until_up():
                    yield event
            case "env":
                yield {"env": self._orders.env}
            case "stop":
                self._stop.set()
            case other:
                raise errors.InvalidInput("control socket", "order", other, "is not known")

    def _status(self) -> dict[str, object]:
        return {
            "lab": spec.render(self._lab),
            "services": [one.describe() for one in self._services.running.values()],
            "wired": sorted(self._wired_nodes),
        }

    async def _until_up(self) -> control.Answers:
        """Every change, until all is ready; raises when something cannot become ready."""
        mine: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self._listeners.add(mine)
        try:
            total = len(self._services.running)
            while True:
                running = self._services.running.values()
                ready = sum(one.is_up for one in running)
                yield {"ready": ready, "total": total}
                if ready == total and self._wired_nodes >= {n.name for n in self._lab.members}:
                    return
                for one in running:
                    if one.hopeless.is_set():
                        raise self._hopeless(one)
                yield await mine.get()
        finally:
            self._listeners.discard(mine)

    def _hopeless(self, one: Running) -> errors.Unavailable:
        folder = self._orders.folder
        words = folder.last_words(one.service.name)
        return errors.Unavailable(
            f"it ends again and again (status {one.last_exit}): {words}",
            where=one.service.name,
            hint=f"the whole story is in {folder.log(one.service.name)}",
        )


def _write_line(log: int, text: str) -> None:
    with contextlib.suppress(OSError):  # the disk that is full may be this one
        os.write(log, f"{text}\n".encode())


def main() -> None:
    """Leave the host, become process 1, run; report on standard output until it listens."""
    orders = read_orders(sys.stdin.read())
    try:
        link = control.bind(orders.folder.control)
        namespaces.leave_host()
        if os.fork():
            os._exit(0)
        _settle(orders.lab)
        asyncio.run(_run(orders, link))
    except errors.WeftError as error:
        _report({"error": error.what, "where": error.where, "hint": error.hint})
        os._exit(1)
    except OSError as error:
        _report({"error": f"the lab cannot start: {error}", "where": "", "hint": ""})
        raise


def _settle(lab: spec.Lab) -> None:
    """In the new namespaces: mounts, limits, a name."""
    namespaces.rename_process(f"weft-{lab.name}")
    try:
        namespaces.mount_private()
    except PermissionError as error:
        raise namespaces.refused(error) from error
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Path(layout.KUBECONFIG).parent.mkdir(mode=0o700)


async def _run(orders: Orders, link: socket.socket) -> None:
    supervisor = Supervisor(orders)
    link.listen()
    link.setblocking(False)
    _report({"listening": True})
    await supervisor.run(link)


def _report(message: dict[str, object]) -> None:
    """Tell up.py, then let go of its pipe; from here on both outputs are the log."""
    os.write(1, json.dumps(message).encode())
    os.dup2(2, 1)


if __name__ == "__main__":
    main()
