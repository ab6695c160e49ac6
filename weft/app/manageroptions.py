"""Checks the cluster manager's settings, and makes the rules for NADs from them."""

from __future__ import annotations

from ipaddress import ip_network

from weft import errors, model
from weft.app import health, settings
from weft.control.cluster import nads


def rules(options: settings.ClusterManager, primary: model.Network | None = None) -> nads.Rules:
    """Returns the rules for NADs; raises InvalidInput for invalid ranges or namespaces."""
    setting = settings.RESERVED_SUBNETS
    own = primary.spec.subnets if primary is not None else ()
    reserved: list[tuple[str, model.Subnet]] = [("the default network", subnet) for subnet in own]
    for text in filter(None, map(str.strip, options.reserved_subnets.split(","))):
        try:
            reserved.append(("a range of the cluster's own", ip_network(text)))
        except ValueError:
            rule = "must be subnets such as 10.244.0.0/16, with commas between them"
            raise errors.InvalidInput("weft cluster-manager", setting.flag, text, rule) from None
    return nads.Rules(
        options.default_mtu,
        options.underlay_mtu,
        tuple(reserved),
        settings.namespaces("weft cluster-manager", options.global_namespaces),
    )


def check(options: settings.ClusterManager) -> None:
    """Raises InvalidInput, with the flag, for an invalid setting."""
    settings.check("weft cluster-manager", settings.CLUSTER_MANAGER, options)
    settings.check_primary("weft cluster-manager", options)
    rules(options, settings.default_network(options))
    if options.webhook:
        health.host_and_port("weft cluster-manager", options.webhook, "HOST:PORT")
