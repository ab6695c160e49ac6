"""Session and replica against a real ovsdb-server with OVN's Northbound schema."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import orjson
import pytest

from tests.support.ovsdb import Server
from tests.support.patience import PATIENCE
from weft import errors, rows
from weft.ovsdb import schema
from weft.ovsdb.replica import Replica
from weft.ovsdb.session import Session

pytestmark = pytest.mark.real

NB = "OVN_Northbound"
TABLES = (
    rows.Table("NB_Global", ("options", "nb_cfg"), rows.SINGLE_ROW),
    rows.Table("Logical_Switch", ("name", "ports", "other_config", "external_ids")),
    rows.Table(
        "Logical_Switch_Port",
        ("name", "type", "addresses", "options", "up", "tag", "dhcpv4_options", "external_ids"),
        report_inserts=False,
    ),
    rows.Table("Port_Group", ("name", "ports", "external_ids")),
    rows.Table(
        "DHCP_Options",
        ("cidr", "options", "external_ids"),
        rows.ByEntry("external_ids", "weft/id"),
    ),
)


def switch(name: str = "s", **config: str) -> rows.Row:
    return rows.Row("Logical_Switch", name, {"name": name, "other_config": config})


def port(name: str, parent: str = "s", **columns: Any) -> rows.Row:
    values = {"name": name, "addresses": frozenset({f"{name} 10.0.0.1"}), **columns}
    return rows.Row(
        "Logical_Switch_Port", name, values, rows.Ref("Logical_Switch", parent), "ports"
    )


def _is_tagged(tag: int, columns: rows.Columns | None) -> bool:
    return columns is not None and columns["tag"] == tag


@pytest.fixture
def server(ovsdb: Callable[[str], Server]) -> Server:
    return ovsdb("ovn-nb")


@pytest.fixture
async def replica(server: Server) -> AsyncIterator[Replica]:
    async with await Replica.open(server.address, NB, TABLES) as opened:
        yield opened


async def test_rows_are_written_read_and_not_written_twice(
    server: Server, replica: Replica
) -> None:
    dhcp = rows.Row(
        "DHCP_Options",
        "d",
        {
            "cidr": "10.0.0.0/8",
            "options": {"lease_time": "3600"},
            "external_ids": rows.MapEntries({"weft/id": "d"}),
        },
    )
    requested = [
        switch(subnet="10.0.0.0/8"),
        port("a", dhcpv4_options=rows.Ref("DHCP_Options", "d"), tag=5),
        dhcp,
    ]
    assert await replica.apply(requested) > 0
    assert await replica.apply(requested) == 0
    found = replica.get("Logical_Switch_Port", "a")
    assert found is not None
    assert found[1]["dhcpv4_options"] == replica.uuid("DHCP_Options", "d")
    assert found[1]["tag"] == 5
    assert found[1]["up"] == frozenset()
    async with await Replica.open(server.address, NB, TABLES) as second:
        assert dict(second.rows("Logical_Switch_Port")) == dict(replica.rows("Logical_Switch_Port"))
        assert await second.apply(requested) == 0


async def test_what_apply_did_is_seen_when_it_returns(replica: Replica) -> None:
    await replica.apply([switch()])
    for i in range(30):
        await replica.apply([port(f"p{i}")])
        assert replica.uuid("Logical_Switch_Port", f"p{i}")
    await replica.apply([], [("Logical_Switch_Port", f"p{i}") for i in range(29)])
    assert [r["name"] for r in replica.rows("Logical_Switch_Port").values()] == ["p29"]
    await replica.apply([], [("Logical_Switch", "s")])
    assert not replica.rows("Logical_Switch_Port")


async def test_applies_overlap_and_wait_for_each_other_where_they_meet(replica: Replica) -> None:
    """The ports need a switch that another apply is making, and some are asked for twice."""
    await asyncio.gather(
        replica.apply([switch()]),
        *[replica.apply([port(f"p{i % 50}", options={"n": str(i)})]) for i in range(100)],
    )
    assert len(replica.rows("Logical_Switch_Port")) == 50
    assert len(replica.rows("Logical_Switch")) == 1
    for i in range(50):
        found = replica.get("Logical_Switch_Port", f"p{i}")
        assert found is not None
        assert found[1]["options"] == {"n": str(i + 50)}


async def test_an_apply_that_was_given_up_keeps_others_from_planning_on_old_rows(
    replica: Replica,
) -> None:
    given_up = asyncio.ensure_future(replica.apply([switch("t", a="1")]))
    await asyncio.sleep(0)
    given_up.cancel()
    await replica.apply([switch("t", a="2")])
    assert len(replica.rows("Logical_Switch")) == 1
    assert [r["other_config"] for r in replica.rows("Logical_Switch").values()] == [{"a": "2"}]


async def test_hundreds_of_transactions_under_way_do_not_lock_up(replica: Replica) -> None:
    """More replies than the sockets hold, while more requests than they hold are written."""
    await replica.apply([switch()])
    fat = {"x" * 1000: "y" * 1000}
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(
            *[replica.apply([port(f"p{i}", external_ids=fat)]) for i in range(1500)]
        )
    assert len(replica.rows("Logical_Switch_Port")) == 1500


async def test_two_writers_cannot_make_duplicates(server: Server, replica: Replica) -> None:
    async with await Replica.open(server.address, NB, TABLES) as other:
        done = await asyncio.gather(
            replica.apply([switch()]), other.apply([switch()]), return_exceptions=True
        )
        assert sorted(type(d).__name__ for d in done) == ["Conflict", "int"]
        await other.wait_for("Logical_Switch", "s", lambda columns: columns is not None, PATIENCE)
        assert await other.apply([switch()]) == 0


async def test_a_row_that_another_writer_took_away_is_a_conflict(
    server: Server, replica: Replica
) -> None:
    """The other deletes while this loop does not run: the plan still believes in the switch."""
    await replica.apply([switch()])
    server.transact(NB, {"op": "delete", "table": "Logical_Switch", "where": []})
    with pytest.raises(errors.Conflict, match="Logical_Switch row went away"):
        await replica.apply([switch(changed="yes")])
    assert await replica.apply([switch(changed="yes")]) == 2


async def test_a_refused_transaction_leaves_nothing_behind(replica: Replica) -> None:
    await replica.apply([switch()])
    bad = [port("good"), port("bad", tag=99999)]
    with pytest.raises(errors.Conflict, match="insert on Logical_Switch_Port") as caught:
        await replica.apply(bad)
    assert "99999" in caught.value.hint
    assert not replica.rows("Logical_Switch_Port")
    assert await replica.apply([port("good")]) == 2


async def test_owned_keys_live_beside_those_of_others(server: Server, replica: Replica) -> None:
    await replica.apply([rows.Row("NB_Global", "", {"options": {"theirs": "1", "ours": "0"}})])
    requested = rows.Row("NB_Global", "", {"options": rows.MapEntries({"ours": "2"})})
    assert await replica.apply([requested]) == 1
    assert next(iter(replica.rows("NB_Global").values()))["options"] == {"theirs": "1", "ours": "2"}
    assert await replica.apply([requested]) == 0


async def test_rows_of_others_come_though_new_rows_are_not_sent_back(
    server: Server, replica: Replica
) -> None:
    """Two writers of one table, each of which hears of the other's rows and then changes them."""
    async with await Replica.open(server.address, NB, TABLES) as other:
        await replica.apply([switch(), port("mine", tag=1)])
        await other.wait_for(
            "Logical_Switch_Port", "mine", lambda columns: columns is not None, PATIENCE
        )
        await other.apply([port("theirs", tag=2), port("mine", tag=3)])
        for name, tag in (("theirs", 2), ("mine", 3)):
            await replica.wait_for(
                "Logical_Switch_Port",
                name,
                partial(_is_tagged, tag),
                PATIENCE,
            )
        await asyncio.gather(
            *[replica.apply([port(f"a{i}")]) for i in range(50)],
            *[other.apply([port(f"b{i}")]) for i in range(50)],
        )
        for i in range(50):
            for reader, name in ((replica, f"b{i}"), (other, f"a{i}")):
                await reader.wait_for(
                    "Logical_Switch_Port", name, lambda c: c is not None, PATIENCE
                )
        assert dict(other.rows("Logical_Switch_Port")) == dict(replica.rows("Logical_Switch_Port"))
    async with await Replica.open(server.address, NB, TABLES) as fresh:
        assert dict(fresh.rows("Logical_Switch_Port")) == dict(replica.rows("Logical_Switch_Port"))


