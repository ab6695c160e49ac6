"""Serves the cluster manager's admission webhook, with a certificate that it renews by itself.

Each copy serves, whether it leads or waits. `weft.control.cluster.admission` judges the objects. A
ValidatingWebhookConfiguration names the Service of the copies; each copy keeps its certificate in
the configuration's `caBundle`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from weft import errors
from weft.app import health, servingcertificate
from weft.app.servingcertificate import ServingCertificate
from weft.control.cluster import admission, informers, nads
from weft.control.loop import together
from weft.decode import budget, jsontext
from weft.kube import cache, queue, resources
from weft.kube.client import Client, Object
from weft.model import ObjectKey

log = logging.getLogger(__name__)

NAME = "weft"  # of the ValidatingWebhookConfiguration
_KEY = ObjectKey("", NAME)
_LARGEST = 8 << 20  # bytes: two objects of the API server's largest size, and what JSON adds
_BUDGET = budget.Budget(size=_LARGEST, values=500_000, depth=100)


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a certificate follows another.

    `life` of each; seconds for API servers to read a new bundle before its certificate is served
    (`spread`), and between two checks of the certificate's age (`pause`).
    """

    life: timedelta = servingcertificate.LIFE
    spread: float = 30.0
    pause: float = 3600.0


class Webhook:
    """One task of the process. `rules` are the cluster manager's for NADs."""

    def __init__(
        self, client: Client, address: str, rules: nads.Rules, renewal: Renewal = Renewal()
    ) -> None:
        self._client, self._address, self._rules = client, address, rules
        self._renewal = renewal
        self._followed = informers.declarations(client, rules)
        self._configuration = cache.Cache(
            client,
            resources.WEBHOOKS,
            field_selector=f"metadata.name={NAME}",
            may_be_unknown=True,
        )
        self._queue = queue.Queue[ObjectKey]("ValidatingWebhookConfiguration")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._current: ServingCertificate | None = None
        self._next: ServingCertificate | None = None
        self._next_from = 0.0  # by the loop's clock: when it may be served

    @property
    def trouble(self) -> str:
        """Why objects are not judged at admission; else empty."""
        parts = (*self._followed, self._configuration, self._queue)
        return next((each.trouble for each in parts if each.trouble), "")

    async def run(self) -> None:
        """Serves until cancelled; raises Unavailable if it cannot serve at its address."""
        follow = {each.resource.plural: each.run() for each in self._followed}
        await together(
            **follow,
            configuration=self._configuration.run(),
            certificate=self._keep(),
            webhook=self._serve(),
        )

    # Certificates

    async def _keep(self) -> None:
        self._configuration.subscribe(lambda *_: self._queue.add(_KEY))
        await self._queue.run(self._look)

    async def _look(self, _: ObjectKey) -> None:
        """Adds this copy's certificates to the bundle, and renews the one that expires next."""
        found = self._configuration.get(_KEY)
        if found is None:
            return
        names, now, clock = reached_by(found), datetime.now(UTC), asyncio.get_running_loop().time()
        renewal = self._renewal
        if self._current is None or self._current.names != names:
            self._current, self._next = servingcertificate.make(names, now, renewal.life), None
            self._current.load(self._context)
        elif self._next is None and self._current.is_due(now):
            self._next = servingcertificate.make(names, now, renewal.life)
            self._next_from = clock + renewal.spread
        elif self._next is not None and clock >= self._next_from:
            self._current, self._next = self._next, None
            self._current.load(self._context)
            log.info("the webhook serves with a new certificate until %s", self._current.until)
        own = [each for each in (self._current, self._next) if each is not None]
        if (patch := trusting(found, own, now)) is not None:
            await self._client.patch(resources.WEBHOOKS, NAME, "", patch, type="strategic")
            log.info("the webhook's certificate is trusted by ValidatingWebhookConfiguration weft")
        self._queue.add(_KEY, renewal.pause if self._next is None else renewal.spread)

    # Requests

    async def _serve(self) -> None:
        for each in self._followed:
            await each.synced()
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/admit", self._admit)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        host, port = health.host_and_port("webhook", self._address, "HOST:PORT")
        try:
            await web.TCPSite(runner, host, port, ssl_context=self._context).start()
            await asyncio.Event().wait()
        except OSError as error:
            raise errors.Unavailable(
                f"cannot be served at {self._address}: {error.strerror or error}",
                where="webhook",
                hint="choose another address with --webhook",
            ) from error
        finally:
            await runner.cleanup()

    async def _admit(self, request: web.Request) -> web.Response:
        try:
            review = jsontext.parse(await request.read(), _BUDGET)["request"]
            uid = str(review["uid"])
            verdict = self._review(review)
        except (budget.Malformed, KeyError, TypeError, AttributeError, errors.WeftError) as error:
            log.info("a request at the webhook is no valid AdmissionReview: %s", error)
            return web.Response(status=400, text="not an AdmissionReview that weft understands\n")
        return web.json_response(answer(uid, verdict))

    def _review(self, review: Any) -> admission.Verdict:
        new, old = _placed(review["object"], review), review.get("oldObject")
        if "deletionTimestamp" in new["metadata"]:
            return admission.Verdict()
        kind = review["resource"]["resource"]
        if kind == resources.MULTINETWORKPOLICIES.plural:
            return admission.judge_policy(new, old)
        if kind == resources.NETWORKQOSES.plural:
            return admission.judge_qos(new)
        for each in (resources.UDNS, resources.CUDNS):
            if kind == each.plural:
                return admission.judge_udn(new, each, self._rules)
        if kind != resources.NADS.plural:
            return admission.Verdict()
        followed, namespaces = self._followed

        def labels(name: str) -> Mapping[str, str] | None:
            found = namespaces.get(ObjectKey("", name))
            return found.labels if found is not None else None

        return admission.judge_nad(new, old, followed.objects(), self._rules, labels)


