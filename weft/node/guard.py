"""Keeps the flows in the switch that stop guests from acting as router or DHCP server.

ovn-controller removes them whenever it reconnects, vswitchd loses them when it ends. A flow monitor
reports each flow that goes or changes, and weft writes it again at once. `ovn.guard` makes the
flows.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from ipaddress import IPv6Address
from pathlib import Path

from weft import errors, model, names, rows
from weft.host import sockets
from weft.metrics import Figures, Metric
from weft.model import ObjectKey
from weft.nic import port
from weft.openflow.session import Session
from weft.ovn import flows, guard, ports
from weft.ovn.guard import PortRole
from weft.ovsdb.replica import Replica

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
_MAC = re.compile("[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_STANDING, _ROUTERS = ("", "standing"), ("", "routers")

Source = tuple[str, str]  # why flows exist: a table and the UUID of a row in it


class Guard:
    """The guard flows of one bridge; one task of the agent.

    `spec_of` returns a network by name, `machine_of` the virtual machine of a pod by key ("" for
    none). `connected` is called after each connection: the switch may have lost all its state.
    """

    def __init__(
        self,
        ovs: Replica,
        nb: Replica,
        chassis: str,
        *,
        spec_of: Callable[[str], model.NetworkSpec | None],
        machine_of: Callable[[ObjectKey], str],
        connected: Callable[[], None],
        bridge: str = port.BRIDGE,
    ) -> None:
        self._ovs, self._nb, self._chassis, self._bridge = ovs, nb, chassis, bridge
        self._spec_of, self._machine_of, self._connected = spec_of, machine_of, connected
        self._flows_of: dict[Source, frozenset[flows.Flow]] = {}
        self._desired: Counter[flows.Flow] = Counter()
        self._due: set[flows.Flow] = set()
        self._strays: set[tuple[int, int]] = set()  # table and cookie of undesired flows
        self._is_complete = False
        self._cookies: Counter[int] = Counter()
        self._news = asyncio.Event()
        self._bound: dict[str, str] = {}  # UUID of an interface -> its logical port
        self._devices: dict[str, set[str]] = {}  # and back
        self._written = 0
        self.trouble = "the guard against rogue routers and DHCP servers is not written yet"
        self._set_flows(_STANDING, guard.common_flows())
        ovs.subscribe("Interface", self._interface_changed)
        nb.subscribe(ports.PORT, self._port_changed)
        for uuid, columns in ovs.rows("Interface").items():
            self._interface_changed(uuid, None, columns)
        for uuid, columns in nb.rows(ports.PORT).items():
            self._port_changed(uuid, None, columns)

    def keep_for_routers(self, addresses: Iterable[IPv6Address]) -> None:
        """Sets the link-local addresses of this node's routers, which guests may not have.

        Flows of an earlier agent stay until the first call: only then all desired flows are known.
        """
        self._is_complete = True
        self._news.set()
        self._set_flows(
            _ROUTERS, (each for one in {*addresses} for each in guard.router_flows(one))
        )

    def network_changed(self, name: str) -> None:
        """Call when a network's routers or DHCP servers changed."""
        for uuid, columns in self._ovs.rows("Interface").items():
            found = self._nb.get(ports.PORT, _logical_port(columns))
            if found and port.external_ids(found[1]).get(names.NETWORK) == name:
                self._interface_changed(uuid, None, columns)

    def figures(self) -> Figures:
        return {Metric.GUARD_FLOWS: len(self._desired), Metric.GUARD_WRITTEN: self._written}

    async def run(self) -> None:
        """Keeps the flows in the switch until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                session = await Session.connect(self._path(), self._seen)
                try:
                    self._connected()
                    pause = FIRST_PAUSE
                    await self._keep(session)
                finally:
                    session.close()
            except errors.Unavailable as error:
                if pause == FIRST_PAUSE:
                    log.warning("guard flows are not kept for now: %s", error)
                self.trouble = f"the guard against rogue routers and DHCP servers: {error}"
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _path(self) -> Path:
        return sockets.management(self._ovs.address, self._bridge)

    async def _keep(self, session: Session) -> None:
        """Writes all flows, then changes, until the connection ends; raises Unavailable then."""
        self._strays.clear()
        watched = [(guard.ENTRY, guard.UNCHECKED), *((table, {}) for table in guard.TABLES)]
        session.send(
            functools.partial(flows.monitor, number, table, limit)
            for number, (table, limit) in enumerate(watched, 1)
        )
        await session.barrier()  # the monitors have reported all present flows by now
        self._due = set(self._desired)
        ended = asyncio.ensure_future(_wait(session.lost))
        try:
            while not session.lost.done():
                self._news.clear()
                await self._write(session)
                self.trouble = ""
                came = asyncio.ensure_future(self._news.wait())
                await asyncio.wait([came, ended], return_when=asyncio.FIRST_COMPLETED)
                came.cancel()
        finally:
            ended.cancel()
        raise errors.Unavailable(session.why, where=str(session.path))

    async def _write(self, session: Session) -> None:
        while self._due or (self._strays and self._is_complete):
            due, self._due = self._due, set()
            strays: set[tuple[int, int]] = set()
            if self._is_complete:
                strays, self._strays = self._strays, strays
            made = [each for each in due if each in self._desired]
            gone = {(each.table, each.cookie) for each in due if each not in self._desired}
            session.send(functools.partial(flows.add, each) for each in made)
            # By cookie, and after the additions: a flow that was replaced has another cookie now.
            session.send(functools.partial(flows.remove, *each) for each in gone | strays)
            self._written += len(made)
            await session.barrier()

    def _seen(self, update: flows.FlowUpdate) -> None:
        """Takes in a flow that was there before, or that somebody else changed."""
        if not update.is_ours and update.table == guard.ENTRY:
            return  # OVN's, or an administrator's
        if update.event is not flows.FlowEvent.INITIAL and self._cookies[update.cookie]:
            if not self.trouble:
                log.warning("guard flows were removed or changed by another; writing them again")
            self.trouble = "the guard against rogue routers and DHCP servers is written again"
            self._due = set(self._desired)
        if update.event is not flows.FlowEvent.REMOVED and not self._cookies[update.cookie]:
            self._strays.add((update.table, update.cookie))
        self._news.set()

    # Desired flows by source

    def _set_flows(self, source: Source, desired: Iterable[flows.Flow]) -> None:
        before, now = self._flows_of.get(source, frozenset()), frozenset(desired)
        if before == now:
            return
        if now:
            self._flows_of[source] = now
        else:
            del self._flows_of[source]
        for each in now - before:
            self._count(each, 1)
        for each in before - now:
            self._count(each, -1)
        self._news.set()

    def _count(self, each: flows.Flow, step: int) -> None:
        self._desired[each] += step
        if not self._desired[each]:
            del self._desired[each]
            del self._cookies[each.cookie]
        else:
            self._cookies[each.cookie] = 1
        self._due.add(each)

    def _interface_changed(
        self, uuid: str, _: rows.Columns | None, new: rows.Columns | None
    ) -> None:
        before, now = self._bound.pop(uuid, ""), _logical_port(new) if new is not None else ""
        if before and before != now:
            known = self._devices[before]
            known.discard(uuid)
            if not known:
                del self._devices[before]
        if now:
            self._bound[uuid] = now
            self._devices.setdefault(now, set()).add(uuid)
        self._set_flows(("Interface", uuid), self._of_interface(new) if new is not None else ())

    def _of_interface(self, columns: rows.Columns) -> tuple[flows.Flow, ...]:
        number, name = port.number(columns), _logical_port(columns)
        if number <= 0 or not self._is_on_bridge(str(columns["name"])):
            return ()
        if columns["type"] == "patch":
            return guard.patch_port_flows(number)
        found = self._nb.get(ports.PORT, name) if name else None
        if found is None:
            return ()
        ids = port.external_ids(found[1])
        network = str(ids.get(names.NETWORK, ""))
        if name == names.advertiser_port(network):
            return guard.role_flows(number, PortRole)
        kind, namespace, pod = names.owner_parts(str(ids.get(names.OWNER, "")))
        roles = self._roles(network, ObjectKey(namespace, pod)) if kind == "Pod" else []
        own = guard.probe_flows(number, _assigned(found[1]))
        return (*own, *guard.role_flows(number, roles))

    def _roles(self, network: str, pod: ObjectKey) -> list[PortRole]:
        """Returns the roles that a network gives a pod, or the virtual machine that it runs."""
        spec = self._spec_of(network)
        if spec is None or not (spec.routers or spec.dhcp.servers):
            return []
        machine = self._machine_of(pod)
        guest = {pod, ObjectKey(pod.namespace, machine)} if machine else {pod}
        known = ((PortRole.ROUTER, spec.routers), (PortRole.DHCP_SERVER, spec.dhcp.servers))
        return [role for role, named in known if guest & {*named}]

    def _is_on_bridge(self, name: str) -> bool:
        """Whether the port is on our bridge: each bridge numbers its ports independently."""
        bridge, held = self._ovs.get("Bridge", self._bridge), self._ovs.uuid("Port", name)
        ports_of = bridge[1]["ports"] if bridge else frozenset()
        return isinstance(ports_of, Set) and held in ports_of

    def _port_changed(self, uuid: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        self._set_flows((ports.PORT, uuid), self._of_port(new) if new is not None else ())
        known = new or old
        for interface in tuple(self._devices.get(str(known["name"]), ())) if known else ():
            self._interface_changed(interface, None, self._ovs.rows("Interface").get(interface))

    def _of_port(self, columns: rows.Columns) -> tuple[flows.Flow, ...]:
        """Returns flows for the MACs in the port security of a port of this node."""
        options = columns["options"]
        is_here = isinstance(options, Mapping) and options.get("requested-chassis") == self._chassis
        macs = {entry[0] for entry in _security(columns)} if is_here else ()
        return tuple(each for mac in macs for each in guard.mac_flows(mac))


async def _wait(lost: asyncio.Future[None]) -> None:
    """A future of its own, so that cancelling it does not cancel the session's."""
    await asyncio.wait([lost])


def _security(columns: rows.Columns) -> list[list[str]]:
    """Parses a port's port security: lists of a MAC and its addresses (none: any address)."""
    held = columns["port_security"]
    entries = [str(each).split() for each in held] if isinstance(held, Set) else []
    return [words for words in entries if words and _MAC.fullmatch(words[0])]


def _assigned(columns: rows.Columns) -> Iterator[IPv6Address]:
    for _, *addresses in _security(columns):
        for each in addresses:
            with contextlib.suppress(ValueError):  # IPv4, a subnet, or what others wrote
                yield IPv6Address(each)


def _logical_port(columns: rows.Columns) -> str:
    return str(port.external_ids(columns).get(names.IFACE_ID, ""))