async def test_group_membership_comes_and_goes_by_difference(replica: Replica) -> None:
    await replica.apply([switch(), rows.Row("Port_Group", "g", {"name": "g"})])

    def member(name: str) -> rows.Row:
        return rows.Row(
            "Port_Group", "g", {"ports": rows.SetMembers({rows.Ref("Logical_Switch_Port", name)})}
        )

    await asyncio.gather(*[replica.apply([port(f"p{i}"), member(f"p{i}")]) for i in range(100)])
    found = replica.get("Port_Group", "g")
    assert found is not None
    assert len(found[1]["ports"]) == 100  # type: ignore[arg-type]
    await replica.apply([], [("Logical_Switch_Port", "p7")])
    found = replica.get("Port_Group", "g")
    assert found is not None
    assert found[1]["ports"] == replica.rows("Logical_Switch_Port").keys()


async def test_subscribers_hear_of_every_change_in_order(server: Server, replica: Replica) -> None:
    received: list[tuple[str, str]] = []

    def listen(uuid: str, old: rows.Columns | None, new: rows.Columns | None) -> None:
        row = new or old
        assert row is not None
        kind = "new" if old is None else "gone" if new is None else "changed"
        received.append((kind, str(row["name"])))

    stop = replica.subscribe("Logical_Switch_Port", listen)
    await replica.apply([switch(), port("a")])
    await replica.apply([port("a", tag=1), port("b")])
    await replica.apply([], [("Logical_Switch_Port", "a")])
    stop()
    await replica.apply([port("c")])
    assert received[0] == ("new", "a")
    assert sorted(received[1:3]) == [("changed", "a"), ("new", "b")]
    assert received[3:] == [("gone", "a")]


