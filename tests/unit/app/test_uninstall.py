"""What weft has written for virtual machines goes with it, and what others wrote stays."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import objects
from tests.support.memory_api import MemoryApi
from weft import names
from weft.api import conditions
from weft.app import uninstall
from weft.kube.errors import Invalid
from weft.kube.resources import IPAMCLAIMS, SECRETS, VMIS, VMS, Resource

OURS = {"type": conditions.MACHINE_CONFLICT, "status": "True", "reason": "MachineClaimRefused"}
THEIRS = {"type": "Ready", "status": "False"}
KEY = "default/db"


class Busy(MemoryApi):
    """Somebody writes each object once between weft's reading and its writing."""

    async def get(self, res: Resource, name: str, namespace: str = "") -> dict[str, Any]:
        found = await super().get(res, name, namespace)
        if not found["status"].get("ready"):
            self.change(res, f"{namespace}/{name}", {"status": {"ready": True}})
        return found


def marked(kind: Resource, *listed: dict[str, str]) -> dict[str, Any]:
    made = objects.machine("db", {"lan": "blue"}, kind=kind)
    made["metadata"]["uid"] = "u"
    return {**made, "status": {"conditions": [*listed]}}


@pytest.mark.parametrize("kind", [VMS, VMIS], ids=lambda kind: kind.kind)
async def test_the_condition_of_a_machine_goes_and_no_other(kind: Resource) -> None:
    api = Busy()
    api.put(kind, marked(kind, OURS, THEIRS))
    await uninstall.cluster(api, "weft-system", "lease")
    assert api.of(kind, KEY)["status"] == {"conditions": [THEIRS], "ready": True}
    written = len(api.writes)
    await uninstall.cluster(api, "weft-system", "lease")
    assert not [write for write in api.writes[written:] if write[0] == "patch"]


class Strict(MemoryApi):
    """Somebody's rule admits no change of one machine's status."""

    async def patch(self, res: Resource, name: str, *args: Any, **more: Any) -> dict[str, Any]:
        if res is VMS and name == "db":
            raise Invalid(422, "Invalid", "spec.x: is not allowed")
        return await super().patch(res, name, *args, **more)


async def test_a_machine_that_takes_no_write_keeps_nothing_else_from_going(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api, other = Strict(), marked(VMS, OURS, THEIRS)
    other["metadata"]["name"] = "web"
    for each in (marked(VMS, OURS), other):
        api.put(VMS, each)
    api.put(SECRETS, objects.named(SECRETS, names.SIGNING_KEY, "weft-system", uid="k"))
    await uninstall.cluster(api, "weft-system", "lease")
    assert api.of(VMS, "default/web")["status"]["conditions"] == [THEIRS]
    assert not await api.list(SECRETS)
    assert f"VirtualMachine {KEY} keeps its condition" in caplog.text
    assert "spec.x: is not allowed" in caplog.text


async def test_a_machine_without_it_is_not_written() -> None:
    api = Busy()
    api.put(VMS, marked(VMS, THEIRS))
    await uninstall.cluster(api, "weft-system", "lease")
    assert api.of(VMS, KEY)["status"] == {"conditions": [THEIRS]}


@pytest.mark.parametrize("is_wefts", [True, False])
async def test_a_claim_of_wefts_can_be_deleted_and_that_of_others_waits_for_them(
    is_wefts: bool,
) -> None:
    """Nobody would take weft's finalizer off any more, and the namespace could not be deleted."""
    others = ["example.org/kept"]
    api, notes = MemoryApi(), {names.CLAIM_MADE_FOR: "db"} if is_wefts else {}
    made = objects.named(IPAMCLAIMS, "db.lan", "default", notes)
    made["metadata"]["finalizers"] = [names.CLAIM_PROTECTION, *others]
    made["status"] = {"ips": ["10.9.0.7/24"]}
    api.put(IPAMCLAIMS, made)
    await uninstall.cluster(api, "weft-system", "lease")
    found = api.of(IPAMCLAIMS, "default/db.lan")
    assert found["status"] == made["status"]
    assert found["metadata"]["finalizers"] == (
        others if is_wefts else [names.CLAIM_PROTECTION, *others]
    )
