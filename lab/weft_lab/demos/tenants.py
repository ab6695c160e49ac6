"""The demo of tenants: administrators declare networks, and a tenant uses one from two namespaces.

The tenant is a service account with a role in his namespaces alone, and has a token of his own. His
pods reach each other over the network. What he may not do is asked of the API server, which refuses
it. The control: pods on another network with the same subnet, on the same nodes, do not reach his.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weft import errors, names
from weft.kube import cache, client, resources
from weft.model import ObjectKey
from weft_lab import identities
from weft_lab.demos import manifests, setup
from weft_lab.demos.verdict import Verdict

NAME = "tenants"
HOME, ACCOUNT = "shop", "tenant"
HIS = {"shop/web": "10.50.0.11", "stock/store": "10.50.0.12"}
OTHERS = {"bank/vault": "10.50.0.21", "bank/teller": "10.50.0.22"}
GRIP = "shop/grip"  # his pod on a network that does not admit him
NETWORK, CLOSED = "networks/orders", "networks/ledger"
TOKEN_SECONDS = 24 * 3600
PATIENCE = 120.0  # seconds until pods are ready, or an Event comes
CONVERGENCE = 60.0  # seconds until nodes have what a new pod needs

Run = Callable[..., Awaitable[int]]  # (pod, *argv): the exit status in the pod
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of the demo by who applies them."""

    admin: Sequence[Object]
    tenant: Sequence[Object]


def objects() -> Objects:
    """Returns the demo's objects."""
    found = manifests.read(NAME)
    his = [obj for obj in found if any(_is(obj, pod) for pod in HIS)]
    return Objects([obj for obj in found if obj not in his], his)


def grip() -> Object:
    """Returns a pod of the tenant that names a network which does not admit its namespace."""
    namespace, _, name = GRIP.partition("/")
    made = _made(resources.PODS, namespace, name, spec=_CONTAINER)
    made["metadata"]["annotations"] = {names.NETWORKS: CLOSED}
    return made


def _is(obj: Object, pod: str) -> bool:
    namespace, _, name = pod.partition("/")
    meta = obj["metadata"]
    return obj["kind"] == "Pod" and (meta["namespace"], meta["name"]) == (namespace, name)