async def test_a_subscriber_that_fails_harms_nobody_else_and_hears_in_the_end(
    replica: Replica,
) -> None:
    received: list[str] = []
    late: asyncio.Queue[object] = asyncio.Queue()
    failures = [RuntimeError("no")]

    def fail(uuid: str, old: object, new: rows.Columns | None) -> None:
        if failures:
            raise failures.pop()
        late.put_nowait(new and new["other_config"])

    replica.subscribe("Logical_Switch", fail)
    replica.subscribe("Logical_Switch", lambda uuid, old, new: received.append(uuid))
    await replica.apply([switch(a="1")])
    assert len(received) == 1
    assert "OVN_Northbound Logical_Switch" in replica.trouble
    async with asyncio.timeout(PATIENCE):
        assert await late.get() == {"a": "1"}
    assert replica.trouble == ""


async def test_a_predicate_that_fails_fails_its_waiter_alone(replica: Replica) -> None:
    def fail(row: rows.Columns | None) -> bool:
        if row is not None:
            raise RuntimeError("a mistake of the waiter")
        return False

    waiting = asyncio.ensure_future(replica.wait_for("Logical_Switch", "s", fail, PATIENCE))
    await asyncio.sleep(0)
    await replica.apply([switch()])
    with pytest.raises(RuntimeError, match="of the waiter"):
        await waiting
    assert replica.uuid("Logical_Switch", "s")


