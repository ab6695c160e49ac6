"""Finds the databases of a running lab's nodes for a reader outside.

Paths through the root directory of the lab's process 1; good for as long as `peer` is open.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft_lab import layout, spec, state

# As in weft_lab.runtime.daemons, by the option of `weft node` that takes each.
_SOCKETS = {
    "nb": layout.OVN_RUN / "ovnnb_db.sock",
    "sb": layout.OVN_RUN / "ovnsb_db.sock",
    "ovs": layout.OVS_RUN / "db.sock",
}


def databases(peer: state.Peer, lab: spec.Lab) -> Iterator[tuple[str, dict[str, str]]]:
    """(node, address of each of its databases)."""
    root = f"/proc/{peer.pid}/root"
    for node in lab.members:
        yield (
            node.name,
            {
                option: f"unix:{root}{layout.seen(node.name, path)}"
                for option, path in _SOCKETS.items()
            },
        )
