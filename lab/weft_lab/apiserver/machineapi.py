"""Serves KubeVirt's API of subresources: starts and stops machines, joins clients to consoles.

It passes on to a node's handler what is to be done to a guest.

On a cluster virt-api serves this group behind the API server. Who may do what is decided before, as
for every request. A console is a WebSocket: what it carries goes to the virt-handler of the
machine's node, which listens as kubelets do (execstreams.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from weft_lab.apiserver import (
    admissionchain,
    answers,
    auth,
    connections,
    execstreams,
    machineverbs,
    patches,
    request,
    status,
    store,
    writes,
)
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Object, Registry

GROUP = "subresources.kubevirt.io"
VERSIONS = ("v1", "v1alpha3")  # in the order in which virt-api names them
PROTOCOL = "plain.kubevirt.io"
_ACCOUNT = "system:serviceaccount"
# virt-api writes as itself: who has the right to a subresource needs none to the object.
_VIRT_API = auth.User(
    f"{_ACCOUNT}:kubevirt:kubevirt-apiserver",
    groups=(f"{_ACCOUNT}s", f"{_ACCOUNT}s:kubevirt", auth.AUTHENTICATED),
)
_DEFINITION = f"{machineverbs.MACHINES}.{machineverbs.GROUP}"
_LONGEST_ANSWER = 32 << 20  # bytes: a picture of a screen
_RELEASE = "lab.weft/kubevirt-release"  # an annotation of the definitions


_Serve = Callable[[web.BaseRequest, request.Route], Awaitable[web.StreamResponse]]


def is_served(registry: Registry) -> bool:
    """Whether there are virtual machines at all."""
    return registry.get(_DEFINITION) is not None


def entries() -> list[dict[str, Any]]:
    """What discovery lists of a version."""
    named = [(machineverbs.MACHINES, verb, "update") for verb in machineverbs.VERBS]
    reads = (*machineverbs.CONSOLES, machineverbs.SCREENSHOT)
    named += [(machineverbs.INSTANCES, verb, "get") for verb in reads]
    named += [(machineverbs.INSTANCES, verb, "update") for verb in machineverbs.ORDERS]
    both = (machineverbs.MACHINES, machineverbs.INSTANCES)
    named += [(plural, machineverbs.EVACUATION, "update") for plural in both]
    return [
        {"name": f"{plural}/{verb}", "namespaced": True, "kind": "", "verbs": [allowed]}
        for plural, verb, allowed in named
    ]


class Machines:
    """`handlers`: where the virt-handlers listen, a path with `{node}` in it, or None."""

    def __init__(self, cluster: Cluster, chain: admissionchain.Chain, handlers: str | None) -> None:
        self._cluster, self._chain, self._handlers = cluster, chain, handlers
        instances = machineverbs.INSTANCES
        self._servers: dict[tuple[str, str], _Serve] = {
            **{(machineverbs.MACHINES, verb): self._change for verb in machineverbs.VERBS},
            **{(instances, verb): self._connect for verb in machineverbs.CONSOLES},
            **{(instances, verb): self._order for verb in machineverbs.ORDERS},
            (instances, machineverbs.SCREENSHOT): self._picture,
            (machineverbs.MACHINES, machineverbs.EVACUATION): self._end_evacuation,
            (instances, machineverbs.EVACUATION): self._end_evacuation,
        }

    async def serve(self, http: web.BaseRequest, route: request.Route) -> web.StreamResponse:
        """Answer a request below the group. Raises ApiError."""
        if route.version not in VERSIONS or not is_served(self._cluster.registry):
            raise status.NoSuchPath()
        if route.plural == "version" and not route.name:
            return self._version(http)
        verb = route.subresource
        serve = self._servers.get((route.plural, verb))
        if not route.namespace or not route.name:
            raise status.NoSuchPath()
        if verb.partition("/")[0] == "portforward" or verb in machineverbs.UNSERVED.get(
            route.plural, ()
        ):
            raise status.not_served(f"{route.plural}/{verb}")
        if serve is None:
            raise status.NoSuchPath()
        is_read = verb in machineverbs.CONSOLES or verb == machineverbs.SCREENSHOT
        if http.method != ("GET" if is_read else "PUT"):
            raise status.method_not_allowed()
        return await serve(http, route)

    def _version(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.method != "GET":
            raise status.method_not_allowed()
        item = self._item("customresourcedefinitions.apiextensions.k8s.io", "", _DEFINITION)
        release = ((item or {}).get("metadata", {}).get("annotations") or {}).get(_RELEASE, "")
        return answers.json({"gitVersion": release, "platform": "linux/amd64"})

    async def _change(self, http: web.BaseRequest, route: request.Route) -> web.StreamResponse:
        asked = machineverbs.options(route.subresource, await _sent(http))
        options = writes.Options(dry_run=asked.dry_run, manager="virt-api")
        for write in self._decide(route, asked):
            await self._write(route, write, options)
        await self._cluster.journal.durable()
        return web.Response(status=202)

    def _decide(
        self, route: request.Route, asked: machineverbs.Options
    ) -> list[machineverbs.Write]:
        vm = self._of(machineverbs.MACHINES, route)
        if vm is None:
            raise machineverbs.not_found(machineverbs.MACHINES, route.name)
        vmi = self._of(machineverbs.INSTANCES, route)
        if route.subresource != "migrate":
            return machineverbs.changes(route.subresource, vm, vmi, asked)
        if vmi is None:
            raise machineverbs.not_found(machineverbs.INSTANCES, route.name)
        return [machineverbs.migration(vm, vmi, asked)]

    async def _write(
        self, route: request.Route, write: machineverbs.Write, options: writes.Options
    ) -> None:
        """As virt-api does: what an admission policy refuses of it is an internal error."""
        found = self._cluster.registry.find(machineverbs.GROUP, "v1", write.plural)
        if found is None:
            raise status.NoSuchPath()
        name = "" if write.creates else route.name
        target = writes.Target(*found, route.namespace, name, write.subresource)
        method = "POST" if write.creates else "PATCH"
        query = {"dryRun": "All"} if options.dry_run else {}
        self._chain.prepare(target, _VIRT_API, method, query)

        def carry_out(body: Object) -> None:
            if write.creates:
                writes.create(self._cluster, target, body, options)
            else:
                patches.patch(self._cluster, target, patches.MERGE, body, options)

        try:
            await self._chain.carry_out(target, carry_out, write.body)
        except status.ApiError as error:
            if error.code == 409:
                kind = machineverbs.MACHINES.removesuffix("s")
                what = str(error)
                raise status.conflict(machineverbs.GROUP, kind, route.name, what) from error
            raise status.internal(str(error)) from error

    async def _end_evacuation(
        self, http: web.BaseRequest, route: request.Route
    ) -> web.StreamResponse:
        sent = await _sent(http)
        asked = machineverbs.options(route.subresource, sent)
        if route.plural == machineverbs.MACHINES:
            vm = self._of(machineverbs.MACHINES, route)
            if vm is None:
                raise machineverbs.not_found(machineverbs.MACHINES, route.name)
            if self._of(machineverbs.INSTANCES, route) is None:
                kind = machineverbs.MACHINES.removesuffix("s")
                what = "VMI is not started"
                raise status.conflict(machineverbs.GROUP, kind, route.name, what)
        options = writes.Options(dry_run=asked.dry_run, manager="virt-api")
        for write in machineverbs.evacuation_cancelled(self._instance(route), sent):
            await self._write(route, write, options)
        await self._cluster.journal.durable()
        return web.Response()

    async def _connect(self, http: web.BaseRequest, route: request.Route) -> web.StreamResponse:
        vmi = self._instance(route)
        machineverbs.check_console(route.subresource, vmi)
        if http.headers.get("Upgrade", "").lower() != "websocket":
            raise status.bad_request(
                "websocket: the client is not using the websocket protocol: 'upgrade' token not"
                " found in 'Connection' header"
            )
        preserve = http.query.get("preserveSession", "").lower() in ("1", "t", "true")
        reader, writer = await self._dial(route.subresource, vmi, preserve=preserve)
        try:
            socket = execstreams.websocket(PROTOCOL)
            await socket.prepare(http)
            await execstreams.join(socket, http.transport, reader, writer)
            return socket
        finally:
            writer.close()

    async def _order(self, http: web.BaseRequest, route: request.Route) -> web.StreamResponse:
        """Something is to be done to a guest."""
        verb, sent = route.subresource, await _sent(http)
        asked, body = machineverbs.options(verb, sent), machineverbs.passed_on(verb, sent)
        vmi = self._instance(route)
        machineverbs.check_order(verb, vmi)
        if not (asked.dry_run and verb in ("pause", "unpause")):
            await self._asked(verb, vmi, body=body)
        return web.Response()

    async def _picture(self, http: web.BaseRequest, route: request.Route) -> web.StreamResponse:
        vmi = self._instance(route)
        machineverbs.check_console(route.subresource, vmi)
        found = await self._asked("screenshot", vmi)
        return web.Response(body=found, content_type="image/png")

    async def _asked(self, verb: str, vmi: Object, **more: Any) -> bytes:
        """What the handler of the machine's node answers."""
        reader, writer = await self._dial(verb, vmi, **more)
        try:
            return await execstreams.collected(reader, _LONGEST_ANSWER)
        except ConnectionError as error:
            raise status.internal(f"error dialing backend: {error}") from None
        finally:
            writer.close()

    async def _dial(
        self, verb: str, vmi: Object, **more: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._handlers is None:
            raise status.not_served("this server is not connected to virtual machines")
        node = (vmi.get("status") or {}).get("nodeName") or ""
        if ("", node) not in self._items("nodes"):
            raise status.internal(f'dialing virt-handler: nodes "{node}" not found')
        meta = vmi["metadata"]
        order = {"verb": verb, **{key: meta[key] for key in ("namespace", "name", "uid")}, **more}
        return await execstreams.dial(self._handlers, node, order, "virt-handler")

    def _instance(self, route: request.Route) -> Object:
        vmi = self._of(machineverbs.INSTANCES, route)
        if vmi is None:
            raise machineverbs.not_found(machineverbs.INSTANCES, route.name)
        return vmi

    def _of(self, plural: str, route: request.Route) -> Object | None:
        return self._item(f"{plural}.{machineverbs.GROUP}", route.namespace, route.name)

    def _item(self, collection: str, namespace: str, name: str) -> Object | None:
        item = self._items(collection).get((namespace, name))
        return item.parse() if item is not None else None

    def _items(self, collection: str) -> Mapping[store.Key, store.Item]:
        """Of a type that may not be there, which then stays so."""
        found = self._cluster.store.collections.get(collection)
        return found.items if found is not None else {}


async def _sent(http: web.BaseRequest) -> Any:
    """The body. As virt-api: JSON or YAML, whatever the header says."""
    data = await connections.read_body(http) if http.can_read_body else b""
    return request.parse_body(data, "application/yaml").value
