"""Measures 1,000 policies with 1,000 pods: rows, the cost of one more pod, and of a changed label.

Rows and the cost of one more pod are measured on one zone of real NB, SB and northd, beside the
same rows written by hand as bare JSON-RPC. How soon a change of a label is in force is measured
with packets in a lab (`bench/labels.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, ip_network
from statistics import median
from typing import Any

import uvloop

from bench import labels
from bench.figures import Figure
from bench.ports import COUNTS, databases
from weft import model, names
from weft.api.pod import Pod
from weft.control.zone import state, writer
from weft.control.zone.objects import AllocatedPod, Namespace
from weft.ovn import policy, ports, sets, tables
from weft.ovsdb.replica import Replica
from weft.policy import netpolicy
from weft_lab.runtime import toolchain

POLICIES, SIZES = 1000, (10, 100, 1000)
SPACES, APPS, ROLES = 50, 4, 10
REPEATS = 40
LAST = 10000  # one more pod: where pod 0 is, with its labels
OWN, FAR = "node1", "node2"
KEY = "default/flat"
NETWORK = model.Network(
    model.NetworkSpec("flat", model.Topology.LAYER2, 1300, (ip_network("10.0.0.0/16"),)), 1
)
TABLES = (policy.GROUP, "ACL", sets.SET)


def pod(number: int, node: str) -> AllocatedPod:
    """Of one of 50 namespaces, with one of four apps there and one of ten roles."""
    address = IPv4Interface(f"10.0.{number >> 8}.{number & 255}/16")
    mac = names.address_mac(str(address.ip))
    ref = model.PodRef(model.ObjectKey(f"s{number % SPACES}", f"p{number}"), f"uid-{number}")
    labels = {"app": f"a{number // SPACES % APPS}", "role": f"r{number % ROLES}"}
    allocation = model.Allocation(mac, (address,), number)
    return AllocatedPod(Pod(ref, "", node=node, labels=labels), {KEY: allocation})


def declared(number: int) -> netpolicy.Policy:
    """Lets one role of all namespaces reach one app of its own."""
    chosen = netpolicy.Requirement("app", netpolicy.Operator.IN, (f"a{number // SPACES % APPS}",))
    role = netpolicy.Requirement("role", netpolicy.Operator.IN, (f"r{number % ROLES}",))
    peers = (netpolicy.PodSelector(pods=netpolicy.Selector((role,))),)
    services = (
        netpolicy.PolicyPort(netpolicy.Protocol.TCP, 80),
        netpolicy.PolicyPort(netpolicy.Protocol.UDP, 53),
    )
    return netpolicy.Policy(
        f"s{number % SPACES}",
        f"n{number}",
        f"uid-n{number}",
        (model.ObjectKey.parse(KEY),),
        netpolicy.Selector((chosen,)),
        frozenset({netpolicy.Direction.INGRESS}),
        (netpolicy.Rule(0, peers, services),),
    )


@dataclass
class Zone:
    """One zone with all policies; half of the pods are its own.

    Its writer rests where a hand writes: it would at once undo what it did not write itself.
    """

    nb: Replica
    state: state.Zone
    writer: writer.OvnWriter
    pods: int = 0
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.writer.run())

    async def rest(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    async def fill(self) -> None:
        self.state.set_node(FAR, model.NodeInfo(FAR, FAR, ("192.0.2.2",)))
        self.state.set_nad(model.ObjectKey.parse(KEY), state.DeclaredNetwork(NETWORK))
        for number in range(SPACES):
            self.state.policies.set_namespace(f"s{number}", Namespace())
        for number in range(POLICIES):
            made = declared(number)
            self.state.policies.set_policy(made.key, made)
        await self.write()

    async def grow(self, size: int) -> None:
        while self.pods < size:
            self.put(self.pods, (OWN, FAR)[self.pods // SPACES // APPS % 2])
            self.pods += 1
        await self.write()

    def put(self, number: int, node: str, *, there: bool = True) -> None:
        made = pod(number, node)
        self.state.set_pod(made.pod.ref.key, made if there else None)

    async def write(self) -> None:
        self.writer.wake()
        await self.writer.settled()

    async def quiet(self) -> None:
        """Returns when northd has nothing left to do: it has answered a count of ours."""
        await self.nb.wait_for("NB_Global", "", bool, 20)
        mutation = ["nb_cfg", "+=", 1]
        await self.nb.transact(
            [{"op": "mutate", "table": "NB_Global", "where": [], "mutations": [mutation]}]
        )
        found = self.nb.get("NB_Global", "")
        assert found is not None
        number = found[1]["nb_cfg"]
        await self.nb.wait_for(
            "NB_Global", "", lambda row: bool(row and row["sb_cfg"] == number), 120
        )

    async def by_event(self, node: str) -> float:
        """Milliseconds for one more pod, from the cache's event until northd has processed it."""
        await self.quiet()
        start = time.perf_counter()
        self.put(LAST, node)
        await self.write()
        await self.quiet()
        took = time.perf_counter() - start
        await self.remove()
        return 1000 * took

    async def by_hand(self, node: str) -> float:
        """The same rows as one request."""
        await self.quiet()
        operations = list(self.operations(node))
        start = time.perf_counter()
        await self.nb.transact(operations)
        await self.quiet()
        took = time.perf_counter() - start
        gone = {"op": "mutate", "table": sets.SET, "where": where(role_set(LAST))}
        mac = pod(LAST, node).allocations[KEY].mac
        await self.nb.transact([{**gone, "mutations": [["addresses", "delete", mac]]}])
        await self.nb.apply((), [(ports.PORT, port_key())])
        await self.quiet()
        return 1000 * took

    async def more(self, node: str) -> int:
        """Operations for one more pod."""
        before = self.writer.figures.operations
        self.put(LAST, node)
        await self.write()
        done = self.writer.figures.operations - before
        await self.remove()
        return done

    async def remove(self) -> None:
        self.put(LAST, OWN, there=False)
        await self.write()

    def operations(self, node: str) -> Iterator[Any]:
        """A port on its switch, in its groups if it is here, and its MAC in the set of its role."""
        allocation = pod(LAST, node).allocations[KEY]
        options = {"requested-tnl-key": str(allocation.tunnel_id)}
        options["requested-chassis"] = OWN if node == OWN else f"{FAR},{FAR}"
        row = {
            "name": port_key(),
            "addresses": ports.addresses(NETWORK.spec, allocation),
            "port_security": ports.addresses(NETWORK.spec, allocation),
            "options": ["map", [[key, value] for key, value in options.items()]],
        }
        yield {"op": "insert", "table": ports.PORT, "row": row, "uuid-name": "port"}
        added = [["ports", "insert", ["named-uuid", "port"]]]
        held = [("Logical_Switch", names.layer2_switch("flat"))]
        if node == OWN:
            held += [(policy.GROUP, name) for name in groups(LAST)]
        for table, name in held:
            yield {"op": "mutate", "table": table, "where": where(name), "mutations": added}
        entered = [["addresses", "insert", allocation.mac]]
        named = where(role_set(LAST))
        yield {"op": "mutate", "table": sets.SET, "where": named, "mutations": entered}


