"""Which addresses stay with a VM when its pod goes, and which claim says so?

Joins the cache of IPAMClaims with what is held: a claim's addresses are kept as long as the claim
is there, and written to its status when they are first chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from weft import errors, model
from weft.api import ipamclaim
from weft.control.cluster.holdings import Holdings
from weft.control.cluster.networks import Networks
from weft.kube import cache, events, queue, resources
from weft.kube.client import Client, NotFound, Object

log = logging.getLogger(__name__)

BY_NETWORK = "network"
Listener = Callable[[str, list[str]], None]


def watch(client: Client) -> cache.Cache:
    """The cache that this part works from; a cluster without claims' kind has no claims."""

    def network(claim: Object) -> list[str]:
        return [str((claim.get("spec") or {}).get("network", ""))]

    return cache.Cache(
        client, resources.IPAMCLAIMS, indexes={BY_NETWORK: network}, may_be_unknown=True
    )


class Claims:
    """`listen(function)`: function(claim key, networks that had something freed)."""

    def __init__(
        self, client: Client, claims: cache.Cache, networks: Networks, holdings: Holdings
    ) -> None:
        self._client, self._claims = client, claims
        self._networks, self._holdings = networks, holdings
        self._listener: Listener = lambda key, freed: None
        self._failures: dict[str, tuple[str, str]] = {}  # claim: reason, message
        self.queue = queue.Queue("IPAMClaim")

    def listen(self, function: Listener) -> None:
        self._listener = function

    def start(self) -> None:
        """Once, when claims and NADs are synced and before the pods: claims come first."""
        self._claims.subscribe(self._on_claim)
        self._networks.listen(self._on_network)

    async def run(self) -> None:
        await self.queue.run(self._write, workers=4)

    def lookup(
        self, attachment: model.Attachment, network: model.Network, namespace: str
    ) -> model.IpamClaim | None:
        """The claim that an attachment refers to, of its pod's own namespace.

        None where claims mean nothing; NotReady while the claim is not there. One in another
        namespace keeps the addresses of somebody else.
        """
        spec = network.spec
        if not (attachment.ipam_claim and spec.allow_persistent_ips and spec.subnets):
            return None
        obj = self._claims.get(f"{namespace}/{attachment.ipam_claim}")
        if obj is not None:
            claim = ipamclaim.parse(obj)
            if claim.network != network.name:
                raise errors.InvalidInput(
                    f"IPAMClaim {namespace}/{claim.name}",
                    "spec.network",
                    claim.network,
                    f"is not the network that the pod asks for, {network.name!r}",
                )
            return claim
        raise errors.NotReady(
            "does not exist",
            where=f"IPAMClaim {namespace}/{attachment.ipam_claim}",
            hint="the pod goes on when it is created",
        )

    def note(self, claim: model.IpamClaim, error: errors.WeftError | None = None) -> None:
        """A pod was given what the claim keeps, or was not: the claim's status is to say so."""
        key = f"{claim.namespace}/{claim.name}"
        before = self._failures.pop(key, None)
        if error is not None:
            self._failures[key] = (ipamclaim.reason_of(error), str(error))
        if before != self._failures.get(key) or not claim.addresses:
            self.queue.add(key)

    def _on_claim(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._failures.pop(key, None)
            freed = self._holdings.end_claim(*resources.split_key(key))
            self._listener(key, freed)
            for network in freed:
                self._networks.release(network)
            return
        self._keep(new)
        self.queue.add(key)
        if old is None:
            self._listener(key, [])

    def _on_network(self, nad: str) -> None:
        network = self._networks.find(nad)
        for key in self._claims.index(BY_NETWORK, network.name) if network else ():
            obj = self._claims.get(key)
            if obj is not None:
                self._keep(obj)

    def _keep(self, obj: Object) -> None:
        try:
            claim = ipamclaim.parse(obj)
        except errors.InvalidInput as error:
            log.warning("a claim cannot be read: %s", error)
            return
        network = self._networks.get(claim.network)
        if network is None or not network.spec.allow_persistent_ips:
            return
        if not self._networks.may_use(network, claim.namespace):
            return  # another namespace's network: a claim alone takes nothing of it
        try:
            self._holdings.keep(network, claim)
        except errors.WeftError as error:
            self.note(claim, error)

    async def _write(self, key: str) -> None:
        """Writes what a claim was given into its status, once, or why it was not."""
        obj = self._claims.get(key)
        if obj is None:
            return
        claim, before = ipamclaim.parse(obj), ipamclaim.condition(obj)
        allocation = self._holdings.claimed(claim)
        addresses = claim.addresses or (allocation.addresses if allocation else ())
        success = (ipamclaim.SUCCESS, "addresses are kept")
        reason, message = self._failures.get(key, success)
        is_told = before[1:] == (reason, message) or (reason, before[0]) == (ipamclaim.SUCCESS, "")
        if (is_told and claim.addresses == addresses) or not (addresses or key in self._failures):
            return
        given = replace(claim, addresses=addresses)
        status = ipamclaim.render_status(given, reason=reason, message=message, now=events.now())
        body = {"metadata": {"uid": obj["metadata"]["uid"]}, "status": status}
        try:
            await self._client.patch(
                resources.IPAMCLAIMS, claim.name, claim.namespace, body, subresource="status"
            )
        except NotFound:
            pass  # deleted meanwhile: the cache is about to say so