async def test_waiting_ends_when_somebody_elses_change_arrives(
    server: Server, replica: Replica
) -> None:
    await replica.apply([switch(), port("a")])
    session = await Session.connect(server.address)
    waiting = asyncio.ensure_future(
        replica.wait_for(
            "Logical_Switch_Port", "a", lambda c: bool(c and c["up"] is True), PATIENCE
        )
    )
    await asyncio.sleep(0)
    up = {"op": "update", "table": "Logical_Switch_Port", "where": [], "row": {"up": True}}
    await session.transact(NB, [up])
    found = await waiting
    assert found is not None
    assert found[1]["up"] is True
    await session.close()
    with pytest.raises(errors.NotReady, match="Logical_Switch_Port 'a'"):
        await replica.wait_for("Logical_Switch_Port", "a", lambda columns: columns is None, 0.05)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_after_a_restart_of_the_server_everything_is_read_anew(
    server: Server, how: signal.Signals
) -> None:
    reset = asyncio.Event()
    async with await Replica.open(server.address, NB, TABLES, on_reset=reset.set) as replica:
        await replica.apply([switch(), port("a")])
        received: list[bool] = []
        replica.subscribe("Logical_Switch_Port", lambda u, old, new: received.append(new is None))
        server.stop(how)
        waiting = asyncio.ensure_future(
            replica.wait_for(
                "Logical_Switch_Port", "b", lambda columns: columns is not None, PATIENCE
            )
        )
        async with asyncio.timeout(PATIENCE):
            while True:  # until the loop has seen the end of the connection
                try:
                    await replica.apply([port("c")])
                except errors.Unavailable:
                    break
        assert replica.get("Logical_Switch_Port", "a") is not None
        server.start()
        async with asyncio.timeout(PATIENCE):
            await reset.wait()
        assert received == []
        assert await replica.apply([switch(), port("a")]) == 0
        await replica.apply([port("b")])
        assert await waiting is not None


