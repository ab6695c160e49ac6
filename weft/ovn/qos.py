"""Renders the Northbound rows that limit the bandwidth of a pod's port.

OVN polices: packets above the rate are dropped, by a meter of each row. The zone of the pod has
both rows, so that each packet counts once, wherever its other end is (ADR 0105).
"""

from __future__ import annotations

from weft import model, names, rows
from weft.ovn import ports

QOS = "QoS"

# Of the rows that match a packet OVN enforces one: the limit that a NIC or its network has counts
# before all that a NetworkQoS says (ADR 0106).
PRIORITY = 20_000
# A smaller bucket starves TCP, whose senders need to see few losses. No packet passes a bucket
# that is smaller than itself, and segmentation offload hands over packets of up to 64 KiB.
_BURST_SECONDS = 1
_SMALLEST_BURST = 8 * 65536
_MOST = 2**32 - 1  # what OVN takes, in kbit/s and kbit

_MATCHES = {"ingress": ("to-lport", "outport"), "egress": ("from-lport", "inport")}


def of_port(
    network: model.NetworkSpec, port: model.Port, home: rows.Ref | None
) -> tuple[rows.Row, ...]:
    """The rows of a local port on the switch `home`: what it asked for, else what the network
    says."""
    allowed = port.allocation.nic.bandwidth.over(network.nic.bandwidth)
    limits = {"ingress": allowed.ingress, "egress": allowed.egress}
    return tuple(_row(port, home, each, rate) for each, rate in limits.items() if rate is not None)


def port_of(row_key: str) -> str:
    """The key of the port that a row limits."""
    return row_key.split("/", 2)[-1]


def burst(rate: model.Rate) -> int:
    """The bits that may pass at once: what was asked for, but never so few that TCP starves."""
    return max(rate.burst, rate.rate * _BURST_SECONDS, _SMALLEST_BURST)


def bandwidth(rate: model.Rate) -> dict[str, rows.Atom]:
    """The column of a row that limits to a rate."""
    return {"rate": kilobits(rate.rate), "burst": kilobits(burst(rate))}


def _row(port: model.Port, home: rows.Ref | None, direction: str, rate: model.Rate) -> rows.Row:
    name = ports.port_key(port)
    key = names.row_id("qos", direction, name)
    way, end = _MATCHES[direction]
    return rows.Row(
        QOS,
        key,
        {
            "direction": way,
            "priority": PRIORITY,
            "match": ports.match(end, name),
            "action": {},
            "bandwidth": bandwidth(rate),
            "external_ids": {
                names.OWNER: names.pod_owner(port.pod.namespace, port.pod.name),
                names.OWNER_UID: port.pod.uid,
                names.NETWORK: port.network,
                names.ATTACHMENT: port.key,
                names.ROW_ID: key,
            },
        },
        parent=home,
        parent_column="qos_rules",
    )


def kilobits(bits: int) -> int:
    """Bits, or bits per second, as OVN counts them."""
    return min(round(bits / 1000), _MOST)
