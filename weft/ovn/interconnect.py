"""The Southbound rows by which a zone reaches another zone's node: Chassis and Encap.

In an interconnect nobody but the zone's own controller writes these; ovn-controller makes its
tunnels from them. This node's own Chassis is ovn-controller's and has no rows here.
"""

from __future__ import annotations

from weft import model, names, rows

CHASSIS = "Chassis"
ENCAP = "Encap"
PRIVATE = "Chassis_Private"  # how far a chassis' ovn-controller is; northd waits for all of them


def encap_key(chassis: str, address: str) -> str:
    """As `tables.SB` reads it back."""
    return f"{chassis} {address}"


def chassis(node: model.NodeInfo) -> tuple[rows.Row, ...]:
    """A remote node's rows; none until it has said its chassis and its tunnel endpoint."""
    if not node.chassis or not node.encap_ips:
        return ()
    encaps = tuple(
        rows.Row(
            ENCAP,
            encap_key(node.chassis, address),
            {
                "chassis_name": node.chassis,
                "ip": address,
                "type": "geneve",
                "options": {"csum": "true"},
            },
        )
        for address in node.encap_ips
    )
    row = rows.Row(
        CHASSIS,
        node.chassis,
        {
            "name": node.chassis,
            "hostname": node.name,
            "encaps": frozenset(rows.Ref(ENCAP, encap.key) for encap in encaps),
            "other_config": {"is-remote": "true"},
            "external_ids": {names.OWNER: names.node_owner(node.name)},
        },
    )
    return (*encaps, row)
