"""Checks the node agent's settings, and reads the networks and files that they name."""

from __future__ import annotations

from pathlib import Path

from weft import errors, model
from weft.api import gateway
from weft.app import settings
from weft.node import plugin, switchsettings
from weft.ovsdb import replica

# Parts that keep settings and files of the node, apart from the zone's rows.
Reconciler = plugin.PluginInstaller | switchsettings.SettingsReconciler


def gateway_of(options: settings.Agent, own: model.NodeInfo | None = None) -> model.Gateway | None:
    """Returns this node's gateway on the default network, None without one; raises InvalidInput."""
    return gateway.parse(
        options.node,
        addresses=options.gateway_address,
        next_hops=options.gateway_next_hop,
        physical_network=options.physical_network,
        endpoints=own.encap_ips if own else (),
    )


def checkpoint_of(socket: str) -> str:
    """Returns the path of the ACL log's checkpoint file, beside the CNI socket."""
    return str(Path(socket).with_name("acl-log.read"))


def check(options: settings.Agent) -> None:
    """Raises InvalidInput, with the flag, for an invalid setting."""
    if not options.node:
        raise errors.InvalidInput(
            "weft node", "--node", None, "must name the Node object that this agent serves"
        )
    settings.check("weft node", settings.AGENT, options)
    settings.check_primary("weft node", options)
    settings.namespaces("weft node", options.global_namespaces)
    settings.default_network(options)
    gateway_of(options)


def plugin_of(options: settings.Agent) -> plugin.PluginInstaller | None:
    """Returns the part that keeps the CNI plugin installed; None without --cni-bin."""
    if not options.cni_bin:
        return None
    return plugin.PluginInstaller(Path(options.cni_bin), plugin.read(options.cni_plugin))


def switch_of(
    options: settings.Agent, ovs: replica.Replica
) -> switchsettings.SettingsReconciler | None:
    """Returns the part that writes the node's settings to Open vSwitch.

    None without --encap-ip and --tunnel-interface: then the administrator writes them.
    """
    if not options.encap_ip and not options.tunnel_interface:
        return None
    return switchsettings.SettingsReconciler(
        ovs,
        options.node,
        encap_ip=options.encap_ip,
        interface=options.tunnel_interface,
        kind=options.datapath,
        memory=Path(options.cni_socket).with_name("uplink.json"),
    )
