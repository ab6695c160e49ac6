"""Reports the known vulnerabilities of this node's OVN on its Node and in the log.

northd writes its version to the Southbound database whenever it starts; ovn-controller is of the
same package. A condition of the Node holds the report, an Event warns of exploitable faults.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from weft import names
from weft.api import conditions
from weft.control.zone.objects import Node
from weft.kube import events, resources
from weft.kube.client import Client
from weft.nic import port
from weft.ovn import tables, vulnerabilities
from weft.ovsdb import replica
from weft.reasons import Reason

log = logging.getLogger(__name__)


class OvnVersion:
    """Calls `changed` when the version or datapath of the node's OVN changes; `announce` then."""

    def __init__(
        self,
        sb: replica.Replica,
        ovs: replica.Replica,
        recorder: events.Recorder,
        changed: Callable[[], None],
    ) -> None:
        self._sb, self._ovs, self._recorder, self._changed = sb, ovs, recorder, changed
        self._reported: vulnerabilities.Report | None = None
        sb.subscribe(tables.SB_GLOBAL, self._look)
        ovs.subscribe("Bridge", self._look)

    def report(self) -> vulnerabilities.Report:
        """Returns the report on the present version and datapath."""
        found = self._sb.get(tables.SB_GLOBAL, "")
        options = found[1]["options"] if found else {}
        known = options if isinstance(options, Mapping) else {}
        bridge = self._ovs.get("Bridge", port.BRIDGE)
        in_userspace = bridge is not None and bridge[1]["datapath_type"] == "netdev"
        return vulnerabilities.report(
            str(known.get(tables.NORTHD_VERSION, "")), in_userspace=in_userspace
        )

    async def announce(self, client: Client, node: Node) -> None:
        """Writes the condition unless the Node has it; logs a new report and emits its Event."""
        report = self.report()
        if report != self._reported:
            self._log(report, node)
            self._reported = report
        desired = condition(report, node.condition, events.now())
        if all(node.condition.get(key) == desired[key] for key in ("status", "reason", "message")):
            return
        # A strategic merge by type leaves the kubelet's conditions alone.
        status = {"conditions": [desired]}
        await client.patch(
            *(resources.NODES, node.name, "", {"status": status}),
            type="strategic",
            subresource="status",
        )

    def _log(self, report: vulnerabilities.Report, node: Node) -> None:
        is_open = report.exposure is vulnerabilities.Exposure.EXPLOITABLE
        log.log(logging.WARNING if is_open else logging.INFO, "%s", report.message)
        if is_open:
            meta = {"name": node.name, "uid": node.uid}
            about = {"apiVersion": "v1", "kind": resources.NODES.kind, "metadata": meta}
            self._recorder.emit(about, Reason.OVN_KNOWN_FAULT, report.message)

    def _look(self, *_: object) -> None:
        if self.report() != self._reported:
            self._changed()


def condition(
    report: vulnerabilities.Report, before: Mapping[str, Any], now: str
) -> dict[str, Any]:
    """Returns the Node's condition: True means known faults, as with node-problem-detector.

    `before` is the present condition, `now` the time (RFC 3339).
    """
    fields = (names.OVN_CONDITION, report.status, report.exposure.value, report.message)
    return conditions.of_node(fields, before, now)
