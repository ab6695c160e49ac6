"""What a claim says, and how a copy waits that may not write it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support import hasty
from tests.support.memory_api import MemoryApi
from tests.unit.kube.moody import FORBIDDEN, Moody
from weft.kube import lease
from weft.kube.resources import Resource

TERMS = lease.Terms(valid=15, hold=10, renew=2)


def test_the_first_claim_is_no_transition() -> None:
    spec = lease.claim(None, "one", TERMS, "t1")
    assert spec == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "t1",
        "renewTime": "t1",
        "leaseTransitions": 0,
    }


def test_renewing_keeps_since_when_and_taking_over_counts() -> None:
    first = {"spec": lease.claim(None, "one", TERMS, "t1")}
    renewed = {"spec": lease.claim(first, "one", TERMS, "t2")}
    assert renewed["spec"]["acquireTime"] == "t1"
    assert renewed["spec"]["renewTime"] == "t2"
    taken = lease.claim(renewed, "two", TERMS, "t3")
    assert taken["acquireTime"] == "t3"
    assert taken["leaseTransitions"] == 1


def test_a_leader_stops_before_others_begin() -> None:
    assert lease.Terms().renew < lease.Terms().hold < lease.Terms().valid


def test_a_copy_whose_view_of_the_lease_ends_says_so_and_does_not_wait_for_ever() -> None:
    class Broken(MemoryApi):
        async def list(self, res: Resource, namespace: str = "", **_: Any) -> Any:
            raise RuntimeError("a mistake in the code")

    async def main() -> None:
        elector = lease.Elector(Broken(), "boss", "default", "one")
        with pytest.raises(RuntimeError, match="a mistake"):
            async with asyncio.timeout(60):
                await elector.lead(asyncio.Event().wait)  # type: ignore[arg-type]

    hasty.run(main())


def test_a_copy_that_may_not_write_the_lease_says_so_and_leads_when_it_may() -> None:
    async def main() -> None:
        api = Moody()
        api.mood = FORBIDDEN
        leading = asyncio.Event()

        async def work() -> None:
            leading.set()
            await asyncio.Event().wait()

        elector = lease.Elector(api, "boss", "default", "one")
        task = asyncio.create_task(elector.lead(work))
        await asyncio.sleep(60)
        assert "may not" in elector.trouble
        assert not leading.is_set()
        api.mood = ""
        await leading.wait()
        assert elector.trouble == ""
        task.cancel()

    hasty.run(main())


@pytest.mark.parametrize(
    ("holder", "free"), [("one", True), ("", True), (None, True), ("two", False)]
)
def test_a_lease_that_another_holds_is_waited_for(holder: str | None, free: bool) -> None:
    assert lease.is_free({"spec": {"holderIdentity": holder}}, "one") is free
