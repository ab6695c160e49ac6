"""Makes and removes IPAMClaims that keep addresses: `weft ip reserve` and `weft ip release`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from weft import errors, names
from weft.api import ipamclaim
from weft.cli import clusters
from weft.cli import output as views
from weft.kube import resources
from weft.kube.client import AlreadyExists, Client, NotFound
from weft.model import ObjectKey
from weft.observe import addresses, members, objects

PATIENCE = 15.0  # seconds in which a cluster manager answers
RESERVE, RELEASE = "weft ip reserve", "weft ip release"

Name = Annotated[str, typer.Argument(help="Name of the IPAMClaim, such as db.blue.")]
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace of the IPAMClaim; by default kubectl's.")
]


def reserve(
    name: Name,
    network: Annotated[
        str,
        typer.Option("--network", metavar="NAME", help="The network, or a NAD that declares it."),
    ],
    requested: Annotated[
        list[str] | None,
        typer.Option("--address", metavar="IP", help="One of each family at most; else any."),
    ] = None,
    mac: Annotated[str, typer.Option("--mac", help="The MAC; else one made of the address.")] = "",
    interface: Annotated[
        str, typer.Option("--interface", help="Name of the interface that is to come.")
    ] = "net1",
    namespace: Namespace = "",
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
    form: views.Option = views.Output.text,
) -> None:
    """Keep addresses for a pod or virtual machine that is to come.

    It makes an IPAMClaim, and says at once whether the addresses and the MAC can be had. If not, it
    removes the claim again and says who holds them. Pods name the claim in ipam-claim-reference.
    """
    cluster = clusters.choose(kubeconfig, context, lab)
    asked = {"ips": list(requested or ()), "mac": mac}
    annotation = json.dumps({key: value for key, value in asked.items() if value})

    async def run() -> Mapping[str, Any]:
        async with cluster.client() as api:
            meta: dict[str, Any] = {"name": name, "namespace": namespace or api.namespace}
            chosen = await _network(api, network, meta["namespace"])
            claim = {
                "apiVersion": resources.IPAMCLAIMS.api_version,
                "kind": resources.IPAMCLAIMS.kind,
                "metadata": {**meta, "annotations": {names.IP_RESERVATION: annotation}},
                "spec": {"network": chosen, "interface": interface},
            }
            ipamclaim.reservation(claim)  # what is misspelt is refused before anything is made
            return await _made(api, claim)

    with views.working(form, "asking the cluster manager"):
        made = asyncio.run(run())
    views.emit(form, made, lambda: typer.echo(_summary(made)))


def release(
    name: Name,
    namespace: Namespace = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also a claim that is in use, or that a VM owns.")
    ] = False,
    kubeconfig: clusters.Kubeconfig = "",
    context: clusters.Context = "",
    lab: clusters.Lab = "",
) -> None:
    """Delete an IPAMClaim, so that others can have its addresses.

    A claim that a pod uses, or that a virtual machine owns, is deleted with --force only. A pod
    keeps the addresses that it uses until it ends.
    """
    cluster = clusters.choose(kubeconfig, context, lab)

    async def run() -> str:
        async with cluster.client() as api:
            key = ObjectKey(namespace or api.namespace, name)
            claim = await _claim(api, key)
            if not force:
                await _refuse_used(api, key, claim)
            await api.delete(resources.IPAMCLAIMS, *reversed(key), uid=claim["metadata"]["uid"])
            return _listed(claim)

    freed = asyncio.run(run())
    typer.echo(f"Released {freed or 'the claim, which had no address'}.")


async def _network(api: Client, text: str, namespace: str) -> str:
    """Returns the name of a network; raises InvalidInput if there is none.

    Who may not read the NADs of all namespaces may be let in to a network of another one, so then
    the cluster manager judges the name.
    """
    nads, are_all = await objects.read_nads(api, (namespace,))
    known = members.networks(members.Objects(nads=nads))
    try:
        return members.choose(text, namespace, known, command=RESERVE, field="--network")
    except errors.InvalidInput:
        if are_all or "/" in text:
            raise
        return text


async def _made(api: Client, claim: Mapping[str, Any]) -> Mapping[str, Any]:
    """Creates a claim, and returns it with its addresses; raises what the cluster manager says."""
    meta = claim["metadata"]
    subject = f"IPAMClaim {meta['namespace']}/{meta['name']}"
    try:
        made = await api.create(resources.IPAMCLAIMS, claim)
    except AlreadyExists:
        there = await _claim(api, ObjectKey(meta["namespace"], meta["name"]))
        what = f"exists already, and keeps {_listed(there) or 'no address yet'}"
        hint = f"choose another name, or weft ip release {meta['name']} -n {meta['namespace']}"
        raise errors.Conflict(what, where=subject, hint=hint) from None
    done = False
    try:
        async with asyncio.timeout(PATIENCE):
            decided = await _decided(api, made)
        status, reason, message = ipamclaim.condition(decided)
        if status == "True":
            done = True
            return decided
        network = claim["spec"]["network"]
        hint = f"weft ip --network {network} shows who holds what; choose another"
        raise errors.Conflict(f"cannot be had ({reason}): {message}", where=subject, hint=hint)
    except TimeoutError:
        what = f"the cluster manager has not answered within {PATIENCE:g} s"
        hint = "weft doctor says whether one runs"
        raise errors.Unavailable(what, where=subject, hint=hint) from None
    finally:
        if not done:
            await api.delete(
                resources.IPAMCLAIMS,
                meta["name"],
                meta["namespace"],
                uid=made["metadata"]["uid"],
            )


async def _decided(api: Client, made: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the claim as soon as it has a condition."""
    meta = made["metadata"]
    selector = f"metadata.name={meta['name']}"
    while True:
        async for _, each in api.watch(
            resources.IPAMCLAIMS,
            meta["resourceVersion"],
            meta["namespace"],
            field_selector=selector,
        ):
            if ipamclaim.condition(each)[0]:
                return each


