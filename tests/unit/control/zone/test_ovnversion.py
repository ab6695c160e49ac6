"""What a Node says of its OVN, and when it is told anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from weft import names
from weft.control.zone import objects, ovnversion
from weft.ovn import vulnerabilities
from weft.reasons import Reason

DEBIAN_13, SOUND = "25.03.0-20.41.0-78.8", "26.03.1-21.5.0-80.9"


class Databases:
    """The Southbound one and the switch's, as far as they are asked for."""

    def __init__(self, version: str) -> None:
        self.version, self.datapath = version, "system"
        self.subscribers: dict[str, Any] = {}

    def subscribe(self, table: str, function: Any) -> None:
        self.subscribers[table] = function

    def get(self, table: str, key: str) -> Any:
        found = {
            "SB_Global": {"options": {"northd_internal_version": self.version}},
            "Bridge": {"name": "br-int", "datapath_type": self.datapath},
        }
        return "uuid", found[table]

    def notify(self, table: str) -> None:
        self.subscribers[table]("uuid", None, self.get(table, "")[1])


class Api:
    """Keeps the one Node's conditions as a server does."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.patches = 0

    @property
    def node(self) -> objects.Node:
        meta = {"name": "node1", "uid": "u"}
        return objects.node({"metadata": meta, "status": self.status})

    async def patch(self, _: Any, name: str, __: str, body: Any, **how: str) -> None:
        assert (name, how) == ("node1", {"type": "strategic", "subresource": "status"})
        self.status = body["status"]
        self.patches += 1


async def test_it_is_written_once_and_again_when_it_was_taken_away_or_changes() -> None:
    subscribers: list[Any] = []
    asked: list[bool] = []
    recorder: Any = SimpleNamespace(emit=lambda *event, **_: subscribers.append(event))
    database: Any = Databases(DEBIAN_13)
    api: Any = Api()
    made = ovnversion.OvnVersion(database, database, recorder, lambda: asked.append(True))
    await made.announce(api, api.node)
    await made.announce(api, api.node)
    assert api.patches == 1
    ((about, reason, message),) = subscribers
    assert (about["kind"], reason) == ("Node", Reason.OVN_KNOWN_FAULT)
    assert "CVE-2026-5265" in message
    (condition,) = api.status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        names.OVN_CONDITION,
        "True",
        "Exploitable",
    )
    api.status = {}
    await made.announce(api, api.node)
    assert api.patches == 2
    assert len(subscribers) == 1
    database.notify("SB_Global")
    assert not asked
    database.datapath = "netdev"
    database.notify("Bridge")
    assert asked == [True]
    await made.announce(api, api.node)
    assert api.status["conditions"][0]["reason"] == "NotExploitable"
    database.version = SOUND
    database.notify("SB_Global")
    assert asked == [True, True]
    await made.announce(api, api.node)
    assert api.status["conditions"][0]["status"] == "False"
    assert len(subscribers) == 1


def test_the_time_of_the_change_is_that_of_the_status() -> None:
    before = {"status": "True", "lastTransitionTime": "then"}
    open_, sound = vulnerabilities.report(DEBIAN_13), vulnerabilities.report(SOUND)
    assert ovnversion.condition(open_, before, "now")["lastTransitionTime"] == "then"
    assert ovnversion.condition(sound, before, "now")["lastTransitionTime"] == "now"
