"""Measures writing and reading a Northbound database: weft, bare JSON-RPC and ovsdbapp.

Bare JSON-RPC is the limit: a loop on a blocking socket that builds transactions, sends them and
counts the replies, with no replica, no comparison and no check. It writes the same rows in the
same batches with the same number of transactions under way. weft starts from desired rows and an
open replica, and ends when the replica knows what was done. Loop and collector are set for all as
they are in weft's own processes.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
import uvloop

from bench import figures
from tests.support.ovsdb import Server
from weft import rows
from weft.control import loop
from weft.ovsdb import contents, replica, schema, session, wire
from weft_lab.runtime import toolchain

NB = "OVN_Northbound"
PORTS = 10_000
BATCH = 100
UNDER_WAY = 8
SLOW_PORTS = 1_000  # for the peer that would take minutes
REPEATS = 5
COLUMNS = ("name", "addresses", "port_security", "options", "external_ids")
NET = rows.Ref("Logical_Switch", "net")
Result = TypeVar("Result")
CHASSIS = ("requested-chassis", "node1")
TABLES = (
    rows.Table("Logical_Switch", ("name", "ports")),
    rows.Table("Logical_Switch_Port", COLUMNS, report_inserts=False),
)


class Port(NamedTuple):
    name: str
    address: str
    tunnel_key: str


def ports(count: int) -> list[Port]:
    made = []
    for i in range(count):
        high, low = divmod(i, 256)
        address = f"0a:58:0a:00:{high:02x}:{low:02x} 10.0.{high}.{low}"
        made.append(Port(f"default.net_ns_pod-{i}", address, str(i + 10)))
    return made


def batched(every: list[Port], size: int) -> Iterator[list[Port]]:
    for start in range(0, len(every), size):
        yield every[start : start + size]


@contextmanager
def server() -> Iterator[Server]:
    """An ovsdb-server with an empty switch `net`."""
    tools = toolchain.ensure()
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        running = Server(tools, tools.schema("ovn-nb"), Path(folder))
        running.create()
        running.start()
        try:
            net = {"op": "insert", "table": "Logical_Switch", "row": {"name": "net"}}
            running.transact(NB, net)
            yield running
        finally:
            running.stop()


# weft


def row(port: Port) -> rows.Row:
    return rows.Row(
        "Logical_Switch_Port",
        port.name,
        {
            "name": port.name,
            "addresses": frozenset({port.address}),
            "port_security": frozenset({port.address}),
            "options": {"requested-tnl-key": port.tunnel_key, "requested-chassis": "node1"},
            "external_ids": {"weft/owner": f"Pod/ns/{port.name}"},
        },
        NET,
        "ports",
    )


async def write(address: str, work: list[list[Port]], under_way: int) -> float:
    """From desired rows to committed and known."""
    desired = [[row(port) for port in batch] for batch in work]
    async with await replica.Replica.open(address, NB, TABLES) as nb:
        todo = iter(desired)

        async def worker() -> None:
            for batch in todo:
                await nb.apply(batch)

        loop.settle()

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(under_way):
                group.create_task(worker())
        taken = time.perf_counter() - start
        assert len(nb.rows("Logical_Switch_Port")) == sum(map(len, work))
        return taken


async def synchronise(address: str) -> float:
    start = time.perf_counter()
    async with await replica.Replica.open(address, NB, TABLES) as nb:
        taken = time.perf_counter() - start
        assert len(nb.rows("Logical_Switch_Port")) == PORTS
        return taken


# Bare JSON-RPC


def transaction(batch: list[Port]) -> list[Any]:
    ops: list[Any] = [
        {
            "op": "insert",
            "table": "Logical_Switch_Port",
            "uuid-name": f"p{i}",
            "row": {
                "name": port.name,
                "addresses": port.address,
                "port_security": port.address,
                "options": ["map", [("requested-tnl-key", port.tunnel_key), CHASSIS]],
                "external_ids": ["map", [["weft/owner", f"Pod/ns/{port.name}"]]],
            },
        }
        for i, port in enumerate(batch)
    ]
    new = ["set", [["named-uuid", f"p{i}"] for i in range(len(batch))]]
    ops.append(
        {
            "op": "mutate",
            "table": "Logical_Switch",
            "where": [["name", "==", "net"]],
            "mutations": [["ports", "insert", new]],
        }
    )
    return [NB, *ops]


def write_bare(address: str, work: list[list[Port]], under_way: int) -> float:
    """Write with bare JSON-RPC; `read_bare` counts the replies by their `"id"`."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(address.removeprefix("unix:"))
        start = time.perf_counter()
        replies, rest = 0, b""
        for number, batch in enumerate(work):
            request = {"method": "transact", "params": transaction(batch), "id": number}
            link.sendall(orjson.dumps(request))
            while replies <= number + 1 - under_way:
                replies, rest = read_bare(link, replies, rest)
        while replies < len(work):
            replies, rest = read_bare(link, replies, rest)
        return time.perf_counter() - start


def read_bare(link: socket.socket, replies: int, rest: bytes) -> tuple[int, bytes]:
    """Count the replies, each of which has one `"id"`, and keep what may be the start of one."""
    data = rest + link.recv(1 << 18)
    assert len(data) > len(rest), "the server hung up"
    assert b'"details"' not in data, data
    return replies + data.count(b'"id"'), data[-3:]


# ovsdbapp


