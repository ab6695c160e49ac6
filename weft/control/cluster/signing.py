"""With which key does the cluster manager sign its decisions, and how is its public key published?

The private key is in a Secret of the manager's namespace that nobody else may read, the public ones
in a ConfigMap beside it that agents read and nobody else may write (ADR 0060). Both are made where
they are missing. What is signed is decided in pods.py.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weft import errors, names
from weft.api import decision
from weft.control.decisions import Decisions, trusted
from weft.kube import cache, queue, resources
from weft.kube.client import AlreadyExists, Client, NotFound, Object

log = logging.getLogger(__name__)

_PAUSES = (0.2, 10.0)
_KEY, _ADOPT = "key", "adopt"


class Signing:
    """Call `prepare` once, before anything is decided; `decisions` verifies by the trusted keys.

    `adopt_before`: pods that were made before this moment are from a time when nothing was signed.
    """

    def __init__(self, client: Client, keys: cache.Cache, namespace: str) -> None:
        self._client, self._keys, self._namespace = client, keys, namespace
        self.decisions = Decisions()
        self.adopt_before = ""
        self.trouble = ""
        self._listener: Callable[[], None] = lambda: None
        self.queue = queue.Queue("ConfigMap")

    def listen(self, function: Callable[[], None]) -> None:
        """`function()` is called when other keys than before are trusted."""
        self._listener = function

    async def prepare(self) -> None:
        """Reads or makes the key; retries until the API server allows it."""
        pause, longest = _PAUSES
        while True:
            try:
                obj = await self._secret()
                self.signer = _load(obj)
            except errors.WeftError as error:
                if str(error) != self.trouble:
                    log.warning("nothing can be signed yet: %s", error.in_full())
                self.trouble = str(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)
            else:
                self.trouble = ""
                if _decoded(obj, _ADOPT):
                    self.adopt_before = obj["metadata"]["creationTimestamp"]
                return

    def start(self) -> None:
        """Call once, when the public keys are synced and `prepare` has returned."""
        self._keys.subscribe(self._on_keys)
        self._on_keys("", None, None)

    async def run(self) -> None:
        await self.queue.run(self._write)

    def is_current(self, decided: decision.Decision) -> bool:
        return decided.by == self.signer.id

    def end_adoption(self) -> None:
        """Every older pod is signed: from now on only signed allocations count."""
        if self.adopt_before:
            self.queue.add(names.SIGNING_KEY)

    async def _secret(self) -> Object:
        try:
            return await self._client.get(resources.SECRETS, names.SIGNING_KEY, self._namespace)
        except NotFound:
            pass
        signer = decision.Signer(Ed25519PrivateKey.generate())
        data = {_KEY: signer.secret}
        if not len(trusted(self._keys)):
            # No key was ever published, so annotations on pods are from before signatures.
            data[_ADOPT] = "true"
        meta = {"name": names.SIGNING_KEY, "namespace": self._namespace}
        obj: dict[str, Any] = {
            "apiVersion": resources.SECRETS.api_version,
            "kind": resources.SECRETS.kind,
            "metadata": meta,
            "type": "Opaque",
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
        }
        try:
            made = await self._client.create(resources.SECRETS, obj)
        except AlreadyExists:  # another copy was faster
            return await self._client.get(resources.SECRETS, names.SIGNING_KEY, self._namespace)
        log.info("made a key to sign decisions with, %s", signer.id)
        return made

    def _on_keys(self, _: str, __: Object | None, ___: Object | None) -> None:
        known = trusted(self._keys)
        if self.signer.id not in known:
            self.queue.add(names.SIGNING_KEYS)
        known = known | decision.Trusted.parse({self.signer.id: self.signer.public})
        if known != self.decisions.trusted:
            self.decisions.trusted = known
            self._listener()

    async def _write(self, name: str) -> None:
        if name == names.SIGNING_KEY:
            body = {"data": {_ADOPT: None}}
            await self._client.patch(resources.SECRETS, name, self._namespace, body)
            self.adopt_before = ""
        elif self.signer.id not in trusted(self._keys):
            await self._publish(name)

    async def _publish(self, name: str) -> None:
        """Adds this manager's public key to the ConfigMap and keeps the others."""
        data = {self.signer.id: self.signer.public}
        try:
            await self._client.patch(resources.CONFIGMAPS, name, self._namespace, {"data": data})
        except NotFound:
            await self._client.create(
                resources.CONFIGMAPS,
                {
                    "apiVersion": resources.CONFIGMAPS.api_version,
                    "kind": resources.CONFIGMAPS.kind,
                    "metadata": {"name": name, "namespace": self._namespace},
                    "data": data,
                },
            )


def _load(obj: Object) -> decision.Signer:
    try:
        return decision.Signer.load(_decoded(obj, _KEY))
    except ValueError:
        raise errors.InvalidInput(
            f"Secret {resources.key(obj)}",
            f"data.{_KEY}",
            None,
            "is no Ed25519 key in base64",
            hint="delete the Secret: the cluster manager makes a new one",
        ) from None


def _decoded(obj: Object, key: str) -> str:
    try:
        return base64.b64decode((obj.get("data") or {}).get(key) or "").decode()
    except ValueError:
        return ""
