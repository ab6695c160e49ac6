"""Rows of zones as databases hold them, made up for tests of the pictures: no server behind them.

Names are those that ovn-kubernetes gives its rows, so that what is drawn of them is what is drawn
of any controller that keeps to its layout.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weft.observe.snapshot import Snapshot

Columns = dict[str, Any]
NONE: frozenset[str] = frozenset()


def chassis(node: str) -> str:
    return f"chassis-of-{node}"


def underlay(number: int) -> str:
    return f"172.31.1.{10 + number}"


@dataclass
class Zone:
    """One zone's tables, filled row by row."""

    name: str
    number: int
    tables: dict[str, dict[str, Columns]] = field(default_factory=dict)
    serial: Any = field(default_factory=itertools.count)

    def add(self, table: str, **columns: Any) -> str:
        uuid = f"{self.name}-{next(self.serial):04}"
        self.tables.setdefault(table, {})[uuid] = columns
        return uuid

    def switch(
        self, name: str, ports: Sequence[str] = (), *, network: str = "", **other: str
    ) -> str:
        """A switch; `other` is its other_config, with `_` for `-`."""
        return self.add(
            "Logical_Switch",
            name=name,
            ports=frozenset(ports),
            other_config={key.replace("_", "-"): value for key, value in other.items()},
            external_ids={"weft/network": network} if network else {},
        )

    def port(
        self,
        name: str,
        *addresses: str,
        type: str = "",
        up: bool | frozenset[str] = True,
        options: Mapping[str, str] | None = None,
        **external: str,
    ) -> str:
        return self.add(
            "Logical_Switch_Port",
            name=name,
            type=type,
            addresses=frozenset(addresses),
            options=dict(options or {}),
            external_ids={key.replace("__", "/"): value for key, value in external.items()},
            up=up,
        )

    def pod_port(
        self, network: str, namespace: str, pod: str, address: str, *, at: str = ""
    ) -> str:
        """A pod's port; `at` another node, whose chassis is asked for twice."""
        where = f"{chassis(at)},{chassis(at)}" if at else chassis(self.name)
        return self.port(
            f"{network}_{namespace}_{pod}",
            f"0a:58:00:00:00:01 {address}",
            options={"requested-chassis": where, "requested-tnl-key": "10"},
            weft__owner=f"Pod/{namespace}/{pod}",
            weft__network=network,
        )

    def router(
        self,
        name: str,
        ports: Sequence[str],
        *,
        routes: Sequence[tuple[str, str]] = (),
        nats: Sequence[tuple[str, str]] = (),
        **options: str,
    ) -> str:
        return self.add(
            "Logical_Router",
            name=name,
            ports=frozenset(ports),
            options=options,
            external_ids={},
            static_routes=frozenset(
                self.add("Logical_Router_Static_Route", ip_prefix=to, nexthop=via, policy=NONE)
                for to, via in routes
            ),
            nat=frozenset(
                self.add("NAT", type="snat", logical_ip=inside, external_ip=outside)
                for inside, outside in nats
            ),
        )

    def router_port(self, name: str, *networks: str) -> str:
        return self.add(
            "Logical_Router_Port", name=name, mac="0a:58:00:00:00:ff", networks=frozenset(networks)
        )

    def link(self, switch_port: str, router_port: str) -> str:
        options = {"router-port": router_port}
        return self.port(switch_port, "router", type="router", options=options)

    def machinery(self, nodes: int) -> None:
        """Chassis of all nodes, and the switch with a tunnel to each other node."""
        others = [number for number in range(1, nodes + 1) if number != self.number]
        for number in range(1, nodes + 1):
            encap = self.add("Encap", ip=underlay(number), type="geneve")
            remote = {"is-remote": "true"} if number != self.number else {}
            self.add(
                "Chassis",
                name=chassis(f"node{number}"),
                hostname=f"node{number}",
                encaps=frozenset({encap}),
                other_config=remote,
            )
        interfaces = [self.interface("br-int", "internal")]
        for number in others:
            ends = {"local_ip": underlay(self.number), "remote_ip": underlay(number)}
            status = {"tunnel_egress_iface": "br-phy", "tunnel_egress_iface_carrier": "up"}
            interfaces.append(
                self.interface(f"ovn-node{number}", "geneve", options=ends, status=status)
            )
        self.bridge("br-int", interfaces)
        self.bridge("br-phy", [self.interface("br-phy", "internal")])
        settings = {"system-id": chassis(self.name), "hostname": self.name}
        settings["ovn-encap-ip"] = underlay(self.number)
        self.add("Open_vSwitch", external_ids=settings)

    def interface(self, name: str, type: str, **columns: Any) -> str:
        return self.add("Interface", name=name, type=type, mtu=1500, **columns)

    def bridge(self, name: str, interfaces: Sequence[str]) -> str:
        ports = [self.add("Port", name=name, interfaces=one) for one in interfaces]
        return self.add("Bridge", name=name, ports=frozenset(ports), datapath_type="netdev")

    def snapshot(self) -> Snapshot:
        return Snapshot(self.name, self.tables)


