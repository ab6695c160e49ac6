"""Every metric that weft's processes export: name, type and meaning.

`python -m tools.reference` makes docs/reference/metrics.md of it, and weft.app.health exports
nothing else. None has labels: they name no objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

MANAGER, AGENT = "cluster manager", "node agent"
BOTH = f"{MANAGER}, {AGENT}"
GAUGE, COUNTER = "gauge", "counter"
PREFIX = "weft_"


class Metric(StrEnum):
    """`of` is the process that has it, `type` is Prometheus' type, `help` one sentence."""

    of: str
    type: str
    help: str

    def __new__(cls, name: str, of: str, type: str, help: str) -> Self:
        one = str.__new__(cls, name)
        one._value_ = name
        one.of, one.type, one.help = of, type, help
        return one

    UPTIME = "process_uptime_seconds", BOTH, GAUGE, "Seconds since the process started."
    CPU = "process_cpu_seconds", BOTH, COUNTER, "Seconds of CPU that it used, user and system."
    MEMORY = "process_peak_resident_bytes", BOTH, GAUGE, "The most memory that it had resident."
    NADS = "nads", BOTH, GAUGE, "NetworkAttachmentDefinitions that it knows."
    NODES = "nodes", BOTH, GAUGE, "Nodes that it knows."
    PODS = "pods", BOTH, GAUGE, "Pods that it knows."
    POLICIES = "policies", BOTH, GAUGE, "MultiNetworkPolicies that it knows."

    LEADING = "leading", MANAGER, GAUGE, "1 while this replica holds the lease, otherwise 0."
    NETWORKS = "networks", MANAGER, GAUGE, "Networks that NADs declare."
    PODS_QUEUED = "pods_queued", MANAGER, GAUGE, "Pods that wait to be decided."
    PODS_TROUBLED = "pods_troubled", MANAGER, GAUGE, "Pods whose last Event is a warning."
    ATTACHMENTS = "attachments_held", MANAGER, GAUGE, "Attachments that have an allocation."

    ZONE_PENDING = "zone_pending", AGENT, GAUGE, "Objects whose rows are not written yet."
    ZONE_TRANSACTIONS = "zone_transactions", AGENT, COUNTER, "Transactions on the OVN databases."
    ZONE_OPERATIONS = "zone_operations", AGENT, COUNTER, "Operations in these transactions."
    ZONE_REBUILDS = "zone_rebuilds", AGENT, COUNTER, "Comparisons of all rows, as after a restart."
    ZONE_REFUSED = "zone_refused", AGENT, COUNTER, "Rows that a database refused."
    BINDING_TOUCHES = (
        *("zone_binding_touches", AGENT, COUNTER),
        "Ports that OVN had bound wrongly and that were touched so that it looks again.",
    )
    RECOMPUTES = (
        *("zone_recomputes", AGENT, COUNTER),
        "Times that northd was made to derive its rows again, because somebody changed them.",
    )
    AUDITED = "audited", AGENT, COUNTER, "Packets that policies in audit mode would have dropped."
    ADVERTISED = "advertised_networks", AGENT, GAUGE, "Networks with router advertisements here."
    ADVERTISEMENTS = "advertisements_sent", AGENT, COUNTER, "Router advertisements sent."
    SOLICITATIONS = "solicitations_answered", AGENT, COUNTER, "Router solicitations answered."
    MUTED = "solicitors_muted", AGENT, COUNTER, "Guests ignored for a while because they flooded."
    GUARD_FLOWS = "guard_flows", AGENT, GAUGE, "OpenFlow flows that guard the guests' ports."
    GUARD_WRITTEN = "guard_flows_written", AGENT, COUNTER, "Such flows written to Open vSwitch."


Figures = Mapping[Metric, float]
