"""Calls validating webhooks: they are asked of a write that policies allow, before it is done.

A write does not wait. It raises `Unanswered`, the webhooks are called while other requests are
served, and the write is tried again with their answers (admissionchain).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from weft.decode import budget, jsontext
from weft_lab.apiserver import (
    admissionrules,
    admissiontypes,
    expressions,
    status,
    store,
    writes,
)
from weft_lab.apiserver.admissionrules import AdmissionRequest
from weft_lab.apiserver.cluster import Cluster
from weft_lab.apiserver.resources import Object

_LOG = logging.getLogger(__name__)
_CONNECTIONS = 32  # to all webhooks at one time; who waits for one longer than a timeout fails
_LARGEST = 1 * budget.MIB  # bytes of an answer
_BUDGET = budget.Budget(size=_LARGEST, values=10_000)
_REVIEW = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}


class Unanswered(Exception):
    """A write that webhooks have not been asked about as it is now."""

    def __init__(self, key: bytes, hooks: list[Object], review: Object) -> None:
        super().__init__("webhooks are to be asked")
        self.key, self.hooks, self.review = key, hooks, review


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one webhook says; `error` is its refusal, or why it could not be asked."""

    error: status.ApiError | None = None
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Webhooks:
    """The webhooks in force; `listen` gets each published change."""

    cluster: Cluster
    _hooks: list[Object] | None = None
    _contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    def listen(self, change: store.Change) -> None:
        if change.collection == admissiontypes.WEBHOOKS:
            self._hooks = None
            self._contexts.clear()

    @property
    def hooks(self) -> list[Object]:
        if self._hooks is None:
            held = self.cluster.store.collection(admissiontypes.WEBHOOKS).items
            self._hooks = [
                hook
                for _, item in sorted(held.items())
                for hook in item.parse().get("webhooks") or ()
            ]
        return self._hooks

    def concerns(self, target: writes.Target) -> bool:
        """Whether any webhook can be about objects of this type."""
        return any(
            admissionrules.concerns(each.get("rules") or (), target.resource) for each in self.hooks
        )

    def check(self, target: writes.Target, request: AdmissionRequest, options: Object) -> None:
        """Returns if all webhooks allow the write; raises Unanswered if they must be asked."""
        chosen = [each for each in self.hooks if _is_asked(each, request)]
        if not chosen:
            return
        found = review(request, options)
        key = _key(found)
        if key not in target.answered:
            raise Unanswered(key, chosen, found)
        target.warnings += target.answered[key]

    async def ask(self, target: writes.Target, pending: Unanswered) -> None:
        """Calls the webhooks; raises what the first of them says that refuses."""
        verdicts = await asyncio.gather(
            *(self._call(each, pending.review) for each in pending.hooks)
        )
        warnings = tuple(text for each in verdicts for text in each.warnings)
        for each in verdicts:
            if each.error is not None:
                target.warnings += warnings
                raise each.error
        target.answered[pending.key] = warnings

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _call(self, hook: Object, request: Object) -> Verdict:
        uid = str(uuid.uuid4())
        body = orjson.dumps({**_REVIEW, "request": {"uid": uid, **request}})
        seconds = int(hook["timeoutSeconds"])
        address = f"{hook['clientConfig']['url']}?timeout={seconds}s"
        try:
            async with asyncio.timeout(seconds):
                answer = await self._post(address, body, self._trusting(hook))
            return verdict(hook["name"], answer, uid)
        except TimeoutError:
            why = "context deadline exceeded"
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            why = _words(error)
        except Unusable as error:
            return _failed(hook, f"received invalid webhook response: {error}")
        return _failed(hook, f'failed to call webhook: Post "{address}": {why}')

    async def _post(self, address: str, body: bytes, context: ssl.SSLContext) -> bytes:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, */*",
            "User-Agent": "weft-lab-apiserver-admission",
        }
        async with self._session.post(
            address, data=body, headers=headers, ssl=context, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise ValueError(f"the answer has the status {response.status}, not 200")
            found = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                found += chunk
                if len(found) > _LARGEST:
                    raise ValueError(f"the answer has more than {_LARGEST} bytes")
            return bytes(found)

    def _trusting(self, hook: Object) -> ssl.SSLContext:
        """The TLS settings for a bundle of certificates; they may be of servers themselves."""
        bundle = hook["clientConfig"].get("caBundle") or ""
        found = self._contexts.get(bundle)
        if found is None:
            try:
                pem = base64.b64decode(bundle).decode()
            except (binascii.Error, UnicodeDecodeError) as error:
                raise ValueError(f"caBundle: {error}") from None
            found = ssl.create_default_context(cadata=pem or None)
            found.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            self._contexts[bundle] = found
        return found


def _is_asked(hook: Object, request: AdmissionRequest) -> bool:
    """Raises the refusal where its conditions fail, and it is not to be passed over then."""
    if not admissionrules.applies(hook, hook.get("rules") or (), request):
        return False
    given = {"object": request.new, "oldObject": request.old, "request": request.attributes()}
    try:
        return admissionrules.meets(hook.get("matchConditions") or (), given)
    except expressions.Faulty as error:
        if hook.get("failurePolicy") == "Ignore":
            return False
        resource = request.resource
        raise status.forbidden(resource.group, resource.plural, request.name, str(error)) from None


def review(request: AdmissionRequest, options: Object) -> Object:
    """The request of an AdmissionReview, without its uid."""
    return {
        **request.attributes(),
        "object": request.new,
        "oldObject": request.old,
        "options": options,
    }


def _key(found: Object) -> bytes:
    """The same for two tries of one write: managers of fields have times that differ."""
    plain = dict(found)
    for name in ("object", "oldObject"):
        if obj := found[name]:
            meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
            plain[name] = {**obj, "metadata": meta}
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def _words(error: Exception) -> str:
    """Why a connection failed, without what the library says of itself."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)
    return str(error) or type(error).__name__


class Unusable(Exception):
    """An answer that is no AdmissionReview."""


def verdict(name: str, answer: bytes, uid: str) -> Verdict:
    """Reads an AdmissionReview."""
    try:
        found = jsontext.parse(answer, _BUDGET)
    except (budget.Malformed, budget.Exceeded) as error:
        raise Unusable(str(error)) from None
    response = found.get("response") if isinstance(found, Mapping) else None
    if not isinstance(response, Mapping):
        raise Unusable("webhook response was absent")
    if response.get("uid") != uid:
        given = status.quote(response.get("uid") or "")
        raise Unusable(f'expected response.uid="{uid}", got {given}')
    kind = f"{found.get('apiVersion')}, Kind={found.get('kind')}"
    if kind != (expected := "admission.k8s.io/v1, Kind=AdmissionReview"):
        raise Unusable(f"expected webhook response of {expected}, got {kind}")
    for part in ("patch", "patchType"):
        if response.get(part):
            raise Unusable(f"validating webhook may not return response.{part}")
    listed = response.get("warnings") or ()
    warnings = tuple(text for text in listed if isinstance(text, str))
    if response.get("allowed") is True:
        return Verdict(None, warnings)
    return Verdict(_denied(name, response.get("status")), warnings)


def _denied(name: str, answer: Any) -> status.ApiError:
    """The refusal in the words of the webhook; what it leaves out is a bad request."""
    found = answer if isinstance(answer, Mapping) else {}
    message, reason, code = (found.get(part) for part in ("message", "reason", "code"))
    refused = f'admission webhook "{name}" denied the request'
    text = next((f": {one}" for one in (message, reason) if isinstance(one, str) and one), None)
    return status.ApiError(
        code if isinstance(code, int) and 400 <= code < 600 else 400,
        reason if isinstance(reason, str) else "",
        f"{refused}{text or ' without explanation'}",
        dict(found["details"]) if isinstance(found.get("details"), Mapping) else None,
    )


def _failed(hook: Object, why: str) -> Verdict:
    """A webhook that cannot be asked refuses, or is passed over, as its failurePolicy says."""
    text = f'failed calling webhook "{hook["name"]}": {why}'
    if hook.get("failurePolicy") == "Ignore":
        _LOG.warning("%s; the request goes on without it", text)
        return Verdict()
    return Verdict(status.internal(text))