def zones(nodes: int) -> list[Zone]:
    """Zones with nothing on them but their tunnels."""
    found = [Zone(f"node{number}", number) for number in range(1, nodes + 1)]
    for zone in found:
        zone.machinery(nodes)
    return found


def snapshots(made: Sequence[Zone]) -> list[Snapshot]:
    return [zone.snapshot() for zone in made]


def add_layer2(
    made: Sequence[Zone], network: str, pods: Mapping[int, Sequence[tuple[str, str, str]]]
) -> None:
    """A network on the zones that have (namespace, pod, address) on it, by number of the node."""
    name = f"{network}_ovn_layer2_switch"
    for zone in made:
        if zone.number not in pods:
            continue
        ports = [
            zone.pod_port(network, *pod, at="" if number == zone.number else f"node{number}")
            for number, here in pods.items()
            for pod in here
        ]
        other = {"interconn_ts": name, "requested_tnl_key": "16711684"}
        zone.switch(name, ports, network=network, **other)


def add_layer3(
    made: Sequence[Zone],
    network: str,
    pods: Mapping[int, Sequence[tuple[str, str]]],
    *,
    cidr: str = "10.128",
    remote: str = "remote",
) -> None:
    """Node switch, cluster router and transit switch of each zone; `default` also leads out.

    `remote`: the type of other zones' ports on the transit switch. One without is bound by naming
    its chassis twice.
    """
    prefix = "" if network == "default" else f"{network}_"
    for zone in made:
        node, number = zone.name, zone.number
        ports = [
            zone.pod_port(network, *pod, f"{cidr}.{number}.{place + 5}")
            for place, pod in enumerate(pods.get(number, ()))
        ]
        stor = zone.link(f"stor-{prefix}{node}", f"rtos-{prefix}{node}")
        zone.switch(f"{prefix}{node}", [*ports, stor], subnet=f"{cidr}.{number}.0/24")
        transit = [zone.link(f"{prefix}tstor-{node}", f"{prefix}rtots-{node}")]
        for other in made:
            if other is not zone:
                wanted = ",".join([chassis(other.name)] * (1 if remote else 2))
                transit.append(
                    zone.port(
                        f"{prefix}tstor-{other.name}",
                        f"0a:58:64:58:00:01 100.88.0.{other.number + 1}/16",
                        type=remote,
                        up=NONE if remote else True,
                        options={"requested-chassis": wanted},
                        **({"node": other.name} if remote else {}),
                    )
                )
        name = f"{prefix}transit_switch"
        zone.switch(name, transit, interconn_ts=name)
        router_ports = [
            zone.router_port(f"rtos-{prefix}{node}", f"{cidr}.{number}.1/24"),
            zone.router_port(f"{prefix}rtots-{node}", f"100.88.0.{number + 1}/16"),
        ]
        if network == "default":
            router_ports.append(_gateway(zone, f"{cidr}.0.0/14"))
        routes = [
            (f"{cidr}.{other.number}.0/24", f"100.88.0.{other.number + 1}")
            for other in made
            if other is not zone
        ]
        zone.router(f"{prefix}ovn_cluster_router", router_ports, routes=routes)


def _gateway(zone: Zone, cluster: str) -> str:
    """External switch, gateway router and join switch; the cluster router's port on the latter."""
    node, outside = zone.name, underlay(zone.number)
    localnet = {"network_name": "physnet"}
    zone.switch(
        f"ext_{node}",
        [
            zone.port(f"br-ex_{node}", "unknown", type="localnet", options=localnet),
            zone.link(f"etor-GR_{node}", f"rtoe-GR_{node}"),
        ],
    )
    zone.switch(
        "join",
        [
            zone.link(f"jtor-GR_{node}", f"rtoj-GR_{node}"),
            zone.link("jtor-ovn_cluster_router", "rtoj-ovn_cluster_router"),
        ],
    )
    zone.router(
        f"GR_{node}",
        [
            zone.router_port(f"rtoe-GR_{node}", f"{outside}/24"),
            zone.router_port(f"rtoj-GR_{node}", f"100.64.0.{zone.number + 1}/16"),
        ],
        routes=[("0.0.0.0/0", "172.31.1.1"), (cluster, "100.64.0.1")],
        nats=[(cluster, outside)],
        chassis=chassis(node),
    )
    return zone.router_port("rtoj-ovn_cluster_router", "100.64.0.1/16")
