"""Renders the Southbound rows by which a zone reaches another zone's node: Chassis and Encap.

With OVN interconnection only the zone's controller (here weft) writes these, and ovn-controller
makes tunnels from them. ovn-controller writes this node's own Chassis, which has no rows here.
"""

from __future__ import annotations

from weft import model, names, rows

CHASSIS = "Chassis"
ENCAP = "Encap"
CHASSIS_PRIVATE = "Chassis_Private"  # a chassis' nb_cfg; northd waits for that of every chassis


def encap_key(chassis: str, address: str) -> str:
    """The key of an Encap row, as `tables.SB` computes it."""
    return f"{chassis} {address}"


def chassis(node: model.NodeInfo) -> tuple[rows.Row, ...]:
    """A remote node's rows; none until it has published its chassis and tunnel endpoint."""
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
