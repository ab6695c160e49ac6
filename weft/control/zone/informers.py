"""Follows the NADs and policies that a node agent reads, each parsed once.

What compares equal after it was parsed is no change: a status, or a note that says what the zone
knows, wakes nobody here.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter

from weft.api import policy
from weft.control.zone import networks
from weft.kube import cache, resources
from weft.kube.client import Client

_VERSION = attrgetter("uid", "version")


def nads(client: Client, *, default_mtu: int) -> cache.Informer[networks.Nad]:
    read = partial(networks.read, default_mtu=default_mtu)
    return cache.Informer(client, resources.NADS, read, _VERSION)


def policies(client: Client) -> cache.Informer[policy.ParsedPolicy]:
    """A cluster may do without their kind."""
    kind = resources.MULTINETWORKPOLICIES
    return cache.Informer(client, kind, policy.read, _VERSION, may_be_unknown=True)