def _placed(obj: Any, review: Any) -> Object:
    """Returns the object with the name and namespace of the request."""
    meta = {"namespace": review.get("namespace", ""), "name": review.get("name", "")}
    named: Object = {**obj, "metadata": {**meta, **obj["metadata"]}}
    return named


def reached_by(configuration: Object) -> tuple[str, ...]:
    """Returns the names for the certificate: the services or hosts in the configuration."""
    found = []
    for each in configuration.get("webhooks") or ():
        at = each.get("clientConfig") or {}
        if service := at.get("service"):
            found.append(f"{service['name']}.{service['namespace']}.svc")
        elif host := urlsplit(at.get("url") or "").hostname:
            found.append(host)
    return tuple(dict.fromkeys(found)) or ("localhost",)


def trusting(configuration: Object, own: list[ServingCertificate], now: datetime) -> Object | None:
    """Returns the patch that adds these certificates to the configuration; None if it has them."""
    changed = []
    for each in configuration.get("webhooks") or ():
        there = b""
        with contextlib.suppress(ValueError):
            there = base64.b64decode((each.get("clientConfig") or {}).get("caBundle") or "")
        desired = servingcertificate.bundle(there, own, now)
        if desired != there:
            bundle = base64.b64encode(desired).decode()
            changed.append({"name": each["name"], "clientConfig": {"caBundle": bundle}})
    if not changed:
        return None
    version = configuration["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version}, "webhooks": changed}


def answer(uid: str, verdict: admission.Verdict) -> Object:
    """Returns the AdmissionReview (admission.k8s.io/v1) that answers the API server."""
    response: Object = {"uid": uid, "allowed": not verdict.refusal}
    if verdict.refusal:
        response["status"] = {"code": 422, "reason": "Invalid", "message": verdict.refusal}
    if verdict.warnings:
        response["warnings"] = list(verdict.warnings)
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
