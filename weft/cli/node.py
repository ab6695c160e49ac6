"""`weft node`: keeps one node's OVN zone, and answers its CNI plugin."""

from __future__ import annotations

from typing import Annotated

from weft.app import agent, logging, settings
from weft.cli.options import option


def command(
    node: Annotated[str, option(settings.NODE)] = settings.NODE.default,
    kubeconfig: Annotated[str, option(settings.KUBECONFIG)] = settings.KUBECONFIG.default,
    keys_namespace: Annotated[
        str, option(settings.KEYS_NAMESPACE)
    ] = settings.KEYS_NAMESPACE.default,
    default_mtu: Annotated[int, option(settings.DEFAULT_MTU)] = settings.DEFAULT_MTU.default,
    cluster_subnets: Annotated[
        str, option(settings.CLUSTER_SUBNETS)
    ] = settings.CLUSTER_SUBNETS.default,
    global_namespaces: Annotated[
        str, option(settings.GLOBAL_NAMESPACES)
    ] = settings.GLOBAL_NAMESPACES.default,
    gateway_address: Annotated[
        str, option(settings.GATEWAY_ADDRESS)
    ] = settings.GATEWAY_ADDRESS.default,
    gateway_next_hop: Annotated[
        str, option(settings.GATEWAY_NEXT_HOP)
    ] = settings.GATEWAY_NEXT_HOP.default,
    physical_network: Annotated[
        str, option(settings.PHYSICAL_NETWORK)
    ] = settings.PHYSICAL_NETWORK.default,
    ovs: Annotated[str, option(settings.OVS)] = settings.OVS.default,
    nb: Annotated[str, option(settings.NB)] = settings.NB.default,
    sb: Annotated[str, option(settings.SB)] = settings.SB.default,
    ovsdb_probe: Annotated[int, option(settings.OVSDB_PROBE)] = settings.OVSDB_PROBE.default,
    cni_socket: Annotated[str, option(settings.CNI_SOCKET)] = settings.CNI_SOCKET.default,
    nic_kind: Annotated[str, option(settings.NIC_KIND)] = settings.NIC_KIND.default,
    remote_ports: Annotated[str, option(settings.REMOTE_PORTS)] = settings.REMOTE_PORTS.default,
    acl_log: Annotated[str, option(settings.ACL_LOG)] = settings.ACL_LOG.default,
    health: Annotated[str, option(settings.HEALTH)] = settings.HEALTH.default,
    log_level: Annotated[str, option(settings.LOG_LEVEL)] = settings.LOG_LEVEL.default,
    log_format: Annotated[str, option(settings.LOG_FORMAT)] = settings.LOG_FORMAT.default,
) -> None:
    """Run the agent of one node: networks become rows of its zone, pods get their interfaces."""
    logging.set_up(log_level, log_format)
    agent.main(
        settings.Agent(
            node=node,
            kubeconfig=kubeconfig,
            keys_namespace=keys_namespace,
            log_level=log_level,
            log_format=log_format,
            health=health,
            default_mtu=default_mtu,
            cluster_subnets=cluster_subnets,
            global_namespaces=global_namespaces,
            gateway_address=gateway_address,
            gateway_next_hop=gateway_next_hop,
            physical_network=physical_network,
            ovs=ovs,
            nb=nb,
            sb=sb,
            ovsdb_probe=ovsdb_probe,
            cni_socket=cni_socket,
            nic_kind=nic_kind,
            remote_ports=remote_ports,
            acl_log=acl_log,
        )
    )
