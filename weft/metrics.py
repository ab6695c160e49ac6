"""Every metric that weft's processes export: name, type and meaning.

`python -m tools.reference` makes docs/reference/metrics.md of it, and weft.app.health exports
nothing else. Labels name networks, nodes and kinds, never pods: their number has a bound.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from itertools import accumulate
from typing import Self

MANAGER, AGENT = "cluster manager", "node agent"
BOTH = f"{MANAGER}, {AGENT}"
GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
PREFIX = "weft_"


Clock = Callable[[], float]
Labels = tuple[str, ...]  # of a metric: their names, or their values in the same order


class Histogram:
    """Counts durations in buckets, for each combination of label values."""

    BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

    def __init__(self) -> None:
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """Counts one duration."""
        counts = self._counts.setdefault(labels, [0] * (len(self.BOUNDS) + 1))
        counts[bisect_left(self.BOUNDS, seconds)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + seconds

    @contextmanager
    def timed(self, clock: Clock, *labels: str) -> Iterator[None]:
        """Counts the seconds by `clock` that the block takes, unless it raises."""
        started = clock()
        yield
        self.observe(clock() - started, *labels)

    def series(self) -> Iterator[tuple[Labels, tuple[int, ...], float]]:
        """Yields label values, how many durations were up to each bound and in all, and their sum
        in seconds."""
        for labels, counts in sorted(self._counts.items()):
            yield labels, tuple(accumulate(counts)), self._sums[labels]


class Metric(StrEnum):
    """`of` is the process that has it, `type` is Prometheus' type, `help` one sentence; `labels`
    are the names of its labels."""

    of: str
    type: str
    help: str
    labels: Labels

    def __new__(cls, name: str, of: str, type: str, help: str, *labels: str) -> Self:
        one = str.__new__(cls, name)
        one._value_ = name
        one.of, one.type, one.help, one.labels = of, type, help, labels
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
    NETWORK_MEMBERS = (
        *("network_members", MANAGER, GAUGE, "Attachments of pods on a network."),
        "network",
    )
    NETWORK_SIZE = (
        *("network_addresses_size", MANAGER, GAUGE, "Addresses that pods get in turn, likewise."),
        *("network", "subnet"),
    )
    NETWORK_USED = (
        *("network_addresses_used", MANAGER, GAUGE, "Addresses in use, by family's subnets."),
        *("network", "subnet"),
    )
    NETWORK_FREE = (
        *("network_addresses_free", MANAGER, GAUGE, "Addresses that are free, likewise."),
        *("network", "subnet"),
    )
    NETWORK_LASTS = (
        *("network_addresses_last_seconds", MANAGER, GAUGE),
        "Seconds until no address is free, at the earliest, at the rate of the last seven days; "
        "absent if no more are in use than before.",
        "network",
    )
    NETWORK_UNUSED = (
        *("network_claims_unused", MANAGER, GAUGE),
        "IPAMClaims that keep addresses that no pod uses.",
        "network",
    )
    NETWORK_CONDITION = (
        *("network_condition", MANAGER, GAUGE, "1: a condition of a network is true, 0: false."),
        *("network", "condition"),
    )
    ALLOCATION = (
        *("allocation_seconds", MANAGER, HISTOGRAM),
        "Time from when a pod is due until its allocations are written, waits included.",
    )
    RECONCILE = (
        *("reconcile_seconds", MANAGER, HISTOGRAM),
        "Time to decide an object and write what was decided.",
        "kind",
    )
    PODS_QUEUED = "pods_queued", MANAGER, GAUGE, "Pods that wait to be decided."
    PODS_TROUBLED = "pods_troubled", MANAGER, GAUGE, "Pods whose last Event is a warning."
    ATTACHMENTS = "attachments_held", MANAGER, GAUGE, "Attachments that have an allocation."

    ZONE_PENDING = "zone_pending", AGENT, GAUGE, "Objects whose rows are not written yet."
    ZONE_TRANSACTIONS = "zone_transactions", AGENT, COUNTER, "Transactions on the OVN databases."
    ZONE_OPERATIONS = "zone_operations", AGENT, COUNTER, "Operations in these transactions."
    ZONE_REBUILDS = "zone_rebuilds", AGENT, COUNTER, "Comparisons of all rows, as after a restart."
    ZONE_REFUSED = "zone_refused", AGENT, COUNTER, "Rows that a database refused."
    ZONE_SECONDS = (
        *("zone_transaction_seconds", AGENT, HISTOGRAM),
        "Time that a change of the OVN databases takes.",
    )
    TUNNEL_UP = (
        *("tunnel_up", AGENT, GAUGE, "1 while the agent of a node answers over the underlay."),
        "peer",
    )
    TUNNEL_SECONDS = (
        *("tunnel_round_trip_seconds", AGENT, GAUGE, "Time from the last probe to its answer."),
        "peer",
    )
    PORTS_BOUND = (
        *("ports_bound", AGENT, GAUGE, "Ports of pods whose flows OVN has installed here."),
        "network",
    )
    CNI = (
        *("cni_seconds", AGENT, HISTOGRAM, "Time that a CNI call takes."),
        *("command", "result"),
    )
    CNI_STEP = (
        *("cni_step_seconds", AGENT, HISTOGRAM),
        "Time that a step of an ADD takes: allocation, device, port, interface, flows, record.",
        "step",
    )
    BINDING_TOUCHES = (
        *("zone_binding_touches", AGENT, COUNTER),
        "Ports that OVN had bound wrongly and that were touched so that it looks again.",
    )
    RECOMPUTES = (
        *("zone_recomputes", AGENT, COUNTER),
        "Times that northd was made to derive its rows again, because somebody changed them.",
    )
    POLICY_DROPS = (
        *("policy_dropped_packets", AGENT, COUNTER),
        "Packets to (ingress) or from (egress) pods of a namespace that no policy allows.",
        *("network", "namespace", "direction"),
    )
    AUDITED = "audited", AGENT, COUNTER, "Packets that policies in audit mode would have dropped."
    ADVERTISED = "advertised_networks", AGENT, GAUGE, "Networks with router advertisements here."
    ADVERTISEMENTS = "advertisements_sent", AGENT, COUNTER, "Router advertisements sent."
    SOLICITATIONS = "solicitations_answered", AGENT, COUNTER, "Router solicitations answered."
    MUTED = "solicitors_muted", AGENT, COUNTER, "Guests ignored for a while because they flooded."
    GUARD_FLOWS = "guard_flows", AGENT, GAUGE, "OpenFlow flows that guard the guests' ports."
    GUARD_WRITTEN = "guard_flows_written", AGENT, COUNTER, "Such flows written to Open vSwitch."


Series = Mapping[Labels, float]  # by label values
Figures = Mapping[Metric, float | Series | Histogram]
