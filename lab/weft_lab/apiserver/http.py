"""Takes each HTTP request apart, calls the code that serves it, and writes the answer.

Other modules decide; this one has HTTP and calls them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from weft import errors
from weft.decode import budget
from weft_lab.apiserver import (
    access,
    admissionchain,
    answers,
    auth,
    connections,
    deletes,
    discovery,
    evictions,
    execstreams,
    logs,
    machineapi,
    openapi,
    patches,
    pods,
    reads,
    request,
    reviews,
    roles,
    status,
    store,
    streams,
    tokenrequests,
    writes,
)
from weft_lab.apiserver.cluster import Cluster

_LOG = logging.getLogger(__name__)
_HEALTH = ("/healthz", "/readyz", "/livez")
_HEALTH_BELOW = tuple(f"{path}/" for path in _HEALTH)
_OLD_WATCH = "/watch/"  # in a path: an old way to ask for a watch


class Api:
    """The handler of every connection, whichever socket it came in by."""

    def __init__(
        self,
        cluster: Cluster,
        access: access.Access,
        chain: admissionchain.Chain,
        log_files: logs.Files,
        kubelets: execstreams.Kubelets,
        machines: machineapi.Machines,
    ) -> None:
        self._cluster = cluster
        self._access = access
        self._chain = chain
        self._logs = log_files
        self._kubelets, self._machines = kubelets, machines
        self._pages = reads.Pages()
        self._documents = openapi.Documents(cluster.registry)

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; an error becomes a Status, so this never raises."""
        try:
            return await self._answer(http)
        finally:
            if isinstance(http.protocol, connections.Connection):
                http.protocol.end_answer()

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            user = self._access.user(list(http.headers.items()), time.time())
            route = request.parse_path(http.rel_url.raw_path)
            requested = access.attributes(http.method, http.path, route, http.query)
            self._access.check(user, requested)
            if http.path in _HEALTH or http.path.startswith(_HEALTH_BELOW):
                return web.Response(text="ok", headers=answers.UNCACHED)
            if route is None:
                return self._describe(http)
            return await self._resource(http, route, user)
        except status.ApiError as error:
            return answers.error(error)
        except errors.WeftError as error:
            return answers.error(status.internal(str(error)))
        except web.HTTPRequestEntityTooLarge:
            return answers.error(status.too_large(f"limit is {request.BODY_LIMIT}"))
        except budget.Exceeded as error:
            return answers.error(request.exceeded("the object", error))
        except RecursionError:
            return answers.error(status.bad_request("the object is nested too deep"))
        except (ConnectionResetError, web.HTTPException):
            raise
        except Exception:
            _LOG.exception("%s %s", http.method, http.path)
            return answers.error(status.internal("see the server's log"))

    def _describe(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answers about the server itself: version, health, discovery, OpenAPI."""
        if http.method != "GET":
            raise status.method_not_allowed()
        if http.path.startswith("/openapi/"):
            return self._document(http)
        registry = self._cluster.registry
        if http.path in ("/api", "/apis") and (media := request.aggregated(http.headers)):
            groups = [""] if http.path == "/api" else discovery.all_groups(registry)
            body = orjson.dumps(discovery.aggregated(registry, groups))
            headers = {"Content-Type": media, "Cache-Control": "public"}
            return web.Response(body=body, headers=headers)
        match http.path.strip("/").split("/"):
            case [""]:
                return answers.json({"paths": ["/api", "/apis", "/openapi/v2", "/version"]})
            case ["version"]:
                return answers.json(discovery.VERSION)
            case ["api"]:
                return answers.json(discovery.core_versions(http.host))
            case ["apis"]:
                return answers.json(discovery.group_list(registry))
            case ["apis", group, _] if discovery.is_built_in(registry, group):
                found = discovery.resource_list(registry, group, http.path.rpartition("/")[2])
                if found is None:
                    raise status.no_such_resource()
            case ["api", version]:
                found = discovery.resource_list(registry, "", version)
                if found is None:
                    raise status.no_such_resource()
            case ["apis", group]:
                found = discovery.group_of(registry, group)
                if found:
                    found = {"kind": "APIGroup", "apiVersion": "v1", **found}
            case ["apis", group, version]:
                found = discovery.resource_list(registry, group, version)
            case _:
                found = None
        if found is None:
            raise status.NoSuchPath()
        return answers.json(found)

    def _document(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.path == "/openapi/v2":
            protobuf = "proto-openapi" in http.headers.get("Accept", "")
            body = self._documents.all(protobuf=protobuf)
            if protobuf:
                return web.Response(body=body, headers={"Content-Type": openapi.PROTOBUF})
            return answers.reply(body)
        if http.path.rstrip("/") == "/openapi/v3":
            return answers.reply(self._documents.index())
        document = self._documents.group(http.path.removeprefix("/openapi/v3/"))
        if document is None:
            raise status.NoSuchPath()
        return answers.reply(document)

    async def _resource(
        self, http: web.BaseRequest, route: request.Route, user: auth.User
    ) -> web.StreamResponse:
        if route.group == machineapi.GROUP:
            return await self._machines.serve(http, route)
        found = self._cluster.registry.find(route.group, route.version, route.plural)
        if found is None:
            if reviews.answers(route) and http.method != "POST":
                raise status.method_not_allowed()
            if reviews.answers(route):
                body = (await _body(http)).value
                return answers.json(reviews.answer(route, body, user, self._access), 201)
            raise _unknown(self._cluster, route)
        resource, version = found
        if not resource.namespaced and route.namespace:
            raise _unknown(self._cluster, route)
        target = writes.Target(resource, version, route.namespace, route.name, route.subresource)
        if version.warning and (not route.subresource or _is_served(target)):
            target.warnings.append(version.warning)
        try:
            return await self._serve(http, route, target, user)
        except status.ApiError as error:
            return answers.warn(answers.error(error), target.warnings)

    async def _serve(
        self,
        http: web.BaseRequest,
        route: request.Route,
        target: writes.Target,
        user: auth.User,
    ) -> web.StreamResponse:
        """A request about a type that is known."""
        target.guards = self._guards(target, user)
        self._chain.prepare(target, user, http.method, http.query)
        version = target.version
        if route.subresource not in {"", "status"}:
            return await self._subresource(http, route, target, user)
        if route.subresource and not version.has_status:
            raise _no_subresource(target)
        if not route.name or (http.method == "GET" and _OLD_WATCH in http.path):
            return await self._many(http, target)
        return await self._one(http, target)

    def _guards(self, target: writes.Target, user: auth.User) -> tuple[writes.Guard, ...]:
        """What is asked of an object before it is written."""

        def escalation(obj: dict[str, Any], old: dict[str, Any] | None) -> None:
            roles.check_escalation(self._access.grants, user, target, obj)

        return (escalation,)

    async def _many(self, http: web.BaseRequest, target: writes.Target) -> web.StreamResponse:
        """A whole collection: list, watch, create, delete by selector."""
        resource, version, cluster = target.resource, target.version, self._cluster
        if http.method == "GET":
            return await self._read_many(http, target)
        if http.method == "POST":
            if resource.namespaced and not target.namespace:
                raise status.method_not_allowed()
            body = await _body(http)
            options = request.write_options(http.query, _agent(http), body)

            def create(made: dict[str, Any]) -> store.Item:
                return writes.create(cluster, target, made, options)

            item = await self._chain.carry_out(target, create, _object(body.value))
            await cluster.journal.durable()
            return self._item(http, target, item, 201)
        if http.method == "DELETE" and "deletecollection" in resource.verbs:
            sent = request.delete_options((await _body(http)).value, http.query)
            chosen = reads.selection(resource, target.namespace, http.query)
            gone = await self._chain.carry_out(
                target, lambda deletion: deletes.delete_all(cluster, target, chosen, deletion), sent
            )
            await cluster.journal.durable()
            page = reads.Page(gone, cluster.store.revision)
            deleted = answers.page(resource, version, page, request.Form())
            return answers.reply(deleted, 200, target.warnings)
        raise status.method_not_allowed()

    async def _read_many(self, http: web.BaseRequest, target: writes.Target) -> web.StreamResponse:
        query: Mapping[str, str] = http.query
        cluster, resource, version = self._cluster, target.resource, target.version
        if target.name:
            query = {**query, "fieldSelector": f"metadata.name={target.name}"}
        chosen = reads.selection(resource, target.namespace, query)
        form = request.parse_accept(http.headers.get("Accept", ""), query.get("includeObject", ""))
        watched = request.flag(query, "watch") or _OLD_WATCH in http.path
        reads.check_options(query, watch=watched)
        if watched:
            return await streams.serve(cluster, http, target, chosen, form)
        limit = reads.read_number(query, "limit")
        if token := query.get("continue", ""):
            page = self._pages.following(token, limit)
        else:
            reads.check_revision(query, cluster.store.revision)
            found = chosen.choose(cluster.collection(resource))
            counted = chosen.labels is None and chosen.fields is None
            page = self._pages.first(found, cluster.store.revision, limit, counted=counted)
        body = answers.page(resource, version, page, form)
        return answers.reply(body, 200, target.warnings)

    async def _one(self, http: web.BaseRequest, target: writes.Target) -> web.StreamResponse:
        """One object: get, update, patch, delete."""
        cluster, resource = self._cluster, target.resource
        if http.method == "GET":
            return self._item(http, target, writes.find(cluster, target))
        if http.method == "DELETE" and not target.subresource:
            sent = request.delete_options((await _body(http)).value, http.query)
            item, gone = await self._chain.carry_out(
                target, lambda deletion: deletes.delete_named(cluster, target, deletion), sent
            )
            await cluster.journal.durable()
            if gone and not resource.answers_deleted:
                gone_body = orjson.dumps(deletes.gone_body(target, item))
                return answers.reply(gone_body, 200, target.warnings)
            if gone and resource.strategy.grace:
                item = deletes.last_seen(resource, item)
            return self._item(http, target, item)
        body = await _body(http)
        options = request.write_options(
            http.query, _agent(http), body, http.method, http.content_type
        )
        if http.method not in ("PUT", "PATCH"):
            raise status.method_not_allowed()

        def write(sent: Any) -> tuple[store.Item, bool]:
            if http.method == "PATCH":
                return patches.patch(cluster, target, http.content_type, sent, options)
            is_new = (target.namespace, target.name) not in cluster.collection(resource).items
            return writes.update(cluster, target, _object(sent), options), is_new

        item, is_new = await self._chain.carry_out(target, write, body.value)
        await cluster.journal.durable()
        return self._item(http, target, item, 201 if is_new else 200)

    async def _subresource(
        self,
        http: web.BaseRequest,
        route: request.Route,
        target: writes.Target,
        user: auth.User,
    ) -> web.StreamResponse:
        cluster, name = self._cluster, target.subresource
        if name not in target.resource.subresources:
            raise _no_subresource(target)
        if name == "log" and http.method == "GET":
            return await self._logs.serve(http, cluster, writes.find(cluster, target))
        if name == pods.EPHEMERAL:
            return await self._one(http, target)
        if name in execstreams.VERBS:
            # A WebSocket begins with GET, and what it does is no reading.
            self._access.check(user, access.attributes("POST", http.path, route, http.query))
            pod = writes.find(cluster, target)
            return await self._kubelets.serve(http, cluster, name, pod)
        body = _object((await _body(http)).value)
        if http.method == "POST":
            await self._chain.carry_out(target, lambda made: target.admit(made, None), body)
        if name == "token" and http.method == "POST":
            made = tokenrequests.answer(cluster, target, body, self._access.key)
            return answers.json(made, 201)
        if name == "binding" and http.method == "POST":
            deletes.bind(cluster, target, body)
        elif name == "eviction" and http.method == "POST":
            options = request.delete_options(body.get("deleteOptions"), http.query)
            if refusal := deletes.evict(cluster, target, options):
                await cluster.journal.durable()
                raise evictions.refused(refusal)
        elif name == "finalize" and http.method == "PUT":
            item = deletes.finalize_namespace(cluster, target, body)
            await cluster.journal.durable()
            return self._item(http, target, item)
        else:
            raise status.method_not_allowed()
        await cluster.journal.durable()
        return answers.json({**_SUCCESS}, 201)

    def _item(
        self, http: web.BaseRequest, target: writes.Target, item: Any, code: int = 200
    ) -> web.Response:
        form = request.parse_accept(
            http.headers.get("Accept", ""), http.query.get("includeObject", "")
        )
        body = answers.one(target.resource, target.version, item, form)
        return answers.reply(body, code, target.warnings)


def _unknown(cluster: Cluster, route: request.Route) -> status.ApiError:
    """The error for a type that is not served; in a group of CRDs the path is unknown."""
    offered = cluster.registry.of(route.group, route.version)
    if any(not resource.custom for resource, _ in offered):
        return status.no_such_resource()
    return status.NoSuchPath()


def _is_served(target: writes.Target) -> bool:
    below = target.subresource
    return target.version.has_status if below == "status" else below in target.resource.subresources


def _no_subresource(target: writes.Target) -> status.ApiError:
    resource = target.resource
    if resource.custom:
        return status.not_found(resource.group, resource.plural, target.name)
    return status.no_such_resource()


_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


_LARGE = 32 * 1024  # bytes of a body that is parsed in a thread, while others are served


async def _body(http: web.BaseRequest) -> request.Body:
    if not http.can_read_body:
        return request.Body()
    data = await connections.read_body(http)
    media = http.headers.get("Content-Type", "").partition(";")[0].strip()
    if len(data) > _LARGE:
        return await asyncio.to_thread(request.parse_body, data, media)
    return request.parse_body(data, media)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise status.bad_request("the body must be an object")
    return value


def _agent(http: web.BaseRequest) -> str:
    return http.headers.get("User-Agent", "")