async def test_who_fails_on_a_reset_is_reported_again(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    resets: asyncio.Queue[str] = asyncio.Queue()
    failures = [RuntimeError("a mistake of the reader")] * 2

    def fail() -> None:
        resets.put_nowait("fails" if failures else "hears")
        if failures:
            raise failures.pop()

    async with await Replica.open(server.address, NB, TABLES, on_reset=fail) as replica:
        server.stop()
        server.start()
        async with asyncio.timeout(PATIENCE):
            assert [await resets.get() for _ in range(3)] == ["fails", "fails", "hears"]
        assert await replica.apply([switch()]) > 0
        assert replica.trouble == ""
    assert "a mistake of the reader" in caplog.text


async def test_a_database_lost_and_made_anew_is_reported_as_deletions(server: Server) -> None:
    reset = asyncio.Event()
    async with await Replica.open(server.address, NB, TABLES, on_reset=reset.set) as replica:
        requested = [switch(), port("a"), port("b")]
        await replica.apply(requested)
        gone: list[str] = []
        replica.subscribe("Logical_Switch_Port", lambda uuid, old, new: gone.append(uuid))
        server.stop(signal.SIGKILL)
        server.database.unlink()
        server.create()
        server.start()
        async with asyncio.timeout(PATIENCE):
            await reset.wait()
        assert len(gone) == 2
        assert not replica.rows("Logical_Switch_Port")
        await replica.apply(requested)
        assert len(replica.rows("Logical_Switch_Port")) == 2


async def test_a_server_that_comes_later_is_waited_for(server: Server) -> None:
    server.stop()
    with pytest.raises(errors.Unavailable, match="cannot connect"):
        await Replica.open(server.address, NB, TABLES)
    with pytest.raises(errors.Unavailable, match="no answer within"):
        await Replica.open(server.address, NB, TABLES, patience=0.1)
    opening = asyncio.ensure_future(Replica.open(server.address, NB, TABLES, patience=PATIENCE))
    await asyncio.sleep(0)
    server.start()
    async with await opening as replica:
        assert await replica.apply([switch()]) > 0


async def test_what_the_database_lacks_is_said_at_once(server: Server) -> None:
    strange = rows.Table("Logical_Switch", ("name", "colour"))
    with pytest.raises(schema.Unsuitable, match="no column colour"):
        await Replica.open(server.address, NB, [strange], patience=PATIENCE)
    with pytest.raises(errors.Unavailable, match="Nowhere"):
        await Replica.open(server.address, "Nowhere", TABLES)


async def test_a_socket_of_tcp(server: Server) -> None:
    address = server.listen_on_tcp()
    async with await Replica.open(address, NB, TABLES) as replica:
        assert await replica.apply([switch()]) > 0
    with pytest.raises(errors.Unavailable, match="neither unix"):
        await Session.connect("ssl:127.0.0.1:6641")


async def test_an_echo_is_answered_and_what_is_no_json_ends_the_session() -> None:
    """What an idle server asks after its probe interval, here without waiting for one."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"id":"echo","method":"echo","params":[1]}')
        await answers.put(await reader.readuntil(b"}"))
        writer.write(b'{"id":1,}')
        await answers.put(await reader.read())
        writer.close()

    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        async with await asyncio.start_unix_server(ask, f"{folder}/s"):
            session = await Session.connect(f"unix:{folder}/s")
            answer = orjson.loads(await answers.get())
            assert answer == {"id": "echo", "result": [1], "error": None}
            await session.lost
            assert await answers.get() == b""
            with pytest.raises(errors.Unavailable, match="connection ended"):
                await session.call("list_dbs", [])


async def test_a_server_that_hangs_is_left_and_followed_again_when_it_answers(
    server: Server,
) -> None:
    reset = asyncio.Event()
    async with await Replica.open(
        server.address, NB, TABLES, on_reset=reset.set, probe=1.0
    ) as replica:
        await replica.apply([switch()])
        assert replica.trouble == ""
        os.kill(server.pid, signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(errors.Unavailable, match="does not answer"):
                await replica.apply([switch(a="1")])
        assert server.address in replica.trouble
        assert NB in replica.trouble
        os.kill(server.pid, signal.SIGCONT)
        async with asyncio.timeout(PATIENCE):
            await reset.wait()
        assert replica.trouble == ""
        await replica.apply([switch(a="2")])


async def test_writers_that_wait_for_a_full_socket_are_reported_of_a_server_that_hangs(
    server: Server,
) -> None:
    async with await Replica.open(server.address, NB, TABLES, probe=1.0) as replica:
        await replica.apply([switch()])
        os.kill(server.pid, signal.SIGSTOP)
        fat = {"x" * 1000: "y" * 100_000}
        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(
                *[replica.apply([port(f"p{i}", external_ids=fat)]) for i in range(50)],
                return_exceptions=True,
            )
        assert {type(outcome) for outcome in outcomes} == {errors.Unavailable}
        os.kill(server.pid, signal.SIGCONT)


class Echoing:
    """A server that answers echoes, `answered` of them at most, and nothing else."""

    def __init__(self, answered: int) -> None:
        self.left = answered
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                request = orjson.loads(await reader.readuntil(b"}"))
            except asyncio.IncompleteReadError:
                break
            await self.asked.put(request["method"])
            if request["method"] == "echo" and self.left:
                self.left -= 1
                writer.write(orjson.dumps({"id": request["id"], "result": [], "error": None}))
        writer.close()


async def test_a_silent_server_that_answers_echoes_is_kept_until_it_does_not() -> None:
    server = Echoing(answered=3)
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        async with await asyncio.start_unix_server(server, f"{folder}/s"):
            session = await Session.connect(f"unix:{folder}/s", probe=0.05)
            async with asyncio.timeout(PATIENCE):
                assert [await server.asked.get() for _ in range(4)] == ["echo"] * 4
                await session.lost
            assert "does not answer" in session.why


async def test_a_server_that_answers_nothing_but_echoes_has_a_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("weft.ovsdb.session.DEADLINE", 0.2)
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        async with await asyncio.start_unix_server(Echoing(answered=10**6), f"{folder}/s"):
            session = await Session.connect(f"unix:{folder}/s", probe=0.05)
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(errors.Unavailable, match="no answer to a request"):
                    await session.call("list_dbs", [])


async def test_a_process_that_was_held_up_blames_no_server() -> None:
    """Its timers are late, and what the server said is still to be read."""
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        async with await asyncio.start_unix_server(Echoing(answered=0), f"{folder}/s"):
            session = await Session.connect(f"unix:{folder}/s", probe=PATIENCE)
            now = asyncio.get_running_loop().time()
            for _ in range(5):
                session._look(now - 2 * PATIENCE)
            assert not session.lost.done()
            await session.close()


async def test_what_is_under_way_when_the_server_dies_is_reported(
    server: Server, replica: Replica
) -> None:
    await replica.apply([switch()])
    os.kill(server.pid, signal.SIGSTOP)
    under_way = [asyncio.ensure_future(replica.apply([port(f"p{i}")])) for i in range(20)]
    await asyncio.sleep(0)
    server.stop(signal.SIGKILL)
    for outcome in await asyncio.gather(*under_way, return_exceptions=True):
        assert isinstance(outcome, errors.Unavailable)