async def _claim(api: Client, key: ObjectKey) -> dict[str, Any]:
    try:
        return await api.get(resources.IPAMCLAIMS, key.name, key.namespace)
    except NotFound:
        hint = f"weft ip -n {key.namespace} lists claims"
        what = "does not exist"
        raise errors.WeftError(what, where=f"IPAMClaim {key}", hint=hint) from None


async def _refuse_used(api: Client, key: ObjectKey, claim: Mapping[str, Any]) -> None:
    """Raises Conflict for a claim that a pod uses, or that a virtual machine owns."""
    there, _ = await objects.read_holders(api, (key.namespace,))
    found, _ = addresses.held(there)
    uses = [each for each in found if each.claim == str(key) and not each.unused]
    owned = [str(each.get("name")) for each in claim["metadata"].get("ownerReferences") or ()]
    hint = f"{RELEASE} {key.name} -n {key.namespace} --force"
    if uses:
        what = f"is used by {uses[0].held_by}"
        raise errors.Conflict(what, where=f"IPAMClaim {key}", hint=hint)
    if owned:
        what = f"belongs to {owned[0]}, which would have another address when it starts"
        raise errors.Conflict(what, where=f"IPAMClaim {key}", hint=hint)


def _listed(claim: Mapping[str, Any]) -> str:
    ips: Sequence[object] = (claim.get("status") or {}).get("ips") or ()
    return ", ".join(map(str, ips))


def _summary(made: Mapping[str, Any]) -> str:
    meta = made["metadata"]
    _, _, message = ipamclaim.condition(made)
    return (
        f"Reserved {_listed(made) or 'a MAC'} of network {made['spec']['network']} for IPAMClaim "
        f"{meta['namespace']}/{meta['name']}: {message}.\n"
        f'A pod has it by "ipam-claim-reference": "{meta["name"]}".'
    )
