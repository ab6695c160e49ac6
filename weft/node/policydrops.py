"""Counts the packets that policies drop on this node, when the metrics are read.

OVN has no such counters, but Open vSwitch counts packets at each flow, and sums them by cookie. The
cookies come from OVN's Southbound database, where they are looked up again when a known one has no
flows. A pod's arrival costs nothing here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from weft import errors
from weft.host import sockets
from weft.metrics import Figures, Metric
from weft.nic import port
from weft.openflow.session import Session
from weft.ovn import acl, flows, policydrops
from weft.ovsdb import replica

log = logging.getLogger(__name__)

PATIENCE = 3.0  # seconds; a scrape does not wait longer


class PolicyDrops:
    """Call `measure` before `figures`. `switch`: the address of Open vSwitch's database."""

    def __init__(self, nb: replica.Replica, sb: replica.Replica, switch: str) -> None:
        self._nb, self._sb = nb, sb
        self._path = sockets.management(switch, port.BRIDGE)
        self._totals = policydrops.DropTotals()
        self._cookies: Mapping[str, frozenset[int]] = {}
        self._reading = asyncio.Lock()
        self._failed = ""

    def figures(self) -> Figures:
        return {Metric.POLICY_DROPS: self._totals.series()}

    async def measure(self) -> None:
        """Reads the counters; if that is not possible, the figures stay as they are."""
        try:
            async with self._reading, asyncio.timeout(PATIENCE):
                await self._measure()
        except (errors.WeftError, TimeoutError) as error:
            reason = str(error) or f"no answer within {PATIENCE:g} s"
            if reason != self._failed:
                log.warning("drops by policies are not counted for now: %s", reason)
            self._failed = reason
        else:
            self._failed = ""

    async def _measure(self) -> None:
        acls = policydrops.of_acls(self._nb.rows(acl.ACL))
        if not acls:
            self._totals.add(())
            return
        session = await Session.connect(self._path, _unseen)
        try:
            found = await self._count(session, acls)
            if any(not _has_flows(self._cookies.get(hint), found) for hint in acls):
                (result,) = await self._sb.transact([policydrops.request()])
                self._cookies = policydrops.cookies(result)
                found = await self._count(session, acls)
        finally:
            session.close()
        self._totals.add(
            (labels, cookie, found[cookie][1])
            for hint, labels in acls.items()
            for cookie in self._cookies.get(hint, ())
        )

    async def _count(
        self, session: Session, acls: Mapping[str, policydrops.DropLabels]
    ) -> dict[int, tuple[int, int]]:
        """Returns flows and packets of each known cookie."""
        return await session.count(
            [cookie for hint in acls for cookie in self._cookies.get(hint, ())]
        )


def _has_flows(cookies: frozenset[int] | None, found: Mapping[int, tuple[int, int]]) -> bool:
    return bool(cookies) and any(found[cookie][0] for cookie in cookies or ())


def _unseen(_: flows.FlowUpdate) -> None:
    """The connection monitors nothing."""
