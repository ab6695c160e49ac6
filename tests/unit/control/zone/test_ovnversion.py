"""What a Node says of its OVN, and when it is told anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from weft import names
from weft.control.zone import nodes, ovnversion
from weft.ovn import faults

DEBIAN_13, SOUND = "25.03.0-20.41.0-78.8", "26.03.1-21.5.0-80.9"


class Database:
    """The Southbound database's one row, as far as it is asked for."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.tell: Any = None

    def subscribe(self, table: str, function: Any) -> None:
        assert table == "SB_Global"
        self.tell = function

    def get(self, table: str, key: str) -> Any:
        return "uuid", self.row

    @property
    def row(self) -> Any:
        return {"options": {"northd_internal_version": self.version}}


class Api:
    """Keeps the one Node's conditions as a server does."""

    def __init__(self) -> None:
        self.node: dict[str, Any] = {"metadata": {"name": "node1", "uid": "u"}, "status": {}}
        self.patches = 0

    async def patch(self, _: Any, name: str, __: str, body: Any, **how: str) -> None:
        assert (name, how) == ("node1", {"type": "strategic", "subresource": "status"})
        self.node["status"] = body["status"]
        self.patches += 1


async def test_it_is_written_once_and_again_when_it_was_taken_away_or_changes() -> None:
    told: list[Any] = []
    asked: list[bool] = []
    recorder: Any = SimpleNamespace(emit=lambda *said, **_: told.append(said))
    database: Any = Database(DEBIAN_13)
    api: Any = Api()
    made = ovnversion.OvnVersion(database, recorder, lambda: asked.append(True))
    await made.announce(api, api.node)
    await made.announce(api, api.node)
    assert api.patches == 1
    ((about, kind, reason, message),) = told
    assert (about["kind"], kind, reason) == ("Node", "Warning", "OVNKnownFault")
    assert "CVE-2026-5265" in message
    (said,) = api.node["status"]["conditions"]
    assert (said["type"], said["status"], said["reason"]) == (names.OVN_CONDITION, "True", "Open")
    api.node["status"] = {}
    await made.announce(api, api.node)
    assert api.patches == 2
    assert len(told) == 1
    database.tell("uuid", database.row, database.row)
    assert not asked
    old, database.version = database.row, SOUND
    database.tell("uuid", old, database.row)
    assert asked == [True]
    await made.announce(api, api.node)
    assert api.node["status"]["conditions"][0]["status"] == "False"
    assert len(told) == 1


def test_the_time_of_the_change_is_that_of_the_status() -> None:
    before = {"status": "True", "lastTransitionTime": "then"}
    open_, sound = faults.report(DEBIAN_13), faults.report(SOUND)
    assert ovnversion.condition(open_, before, "now")["lastTransitionTime"] == "then"
    assert ovnversion.condition(sound, before, "now")["lastTransitionTime"] == "now"


@pytest.mark.parametrize("conditions", [[], [{"type": "Ready"}]])
def test_a_nodes_other_conditions_are_not_kept(conditions: list[Any]) -> None:
    meta = {"name": "n", "uid": "u", "resourceVersion": "1"}
    assert "status" not in nodes.slim({"metadata": meta, "status": {"conditions": conditions}})
    own = {"type": names.OVN_CONDITION, "status": "True"}
    kept = nodes.slim({"metadata": meta, "status": {"conditions": [*conditions, own]}})
    assert kept["status"] == {"conditions": [own]}