async def kubeconfig(api: client.Client, admin: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tenant's kubeconfig, with a new token; `admin` is the administrator's."""
    request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    response = await api.request(
        "POST",
        resources.SERVICE_ACCOUNTS.path(HOME, ACCOUNT, "token"),
        body=json.dumps({**request, "spec": {"expirationSeconds": TOKEN_SECONDS}}).encode(),
        content_type="application/json",
    )
    server = admin["clusters"][0]["cluster"]["server"]
    return identities.kubeconfig(admin, server, response["status"]["token"], namespace=HOME)


async def check(
    api: client.Client, tenant: client.Client, run: Run, objects: Objects
) -> AsyncIterator[Verdict]:
    """Yields all claims: what works, what is refused, and what stays silent."""
    await manifests.apply(tenant, objects.tenant)
    async with setup.following(api, resources.PODS) as pods:
        for pod, address in {**HIS, **OTHERS}.items():
            yield await _ready(pods, pod, address)
    web, store = HIS
    yield await pings(run, web, store)
    yield await pings(run, store, web)
    for pod in HIS:
        yield await silent(run, "bank/teller", pod)
    async for verdict in _rights(tenant):
        yield verdict
    yield await _kept_out(tenant, grip())


async def _ready(pods: cache.Cache, pod: str, address: str) -> Verdict:
    claim = "has its address"
    try:
        found = await pods.wait_for(ObjectKey.parse(pod), _is_ready, PATIENCE)
    except errors.NotReady as error:
        return Verdict(claim, pod, holds=False, seen=str(error))
    seen = _address(found)
    return Verdict(claim, pod, seen == address, f"{seen} on {found['spec'].get('nodeName')}")


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _address(pod: Object) -> str:
    """The address of the pod's second interface, by its network-status."""
    annotations = pod["metadata"].get("annotations") or {}
    entries = json.loads(annotations.get(names.NETWORK_STATUS, "[]"))
    found = (each["ips"] for each in entries if each.get("interface") == "net1" and each.get("ips"))
    return str(next(found, ["none"])[0])


async def pings(run: Run, pod: str, peer: str) -> Verdict:
    is_answered = await _answered(run, pod, {**HIS, **OTHERS}[peer])
    seen = "answered" if is_answered else "no answer"
    return Verdict("ping", f"{pod} > {peer}", is_answered, seen)


async def _answered(run: Run, pod: str, address: str) -> bool:
    """Whether an answer comes in time: a node learns a little later than others what is new."""
    loop = asyncio.get_running_loop()
    end = loop.time() + CONVERGENCE
    while await run(pod, "ping", "-c", "1", "-W", "1", address):
        if loop.time() > end:
            return False
    return True


async def silent(run: Run, outsider: str, pod: str) -> Verdict:
    """No answer from another network; that the outsider's own peer answers is the control."""
    works = await _answered(run, outsider, OTHERS["bank/vault"])
    silent = await run(outsider, "ping", "-c", "3", "-W", "1", HIS[pod])
    control = "answers" if works else "is silent"
    seen = f"{'no' if silent else 'an'} answer; its own network's vault {control}"
    holds = works and bool(silent)
    return Verdict("no answer to another network", f"{outsider} > {pod}", holds, seen)


async def _rights(tenant: client.Client) -> AsyncIterator[Verdict]:
    """Yields what the API server says to the tenant's requests."""
    namespace, name = ObjectKey.parse(NETWORK)
    own, forged = {"demo": "tenants"}, {names.POD_NETWORKS: "{}"}
    yield await refused(
        "declares no network",
        "shop/own",
        tenant.create(resources.NADS, _made(resources.NADS, HOME, "own", spec={"config": ""})),
    )
    yield await refused(
        "changes no network",
        NETWORK,
        tenant.patch(resources.NADS, name, namespace, {"spec": {"config": ""}}),
    )
    yield await refused(
        "deletes no network", NETWORK, tenant.delete(resources.NADS, name, namespace)
    )
    yield await refused(
        "touches no pod of others", "bank/vault", tenant.delete(resources.PODS, "vault", "bank")
    )
    yield await refused(
        "puts no pod beside theirs",
        "bank/spy",
        tenant.create(resources.PODS, _made(resources.PODS, "bank", "spy", spec=_CONTAINER)),
    )
    yield await refused(
        "writes no annotation of weft", "shop/web", _annotate(tenant, "shop/web", forged)
    )
    try:
        await _annotate(tenant, "shop/web", own)
        holds, seen = True, "done"
    except client.ApiError as error:
        holds, seen = False, error.message
    yield Verdict("writes others of its pods", "shop/web", holds, seen)


_CONTAINER = {"containers": [{"name": "c", "image": "busybox"}]}


def _made(res: resources.Resource, namespace: str, name: str, **fields: object) -> Object:
    meta = {"namespace": namespace, "name": name}
    return {"apiVersion": res.api_version, "kind": res.kind, "metadata": meta, **fields}


async def _annotate(tenant: client.Client, pod: str, annotations: Mapping[str, str]) -> None:
    namespace, name = ObjectKey.parse(pod)
    body = {"metadata": {"annotations": annotations}}
    await tenant.patch(resources.PODS, name, namespace, body)


async def refused(claim: str, where: str, request: Awaitable[object]) -> Verdict:
    try:
        await request
    except client.Forbidden as error:
        return Verdict(claim, where, holds=True, seen=error.message)
    except client.ApiError as error:
        return Verdict(claim, where, holds=False, seen=error.message)
    return Verdict(claim, where, holds=False, seen="the API server did it")


async def _kept_out(tenant: client.Client, pod: Object) -> Verdict:
    """A pod may come before it is let in: the API server takes it, and it gets no interface.

    The tenant himself is told why, in an Event.
    """
    claim, name = "no grip on another's network", pod["metadata"]["name"]
    async with setup.following(tenant, resources.EVENTS, HOME) as events:
        await events.synced()
        await manifests.apply(tenant, [pod])
        made = await tenant.get(resources.PODS, name, HOME)
        refusal: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_event(_: ObjectKey, old: Object | None, new: Object | None) -> None:
            about = (new or {}).get("involvedObject") or {}
            is_refusal = new is not None and new.get("reason") == "FailedCreatePodSandBox"
            if is_refusal and about.get("uid") == made["metadata"]["uid"] and not refusal.done():
                refusal.set_result((new or {}).get("message", ""))

        events.subscribe(on_event)
        try:
            async with asyncio.timeout(PATIENCE):
                seen = await refusal
        except TimeoutError:
            return Verdict(claim, GRIP, holds=False, seen="no Event came")
        found = await tenant.get(resources.PODS, name, HOME)
        is_out = f"does not admit namespace {HOME}" in seen and not _is_ready(found)
        await tenant.delete(resources.PODS, name, HOME, grace=0)
    return Verdict(claim, GRIP, is_out, seen)
