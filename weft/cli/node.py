"""Runs the agent of one node: `weft node`."""

from __future__ import annotations

from typing import Annotated

from weft.app import logging, settings
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
    allow_primary: Annotated[bool, option(settings.ALLOW_PRIMARY)] = settings.ALLOW_PRIMARY.default,
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
    encap_ip: Annotated[str, option(settings.ENCAP_IP)] = settings.ENCAP_IP.default,
    tunnel_interface: Annotated[
        str, option(settings.TUNNEL_INTERFACE)
    ] = settings.TUNNEL_INTERFACE.default,
    datapath: Annotated[str, option(settings.DATAPATH)] = settings.DATAPATH.default,
    ovs: Annotated[str, option(settings.OVS)] = settings.OVS.default,
    nb: Annotated[str, option(settings.NB)] = settings.NB.default,
    sb: Annotated[str, option(settings.SB)] = settings.SB.default,
    ovsdb_probe: Annotated[int, option(settings.OVSDB_PROBE)] = settings.OVSDB_PROBE.default,
    probe_port: Annotated[int, option(settings.PROBE_PORT)] = settings.PROBE_PORT.default,
    cni_socket: Annotated[str, option(settings.CNI_SOCKET)] = settings.CNI_SOCKET.default,
    cni_bin: Annotated[str, option(settings.CNI_BIN)] = settings.CNI_BIN.default,
    cni_plugin: Annotated[str, option(settings.CNI_PLUGIN)] = settings.CNI_PLUGIN.default,
    nic_kind: Annotated[str, option(settings.NIC_KIND)] = settings.NIC_KIND.default,
    remote_ports: Annotated[str, option(settings.REMOTE_PORTS)] = settings.REMOTE_PORTS.default,
    acl_log: Annotated[str, option(settings.ACL_LOG)] = settings.ACL_LOG.default,
    pod_endpoints: Annotated[bool, option(settings.POD_ENDPOINTS)] = settings.POD_ENDPOINTS.default,
    health: Annotated[str, option(settings.HEALTH)] = settings.HEALTH.default,
    log_level: Annotated[str, option(settings.LOG_LEVEL)] = settings.LOG_LEVEL.default,
    log_format: Annotated[str, option(settings.LOG_FORMAT)] = settings.LOG_FORMAT.default,
) -> None:
    """Run the agent of one node: it writes the node's OVN zone, and gives pods their interfaces."""
    given = locals()  # each parameter is a setting of the same name
    from weft.app import agent  # slow to import: not for --help

    logging.set_up(log_level, log_format)
    agent.main(settings.Agent(**given))