def connect_peer(address: str) -> Any:
    from ovsdbapp.backend.ovs_idl import connection, idlutils
    from ovsdbapp.schema.ovn_northbound import impl_idl

    class Northbound(impl_idl.OvnNbApiIdlImpl):  # type: ignore[misc]
        """The library keeps one connection for each class."""

    helper = idlutils.get_schema_helper(address, NB)
    for table in TABLES:  # the same tables and columns that weft follows
        helper.register_columns(table.name, list(table.columns))
    link = connection.Connection(connection.OvsdbIdl(address, helper), timeout=120)
    return Northbound(link)


def write_peer(address: str, work: list[list[Port]]) -> float:
    api = connect_peer(address)
    start = time.perf_counter()
    for batch in work:
        with api.transaction(check_error=True) as transaction:
            for port in batch:
                transaction.add(
                    api.lsp_add(
                        "net",
                        port.name,
                        addresses=[port.address],
                        port_security=[port.address],
                        options=dict([("requested-tnl-key", port.tunnel_key), CHASSIS]),
                        external_ids={"weft/owner": f"Pod/ns/{port.name}"},
                    )
                )
    taken = time.perf_counter() - start
    api.ovsdb_connection.stop()
    return taken


def synchronise_peer(address: str) -> float:
    start = time.perf_counter()
    api = connect_peer(address)
    taken = time.perf_counter() - start
    assert len(api.tables["Logical_Switch_Port"].rows) == PORTS
    api.ovsdb_connection.stop()
    return taken


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def timed(measure: Callable[[str], float]) -> Callable[[], float]:
    """Measure against a server of its own."""

    def call() -> float:
        with server() as running:
            return measure(running.address)

    return call


def rates(count: int, batch: int, under_way: int) -> dict[str, Callable[[], float]]:
    """Ports a second of weft and of the bare loop."""
    work = list(batched(ports(count), batch))
    return {
        "weft": timed(lambda address: count / run_loop(write(address, work, under_way))),
        "bare": timed(lambda address: count / write_bare(address, work, under_way)),
    }


def run() -> Iterable[figures.Figure]:
    yield from writing()
    yield from reading()
    yield from arriving()


def writing() -> Iterator[figures.Figure]:
    many = figures.interleave(REPEATS, **rates(PORTS, BATCH, UNDER_WAY))
    name = f"write {PORTS:,} ports, {BATCH} a transaction, {UNDER_WAY} under way"
    yield figures.Figure(name, many["weft"], "ports/s", "bare JSON-RPC", many["bare"], at_least=0.8)
    few = list(batched(ports(SLOW_PORTS), BATCH))
    alone = figures.interleave(
        REPEATS,
        **rates(SLOW_PORTS, BATCH, 1),
        peer=timed(lambda address: SLOW_PORTS / write_peer(address, few)),
    )
    # The library has one transaction under way at most.
    yield figures.Figure(name, many["weft"], "ports/s", "ovsdbapp", alone["peer"], at_least=10)
    name = f"write {SLOW_PORTS:,} ports, {BATCH} a transaction, one after another"
    yield figures.Figure(name, alone["weft"], "ports/s", "bare JSON-RPC", alone["bare"])
    yield figures.Figure(name, alone["weft"], "ports/s", "ovsdbapp", alone["peer"])
    single = figures.interleave(REPEATS, **rates(SLOW_PORTS, 1, 1))
    name = f"write {SLOW_PORTS:,} ports, one a transaction, one after another"
    yield figures.Figure(name, single["weft"], "ports/s", "bare JSON-RPC", single["bare"])


def reading() -> Iterator[figures.Figure]:
    with server() as running:
        run_loop(write(running.address, list(batched(ports(PORTS), BATCH)), UNDER_WAY))
        taken = figures.interleave(
            3,
            weft=lambda: 1 / run_loop(synchronise(running.address)),
            peer=lambda: 1 / synchronise_peer(running.address),
        )
    name = f"first sync of {PORTS:,} ports"
    yield figures.Figure(name, taken["weft"], "per s", "ovsdbapp", taken["peer"], at_least=5)


def arriving() -> Iterator[figures.Figure]:
    """The plan of one more port: what stands in the switch already must not matter."""
    with server() as running:
        scheme = run_loop(read_schema(running.address))
    there = {count: filled(scheme, count) for count in (100, PORTS)}
    new = row(Port("new", "0a:58:0a:ff:ff:ff 10.0.255.255", "9"))

    def plan(count: int) -> Callable[[], float]:
        def measure() -> float:
            start = time.perf_counter()
            for _ in range(2_000):
                plan = rows.plan([new], there[count])
                orjson.dumps([wire.operation(op, there[count].encoders) for op in plan])
            return (time.perf_counter() - start) / 2_000 * 1e6

        return measure

    taken = figures.interleave(REPEATS, few=plan(100), many=plan(PORTS))
    name = f"plan one more port among {PORTS:,}"
    yield figures.Figure(name, taken["many"], "µs", "among 100", taken["few"], at_most=1.2)


async def read_schema(address: str) -> schema.Schema:
    link = await session.Session.connect(address)
    raw = await link.call("get_schema", [NB])
    await link.close()
    return schema.Schema.parse(raw)


def filled(scheme: schema.Schema, count: int) -> contents.Contents:
    copy = contents.Contents(TABLES, scheme)
    refs = [["uuid", f"port-{i}"] for i in range(count)]
    copy.patch({"Logical_Switch": {"net": {"initial": {"name": "net", "ports": ["set", refs]}}}})
    changes = {f"port-{i}": {"initial": {"name": port.name}} for i, port in enumerate(ports(count))}
    copy.patch({"Logical_Switch_Port": changes})
    return copy
