"""Runs the cluster manager: `weft cluster-manager`."""

from __future__ import annotations

from typing import Annotated

from weft.app import logging, settings
from weft.cli.options import option


def command(
    kubeconfig: Annotated[str, option(settings.KUBECONFIG)] = settings.KUBECONFIG.default,
    leader_elect: Annotated[bool, option(settings.LEADER_ELECT)] = settings.LEADER_ELECT.default,
    lease_name: Annotated[str, option(settings.LEASE_NAME)] = settings.LEASE_NAME.default,
    lease_namespace: Annotated[
        str, option(settings.LEASE_NAMESPACE)
    ] = settings.LEASE_NAMESPACE.default,
    default_mtu: Annotated[int, option(settings.DEFAULT_MTU)] = settings.DEFAULT_MTU.default,
    underlay_mtu: Annotated[int, option(settings.UNDERLAY_MTU)] = settings.UNDERLAY_MTU.default,
    cluster_subnets: Annotated[
        str, option(settings.CLUSTER_SUBNETS)
    ] = settings.CLUSTER_SUBNETS.default,
    allow_primary: Annotated[bool, option(settings.ALLOW_PRIMARY)] = settings.ALLOW_PRIMARY.default,
    global_namespaces: Annotated[
        str, option(settings.GLOBAL_NAMESPACES)
    ] = settings.GLOBAL_NAMESPACES.default,
    reserved_subnets: Annotated[
        str, option(settings.RESERVED_SUBNETS)
    ] = settings.RESERVED_SUBNETS.default,
    workers: Annotated[int, option(settings.WORKERS)] = settings.WORKERS.default,
    webhook: Annotated[str, option(settings.WEBHOOK)] = settings.WEBHOOK.default,
    pod_endpoints: Annotated[bool, option(settings.POD_ENDPOINTS)] = settings.POD_ENDPOINTS.default,
    health: Annotated[str, option(settings.HEALTH)] = settings.HEALTH.default,
    log_level: Annotated[str, option(settings.LOG_LEVEL)] = settings.LOG_LEVEL.default,
    log_format: Annotated[str, option(settings.LOG_FORMAT)] = settings.LOG_FORMAT.default,
) -> None:
    """Run the cluster manager: it allocates network ids, addresses, MACs and tunnel keys."""
    given = locals()  # each parameter is a setting of the same name
    from weft.app import cluster  # slow to import: not for --help

    logging.set_up(log_level, log_format)
    cluster.main(settings.ClusterManager(**given))