def where(name: str) -> list[Any]:
    return [["name", "==", name]]


def port_key() -> str:
    made = pod(LAST, OWN)
    return names.logical_port(KEY, made.pod.ref.namespace, made.pod.ref.name)


def groups(number: int) -> Iterator[str]:
    """Why the port of this pod is isolated, and those of the policies that select it."""
    space, ingress = f"s{number % SPACES}", netpolicy.Direction.INGRESS
    yield policy.Group(policy.GroupKind.DENY, "flat", space, ingress).name
    for made in map(declared, range(POLICIES)):
        if made.namespace == space and made.pods.matches(pod(number, OWN).pod.labels):
            yield policy.Group(policy.GroupKind.POLICY, "flat", space, ingress, made.name).name


def role_set(number: int) -> str:
    (peer,) = declared(number % ROLES).ingress[0].peers or ()
    assert isinstance(peer, netpolicy.PodSelector)
    return sets.AddressSet("flat", peer).name


@asynccontextmanager
async def zone(tools: toolchain.Toolchain) -> AsyncIterator[Zone]:
    async with AsyncExitStack() as stack:
        nb_address, sb_address = stack.enter_context(databases(tools))
        nb = await stack.enter_async_context(
            await Replica.open(nb_address, tables.NORTHBOUND, (*tables.NB, COUNTS), patience=20)
        )
        sb = await stack.enter_async_context(
            await Replica.open(sb_address, tables.SOUTHBOUND, tables.SB, patience=20)
        )
        kept = state.Zone(OWN, OWN)
        made = Zone(nb, kept, writer.OvnWriter(kept, nb, sb))
        made.start()
        try:
            await made.fill()
            yield made
        finally:
            await made.rest()


@dataclass
class Found:
    """At one number of pods: rows by table, and operations and times of one more pod by node."""

    rows: dict[str, int]
    operations: dict[str, int]
    weft: dict[str, float]
    hand: dict[str, float]


async def measure(made: Zone, other: Zone, size: int) -> Found:
    """`other` is written by hand."""
    await made.grow(size)
    other.start()
    await other.grow(size)
    await other.rest()
    rows = {table: len(made.nb.rows(table)) for table in TABLES}
    operations = {node: await made.more(node) for node in (OWN, FAR)}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(REPEATS):
        for node in (OWN, FAR):
            times.setdefault(("weft", node), []).append(await made.by_event(node))
            times.setdefault(("hand", node), []).append(await other.by_hand(node))
    middle = {key: median(values) for key, values in times.items()}
    weft, hand = ({node: middle[who, node] for node in (OWN, FAR)} for who in ("weft", "hand"))
    return Found(rows, operations, weft, hand)


async def measured() -> dict[int, Found]:
    tools = toolchain.ensure()
    async with zone(tools) as made, zone(tools) as other:
        await other.rest()
        return {size: await measure(made, other, size) for size in SIZES}


def run() -> Iterable[Figure]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measured())
    for size, at in found.items():
        for table, count in at.rows.items():
            yield Figure(f"{table} rows, {POLICIES:,} policies and {size:,} pods", count, "rows")
    few = found[SIZES[0]]
    for node, whose in ((OWN, "of the node"), (FAR, "of another")):
        for size, at in found.items():
            name = f"one more pod {whose} beside {size:,}"
            yield Figure(name, at.operations[node], "rows", at_most=few.operations[node])
            yield Figure(
                f"{name}, until northd is done",
                at.weft[node],
                "ms",
                "rows by hand",
                at.hand[node],
                at_most=1.5 if size > SIZES[0] else None,  # else the least pause counts most
            )
    yield from labels.run()
